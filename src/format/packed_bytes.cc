// The bytes of a field-write of a packed or nested field.

#include "stream_store/error.h"
#include "stream_store/nested.h"
#include "stream_store/schema.h"

#include "base/str_cat.h"
#include "format/encoding.h"

namespace stream_store {
namespace {

// A nested cell is read as bytes, for which its type is not needed, so it is not parsed.
internal::Encoding EncodingOf(const Field& field) {
  if (field.dtype != DType::kNested) {
    return internal::MakeEncoding(field);
  }
  internal::Encoding bytes;
  bytes.dtype = DType::kNested;
  bytes.item_bytes = 1;
  bytes.ragged = true;
  bytes.block = true;
  return bytes;
}

}  // namespace

std::span<const std::byte> PackedBytes(const Field& field, std::span<const Value> words) {
  using internal::StrCat;
  if (!field.packed && field.dtype != DType::kNested) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("reading the bytes of field '", field.name,
                       "': expected a packed or nested field but found ", FieldText(field)));
  }
  const internal::Encoding encoding = EncodingOf(field);
  const auto refuse = [&](std::uint64_t count) {
    throw Error(ErrorCode::kCorrupt,
                StrCat("reading the bytes of field '", field.name, "': expected ", words.size(),
                       " words to hold the items but found a field-write of ", count, " items"));
  };
  if (!encoding.block) {
    if (words.size() != encoding.unit_words) {
      refuse(encoding.items);
    }
    return {reinterpret_cast<const std::byte*>(words.data()), encoding.items * encoding.item_bytes};
  }
  const internal::BlockItems block = internal::ItemsOfBlock(encoding, words);
  if (!block.valid) {
    refuse(words.empty() ? 0 : static_cast<std::uint64_t>(words[0]));
  }
  return {block.items, block.count * encoding.item_bytes};
}

}  // namespace stream_store
