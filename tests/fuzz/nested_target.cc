// Fuzz target for nested cells: the text of a type, a zero byte, then a block of that type.
#include <algorithm>
#include <string>

#include "stream_store/error.h"
#include "stream_store/nested.h"

#include "format/nested_block.h"
#include "fuzz/require.h"
#include "fuzz/targets.h"

namespace stream_store::fuzz {

namespace {

// Reads a value and writes it again; counts the values.
class Copy {
 public:
  Copy(NestedDecoder& from, NestedEncoder& to) : from_(from), to_(to) {}

  std::uint64_t values() const { return values_; }

  void Value(const NestedType& type) {
    ++values_;
    if (from_.Null()) {
      to_.Null();
      return;
    }
    switch (type.kind) {
      case NestedType::Kind::kItem:
        return to_.Item(from_.Item());
      case NestedType::Kind::kBytes:
        return to_.Text(from_.Text());
      case NestedType::Kind::kStruct:
        from_.BeginStruct();
        to_.BeginStruct();
        for (const NestedType& child : type.children) Value(child);
        return to_.EndStruct();
      default:
        to_.BeginList();
        for (std::uint64_t left = from_.BeginList(); left > 0; --left) Value(type.children[0]);
        return to_.EndList();
    }
  }

 private:
  NestedDecoder& from_;
  NestedEncoder& to_;
  std::uint64_t values_ = 0;
};

void CheckBlock(const NestedType& type, std::span<const std::byte> block) {
  const bool is_valid = internal::CheckNestedBlock(internal::NestedPlan(type), block) == nullptr;
  NestedDecoder decoder(type);
  try {
    decoder.Open(block);
  } catch (const Error& error) {
    Require(error.code() == ErrorCode::kCorrupt && !is_valid, error.what());
    return;
  }
  Require(is_valid, "a decoder opens only valid blocks");
  NestedEncoder encoder(type);
  Copy copy(decoder, encoder);
  copy.Value(type);
  // A bit for each null of a leaf; the structs and lists around it may take nothing.
  Require(copy.values() <= 8 * kMaxNestedDepth * block.size(), "the number of values is bounded");
  const std::string_view again = encoder.Finish();
  Require(std::ranges::equal(std::as_bytes(std::span(again)), block),
          "a block that is accepted is encoded the same");
}

}  // namespace

void FuzzNested(Bytes bytes) {
  const auto end = std::ranges::find(bytes, std::uint8_t{0});
  const std::string text(bytes.begin(), end);
  NestedType type;
  try {
    type = ParseNestedType(text);
  } catch (const Error& error) {
    Require(error.code() == ErrorCode::kInvalidArgument, error.what());
    return;
  }
  const std::string canonical = NestedTypeText(type);
  Require(ParseNestedType(canonical) == type, "the text of a type is that type");
  Require(NestedTypeText(ParseNestedType(canonical)) == canonical, "a type has one text");
  if (end != bytes.end()) {
    const auto begin = static_cast<std::size_t>(end - bytes.begin()) + 1;
    CheckBlock(type, std::as_bytes(bytes.subspan(begin)));
  }
}

}  // namespace stream_store::fuzz
