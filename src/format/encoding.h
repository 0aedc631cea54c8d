// Encoding: how the items of a field are converted to stored words and back.
//
// Used by append (Encode), by every decoded read (DecodeWords, NumbersOf) and by the checks of
// layouts (AllowsLength). All functions are loops over memory, without I/O or allocation. Thread
// rules: pure functions; an Encoding is made once and shared between threads.
// Invariants:
//   1. Encode() followed by DecodeWords() preserves every bit of an item of the field's own type.
//   2. Decoding is defined for every word, even one that no append wrote.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "stream_store/dtype.h"
#include "stream_store/error.h"
#include "stream_store/field_write.h"

#include "base/assert.h"
#include "format/float_bits.h"

namespace stream_store {
class Schema;
struct Field;
}  // namespace stream_store

namespace stream_store::internal {

class NestedPlan;

/// How the words of a field are made. Follows from its dtype.
enum class WordKind : std::uint8_t {
  kNothing,   ///< null: no words at all
  kInteger,   ///< the number itself: ints, bools, dates, times
  kFloat,     ///< the bits of its float64
  kByte,      ///< one byte per word
  kText,      ///< one byte per word, UTF-8
  kVerbatim,  ///< only whole words are accepted: decimals
  kCell       ///< bytes that are a nested block
};

/// The properties of one field that encoding and decoding need, derived once from its Field.
struct Encoding {
  DType dtype = DType::kInt64;
  bool packed = false;
  bool ragged = false;  ///< takes any multiple of `unit_words` words; also string and binary
  bool block = false;   ///< a field-write is a word with the number of items, then their bytes:
                        ///< packed fields of varying length, and nested ones
  std::uint8_t item_bytes = 8;   ///< of a decoded item: bool 1, float32 4, times 8, decimal128 16 …
  std::uint8_t item_words = 1;   ///< stored words per item; packed fields: unused
  std::uint64_t items = 1;       ///< items of a fixed-shape write; of a ragged one, items per unit
                                 ///< (product of the trailing shape)
  std::uint64_t unit_words = 1;  ///< words of a fixed-shape write, or per ragged unit; 1 for blocks
  WordKind kind = WordKind::kInteger;
  /// The range of values of integer kinds, both ends included.
  std::int64_t lowest = INT64_MIN;
  std::uint64_t highest = INT64_MAX;
  /// The type of the cells of a nested field, else null.
  std::shared_ptr<const NestedPlan> nested;

  /// Whether a field-write may have `words` stored words.
  bool AllowsLength(std::uint64_t words) const noexcept {
    if (block) {
      return words > 0;
    }
    return ragged ? (unit_words <= 1 || words % unit_words == 0) : words == unit_words;
  }
};

/// Returns the encoding of a field that passed the checks of Schema's constructor.
/// REQUIRES: static_cast<int>(field.dtype) < kDTypeCount.
Encoding MakeEncoding(const Field& field);

/// Returns the encodings of all fields, by type id.
std::vector<Encoding> MakeEncodings(const Schema& schema);

/// Returns the words of a field-write of `count` items of a block field: one for the count, then
/// those of the items. REQUIRES: encoding.block && count >> 48 == 0.
inline std::uint64_t BlockWords(const Encoding& encoding, std::uint64_t count) noexcept {
  STREAM_STORE_ASSERT(encoding.block && count >> 48 == 0);
  return 1 + (count * encoding.item_bytes + 7) / 8;
}

/// The items of one field-write of a block field.
struct BlockItems {
  const std::byte* items = nullptr;  ///< `count` items of item_bytes each
  std::uint64_t count = 0;           ///< at most as many as there is memory for, whole units only
  bool valid = false;                ///< whether the stored count agrees with the number of words
};

/// Finds the items of a field-write of a block field. Words may be hostile: the result never
/// reaches beyond them. REQUIRES: encoding.block.
BlockItems ItemsOfBlock(const Encoding& encoding, std::span<const Value> words) noexcept;

inline constexpr std::uint64_t kBadLength = ~std::uint64_t{0};

/// Returns the number of stored words of a field-write of `count` items from `source`, or
/// kBadLength if the field does not accept that count.
///
/// count  in items; for kWords in words, for kBytes in bytes. A field of fixed shape accepts
///        exactly `items`, a ragged one any multiple of the trailing shape, a null field only 0.
std::uint64_t EncodedWords(const Encoding& encoding, Source source, std::uint64_t count) noexcept;

/// Returns the size in bytes of one item of `source`.
std::size_t SourceBytes(Source source) noexcept;

inline constexpr std::uint64_t kEncodedAll = ~std::uint64_t{0};

/// Encodes the items of one field-write and writes EncodedWords() words to `out`. Returns
/// kEncodedAll, or the index of the first invalid item.
///
/// The rules, by kind of field:
///   - Float fields accept any number that their type can be rounded to: a finite number beyond the
///     range of a float16 or float32 field is invalid. They store the bits of the float64. The
///     payloads of float32 NaNs survive.
///   - Int, date and time fields accept integral numbers and bools in the range of their type; 1.5,
///     NaN and 300 for a uint8 field are invalid.
///   - Bool fields accept 0, 1, false and true.
///   - Text fields accept uint8 items or bytes. A string field accepts UTF-8 only; the index
///     returned is that of the first byte of the first ill-formed sequence. Call it once per row,
///     because each row must be well-formed on its own.
///   - Decimals accept words only.
///   - Packed fields convert to their item type by the same rules, rounding float32 and float16
///     items to the nearest value, and fill the last word with zeros. Those of varying length begin
///     with a word that holds the number of items.
///   - Nested fields accept bytes that are a block of their type (nested_block.h).
///   - The words of a block field must begin with the number of items that they hold.
///
/// items  may be unaligned; must not overlap `out`.
/// out    the caller's memory. Its content is unspecified if an item is invalid.
/// REQUIRES: EncodedWords(encoding, source, count) != kBadLength.
std::uint64_t Encode(const Encoding& encoding, Source source, const void* items,
                     std::uint64_t count, Value* out) noexcept;

/// The loop of Encode() for one kind of field and source. It has the same arguments except for the
/// source, and the same result. Calls must have at least one item, unless it is a block field.
using EncodeLoop = std::uint64_t (*)(const Encoding& encoding, const unsigned char* items,
                                     std::uint64_t count, Value* out) noexcept;

/// Returns the loop for a field and a source. Appends of many rows find it once per column.
EncodeLoop FindEncodeLoop(const Encoding& encoding, Source source) noexcept;

/// Whether the 8 bytes of an item of `source` are the stored word, for all bits, so that items can
/// be copied without a check.
bool KeepsWord(const Encoding& encoding, Source source) noexcept;

/// Returns the item at `index` as text for a message, such as "1.5", "NaN" or "300".
std::string ItemText(Source source, const void* items, std::uint64_t index);

/// Decodes `count` stored words to items of the field's own type and writes them to `out`,
/// item_bytes each. A packed field has `items` items in its words. Floats are rounded to the
/// nearest float32 or float16; NaN payloads survive. `out` may be unaligned.
/// REQUIRES: !encoding.block; ItemsOfBlock() finds the items of such fields.
void DecodeWords(const Encoding& encoding, const Value* words, std::uint64_t count,
                 void* out) noexcept;

/// Returns one stored word of a field as float32: the "number" column of a read.
float NumberOf(const Encoding& encoding, Value word) noexcept;

/// Writes NumberOf() of `count` words to `out`, with one loop per kind of field.
void NumbersOf(const Encoding& encoding, const Value* words, std::uint64_t count,
               float* out) noexcept;

}  // namespace stream_store::internal
