// How a field's items become stored words and back: pure loops over memory, no I/O, no allocation.
//
// Used by append (Encode), by every decoded read (DecodeWords, NumbersOf) and by the checks of
// layouts (AllowsLength). Thread rules: pure functions; an Encoding is made once and shared.
// Invariants:
//   1. Encode() followed by DecodeWords() gives back every bit of an item of the field's own type.
//   2. Decoding is defined for any word, also one that no append wrote.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "stream_store/error.h"
#include "stream_store/field_write.h"
#include "stream_store/schema.h"

#include "format/float_bits.h"

namespace stream_store::internal {

/// How the words of a field are made; follows from its dtype.
enum class WordKind : std::uint8_t {
  kNothing,  ///< null: no words at all
  kInteger,  ///< the number itself: ints, bools, dates, times
  kFloat,    ///< the bits of its float64
  kByte,     ///< one byte per word
  kText,     ///< one byte per word, UTF-8
  kVerbatim  ///< only words are taken: decimals
};

/// Everything append and decode need to know of one field, derived once from its Field.
struct Encoding {
  DType dtype = DType::kInt64;
  bool packed = false;
  bool ragged = false;  ///< any multiple of `unit_words` words; also string and binary
  std::uint8_t item_bytes =
      8;  ///< of a decoded item: bool 1, float32 4, decimal128 16, times 8, text 1 …
  std::uint8_t item_words = 1;   ///< stored words per item; packed fields: unused
  std::uint64_t items = 1;       ///< items of a fixed-shape write; of a ragged one, items per unit
                                 ///< (product of the trailing shape)
  std::uint64_t unit_words = 1;  ///< words of a fixed-shape write, or per ragged unit
  WordKind kind = WordKind::kInteger;
  std::int64_t lowest = INT64_MIN;  ///< of integer kinds: the range of values, both ends included
  std::uint64_t highest = INT64_MAX;

  /// Whether a field-write may have that many stored words.
  bool AllowsLength(std::uint64_t words) const noexcept {
    return ragged ? (unit_words <= 1 || words % unit_words == 0) : words == unit_words;
  }
};

/// REQUIRES: the field passed the checks of Schema's constructor.
Encoding MakeEncoding(const Field& field);
std::vector<Encoding> MakeEncodings(const Schema& schema);

inline constexpr std::uint64_t kBadLength = ~std::uint64_t{0};

/// Stored words of a write of `count` items from `source`, or kBadLength if that count does not fit
/// the field. kWords counts are words; kBytes counts are bytes. Fixed-shape fields take exactly
/// `items`; ragged ones any multiple of the trailing shape; a kNull field only 0 items.
std::uint64_t EncodedWords(const Encoding& encoding, Source source, std::uint64_t count) noexcept;

/// Bytes of one item of `source`.
std::size_t SourceBytes(Source source) noexcept;
std::string_view SourceName(Source source) noexcept;

inline constexpr std::uint64_t kEncodedAll = ~std::uint64_t{0};

/// Writes EncodedWords() words to `out`. Returns kEncodedAll, or the index of the first item that
/// does not belong (1.5, NaN or out of range in an int field, 2 in a bool field, a number in a text
/// field, text in a number field).
///
/// Rules: float fields take any number and keep float64 bits (float32 NaNs widened by shifting, so
/// that payloads survive); int, date and time fields take integral numbers and bools in the field's
/// own range; bool fields 0, 1, false, true; text fields uint8 or bytes; decimals only words;
/// packed fields convert to their item type under the same rules (float32 and float16 items are
/// rounded to nearest) and zero-pad the last word. A string field takes UTF-8 only: the index is
/// then that of the first byte of the first ill-formed sequence. One call is one field-write: texts
/// of several rows go through one call each. REQUIRES: EncodedWords(encoding, source, count) !=
/// kBadLength; items and out do not overlap. `items` may be unaligned. `out` may hold anything
/// after a failure.
std::uint64_t Encode(const Encoding& encoding, Source source, const void* items,
                     std::uint64_t count, Value* out) noexcept;

/// The loop behind Encode() for one kind of field and source: same arguments without the source,
/// same result. REQUIRES of a call: count > 0.
using EncodeLoop = std::uint64_t (*)(const Encoding& encoding, const unsigned char* items,
                                     std::uint64_t count, Value* out) noexcept;
EncodeLoop FindEncodeLoop(const Encoding& encoding, Source source) noexcept;

/// Whether an item of `source` is its stored word as it is, whatever its bits: 8 bytes to copy.
bool KeepsWord(const Encoding& encoding, Source source) noexcept;

/// The item at `index`, as text for a message ("1.5", "NaN", "300").
std::string ItemText(Source source, const void* items, std::uint64_t index);

/// Decodes `words` stored words into items of the field's own type (item_bytes each; packed: the
/// bytes themselves, `items` of them). float64 bits narrow to float32 and float16 rounded to
/// nearest, NaNs by shifting.
void DecodeWords(const Encoding& encoding, const Value* words, std::uint64_t count,
                 void* out) noexcept;

/// One stored word of a field as float32: the "number" column.
float NumberOf(const Encoding& encoding, Value word) noexcept;

/// NumberOf() of `count` words: one loop per kind of field.
void NumbersOf(const Encoding& encoding, const Value* words, std::uint64_t count,
               float* out) noexcept;

}  // namespace stream_store::internal
