// Encodings of fields, and texts of items for messages.

#include "format/encoding.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "stream_store/schema.h"

#include "base/assert.h"
#include "format/item.h"
#include "format/layout.h"
#include "format/nested_block.h"

namespace stream_store::internal {
namespace {

WordKind WordKindOf(const DTypeInfo& info, DType dtype) {
  switch (info.kind) {
    case DTypeKind::kNull:
      return WordKind::kNothing;
    case DTypeKind::kFloat:
      return WordKind::kFloat;
    case DTypeKind::kDecimal:
      return WordKind::kVerbatim;
    case DTypeKind::kBytes:
      return dtype == DType::kString ? WordKind::kText : WordKind::kByte;
    case DTypeKind::kNested:
      return WordKind::kCell;
    default:
      return WordKind::kInteger;
  }
}

// The range of an integer kind. Dates and times are signed numbers of the type's width.
void SetRange(Encoding& encoding, const DTypeInfo& info) {
  const bool is_unsigned = info.kind == DTypeKind::kUInt || info.kind == DTypeKind::kBool;
  const std::uint64_t all_bits = UINT64_MAX >> (64U - info.bits);
  encoding.lowest = is_unsigned ? 0 : -static_cast<std::int64_t>(all_bits >> 1U) - 1;
  encoding.highest = is_unsigned ? all_bits : all_bits >> 1U;
}

constexpr std::array<std::uint8_t, 14> kSourceBytes = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 4, 8, 1, 8};

template <class T>
std::string FloatText(T number) {
  if (std::isnan(number)) {
    return "NaN";
  }
  std::array<char, 32> text{};
  const auto result = std::to_chars(text.data(), text.data() + text.size(), number);
  return std::string(text.data(), result.ptr);
}

}  // namespace

Encoding MakeEncoding(const Field& field) {
  STREAM_STORE_ASSERT(static_cast<int>(field.dtype) < kDTypeCount);
  const DTypeInfo& info = InfoOf(field.dtype);
  Encoding encoding;
  encoding.dtype = field.dtype;
  encoding.packed = field.packed;
  encoding.kind = WordKindOf(info, field.dtype);
  encoding.item_bytes = info.item_bytes;
  encoding.item_words = info.item_words;
  if (encoding.kind == WordKind::kInteger) {
    SetRange(encoding, info);
  }
  encoding.items = 1;
  for (const std::uint32_t dimension : field.shape) {
    if (dimension == kRagged) {
      encoding.ragged = true;
    } else {
      encoding.items *= dimension;
    }
  }
  if (field.dtype == DType::kString || field.dtype == DType::kBinary ||
      field.dtype == DType::kNested) {
    encoding.ragged = true;
  }
  if (field.dtype == DType::kNested) {
    encoding.nested = std::make_shared<const NestedPlan>(ParseNestedType(field.nested));
  }
  encoding.block = encoding.ragged && (encoding.packed || encoding.nested != nullptr);
  encoding.unit_words = encoding.block    ? 1
                        : encoding.packed ? (encoding.items * encoding.item_bytes + 7) / 8
                                          : encoding.items * encoding.item_words;
  if (field.dtype == DType::kNull) {  // a write of null items has no words, for any shape
    encoding.ragged = false;
    encoding.items = 0;
    encoding.unit_words = 0;
  }
  return encoding;
}

std::vector<Encoding> MakeEncodings(const Schema& schema) {
  std::vector<Encoding> encodings;
  encodings.reserve(schema.size());
  for (const Field& field : schema.fields()) {
    encodings.push_back(MakeEncoding(field));
  }
  return encodings;
}

std::uint64_t EncodedWords(const Encoding& encoding, Source source, std::uint64_t count) noexcept {
  if (count > kMaxWriteValues) {
    return kBadLength;  // first, so that no product below overflows
  }
  if (source == Source::kWords) {
    return encoding.AllowsLength(count) ? count : kBadLength;
  }
  if (!encoding.ragged) {
    return count == encoding.items ? encoding.unit_words : kBadLength;
  }
  if (encoding.items > 1 && count % encoding.items != 0) {
    return kBadLength;
  }
  if (encoding.block) {
    const std::uint64_t words = BlockWords(encoding, count);
    return words <= kMaxWriteValues ? words : kBadLength;
  }
  const std::uint64_t words = count * encoding.item_words;
  return words <= kMaxWriteValues ? words : kBadLength;
}

BlockItems ItemsOfBlock(const Encoding& encoding, std::span<const Value> words) noexcept {
  STREAM_STORE_ASSERT(encoding.block);
  if (words.empty()) {
    return {};
  }
  BlockItems block;
  const std::uint64_t room = (words.size() - 1) * sizeof(Value) / encoding.item_bytes;
  // Another process may change a mapped word between two loads, so it is loaded once.
  const auto count = static_cast<std::uint64_t>(__atomic_load_n(words.data(), __ATOMIC_RELAXED));
  block.count = std::min(count, room) / encoding.items * encoding.items;
  block.items = reinterpret_cast<const std::byte*>(words.data() + 1);
  block.valid = block.count == count && BlockWords(encoding, count) == words.size();
  return block;
}

std::size_t SourceBytes(Source source) noexcept {
  return kSourceBytes[static_cast<std::size_t>(source)];
}

std::string ItemText(Source source, const void* items, std::uint64_t index) {
  switch (source) {
    case Source::kBool:
      return ItemAt<std::uint8_t>(items, index) != 0 ? "true" : "false";
    case Source::kInt8:
      return std::to_string(ItemAt<std::int8_t>(items, index));
    case Source::kInt16:
      return std::to_string(ItemAt<std::int16_t>(items, index));
    case Source::kInt32:
      return std::to_string(ItemAt<std::int32_t>(items, index));
    case Source::kInt64:
    case Source::kWords:
      return std::to_string(ItemAt<std::int64_t>(items, index));
    case Source::kUInt8:
      return std::to_string(ItemAt<std::uint8_t>(items, index));
    case Source::kUInt16:
      return std::to_string(ItemAt<std::uint16_t>(items, index));
    case Source::kUInt32:
      return std::to_string(ItemAt<std::uint32_t>(items, index));
    case Source::kUInt64:
      return std::to_string(ItemAt<std::uint64_t>(items, index));
    case Source::kFloat16:
      return FloatText(std::bit_cast<double>(WidenFloat16(ItemAt<std::uint16_t>(items, index))));
    case Source::kFloat32:
      return FloatText(ItemAt<float>(items, index));
    case Source::kFloat64:
      return FloatText(ItemAt<double>(items, index));
    case Source::kBytes:
      break;
  }
  static constexpr char kDigits[] = "0123456789abcdef";
  const auto byte = ItemAt<std::uint8_t>(items, index);
  return {'b', 'y', 't', 'e', ' ', '0', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
}

}  // namespace stream_store::internal
