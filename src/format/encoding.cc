// Encodings of fields, and texts of items for messages.

#include "format/encoding.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstring>

#include "base/assert.h"
#include "format/layout.h"

namespace stream_store::internal {
namespace {

// What follows from a dtype alone.
struct DTypeFacts {
  WordKind kind = WordKind::kNothing;
  std::uint8_t item_bytes = 0;
  std::uint8_t item_words = 1;
  std::int64_t lowest = INT64_MIN;
  std::uint64_t highest = INT64_MAX;
};

constexpr DTypeFacts SignedInteger(std::uint8_t item_bytes, int bits) {
  const auto highest = static_cast<std::int64_t>((std::uint64_t{1} << (bits - 1)) - 1);
  return {WordKind::kInteger, item_bytes, 1, -highest - 1, static_cast<std::uint64_t>(highest)};
}

constexpr DTypeFacts UnsignedInteger(std::uint8_t item_bytes, std::uint64_t highest) {
  return {WordKind::kInteger, item_bytes, 1, 0, highest};
}

constexpr DTypeFacts FactsOf(DType dtype) {
  switch (dtype) {
    case DType::kNull:
      return {WordKind::kNothing, 8, 0};
    case DType::kBool:
      return UnsignedInteger(1, 1);
    case DType::kInt8:
      return SignedInteger(1, 8);
    case DType::kInt16:
      return SignedInteger(2, 16);
    case DType::kInt32:
      return SignedInteger(4, 32);
    case DType::kUInt8:
      return UnsignedInteger(1, UINT8_MAX);
    case DType::kUInt16:
      return UnsignedInteger(2, UINT16_MAX);
    case DType::kUInt32:
      return UnsignedInteger(4, UINT32_MAX);
    case DType::kUInt64:
      return UnsignedInteger(8, UINT64_MAX);
    case DType::kFloat16:
      return {WordKind::kFloat, 2};
    case DType::kFloat32:
      return {WordKind::kFloat, 4};
    case DType::kFloat64:
      return {WordKind::kFloat, 8};
    case DType::kDate32:
    case DType::kTime32S:
    case DType::kTime32Ms:
      return SignedInteger(8, 32);
    case DType::kDecimal128:
      return {WordKind::kVerbatim, 16, 2};
    case DType::kDecimal256:
      return {WordKind::kVerbatim, 32, 4};
    case DType::kString:
      return {WordKind::kText, 1};
    case DType::kBinary:
    case DType::kFixedBinary:
      return {WordKind::kByte, 1};
    default:
      return SignedInteger(8, 64);  // int64, and dates and times of 64 bits
  }
}

constexpr std::array<std::uint8_t, 14> kSourceBytes = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 4, 8, 1, 8};

template <class T>
T ItemAt(const void* items, std::uint64_t index) noexcept {
  T item{};
  std::memcpy(&item, static_cast<const char*>(items) + index * sizeof(T), sizeof(T));
  return item;
}

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
  const DTypeFacts facts = FactsOf(field.dtype);
  Encoding encoding;
  encoding.dtype = field.dtype;
  encoding.packed = field.packed;
  encoding.kind = facts.kind;
  encoding.item_bytes = facts.item_bytes;
  encoding.item_words = facts.item_words;
  encoding.lowest = facts.lowest;
  encoding.highest = facts.highest;
  encoding.items = 1;
  for (const std::uint32_t dimension : field.shape) {
    if (dimension == kRagged) {
      encoding.ragged = true;
    } else {
      encoding.items *= dimension;
    }
  }
  if (field.dtype == DType::kString || field.dtype == DType::kBinary) {
    encoding.ragged = true;
  }
  encoding.unit_words = encoding.packed ? (encoding.items * encoding.item_bytes + 7) / 8
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
  const std::uint64_t words = count * encoding.item_words;
  return words <= kMaxWriteValues ? words : kBadLength;
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
