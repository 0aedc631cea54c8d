// RecordVerifier: reads the records of a store and verifies them one by one.
//
// Used by recovery, verify, repair and checkpoint, that is by all code that must not trust the
// files. A record is verified if its layout and values lie inside the files, its layout is valid,
// and its checksum is right. WhyNotNext() answers a separate question: whether the record may
// follow the record before it.
//
// The bytes are read in one of two ways: through the mappings of an open store, or copied with
// pread(). Copying is for files that may be damaged or shrink at any time: a load from a mapping
// would raise SIGBUS there, while pread() returns fewer bytes or an error.
//
// Thread rules: an object belongs to one thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/assert.h"
#include "base/crc32c.h"
#include "format/checksum.h"
#include "format/encoding.h"
#include "format/record.h"
#include "storage/chunk_set.h"
#include "storage/cursor.h"
#include "storage/store_files.h"

namespace stream_store::internal {

/// One kind of data as an array of words of one type, numbered from the first that the store ever
/// had. Its bounds are those at construction. If files shrink later, copied words that no longer
/// exist read as zeros.
template <class Word>
class WordFile {
 public:
  /// Reads by copying.
  explicit WordFile(const KindReader& reader)
      : reader_(reader), begin_(reader.begin() / sizeof(Word)), end_(reader.end() / sizeof(Word)) {}

  /// Reads through the mapping of a file, which must outlive this object.
  explicit WordFile(const DataFile& file)
      : mapped_(reinterpret_cast<const Word*>(file.data())),
        begin_(file.files().begin() / sizeof(Word)),
        end_(file.bytes() / sizeof(Word)) {}

  /// The number of the first word.
  std::uint64_t begin() const noexcept { return begin_; }

  /// The number after that of the last whole word.
  std::uint64_t end() const noexcept { return end_; }

  /// Returns a pointer to the words [begin, begin + count), valid until the next call. Throws
  /// Error(kIo) if they cannot be read.
  /// REQUIRES: this->begin() <= begin && begin <= end() && count <= end() - begin.
  const Word* At(std::uint64_t begin, std::uint64_t count) {
    STREAM_STORE_ASSERT(begin_ <= begin && begin <= end_ && count <= end_ - begin);
    if (mapped_ != nullptr) {
      return mapped_ + begin;
    }
    if (begin < first_ || begin + count > first_ + held_) {
      Fill(begin, count);
    }
    return buffer_.data() + (begin - first_);
  }

  /// Returns how many consecutive words the pointer returned by At(begin, 1) may be used for: all
  /// words of a mapping, or those in the buffer.
  std::uint64_t held_from(std::uint64_t begin) const noexcept {
    return mapped_ != nullptr ? end_ - begin : first_ + held_ - begin;
  }

 private:
  static constexpr std::uint64_t kFirstBlock = (4 << 10) / sizeof(Word);
  static constexpr std::uint64_t kLargestBlock = (128 << 10) / sizeof(Word);

  // Fills the buffer with a block that contains the requested words. Walks go up (recovery, verify)
  // or down (the tail below a slot), so the block extends in the direction from the last request to
  // this one. The first blocks are small, because opening a store that was closed looks at one record
  // only. If the block cannot be read, because a sector of it is bad, only the requested words are read.
  void Fill(std::uint64_t begin, std::uint64_t count) {
    const std::uint64_t words = std::min(std::max(count, block_), end_ - begin_);
    block_ = std::min(block_ * 8, kLargestBlock);
    const bool down = begin < first_ && held_ > 0;
    const std::uint64_t lowest = begin + count - std::min(begin + count, words);
    const std::uint64_t first = std::min(down ? std::max(lowest, begin_) : begin, end_ - words);
    held_ = 0;
    try {
      Read(first, words);
    } catch (const Error&) {
      Read(begin, count);
    }
  }

  void Read(std::uint64_t first, std::uint64_t words) {
    buffer_.resize(std::max<std::size_t>(buffer_.size(), words));
    const auto bytes = std::as_writable_bytes(std::span(buffer_).first(words));
    const std::size_t there = reader_.ReadAt(bytes, first * sizeof(Word));
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(there), bytes.end(), std::byte{0});
    first_ = first;
    held_ = words;
  }

  KindReader reader_;  // unused with a mapping
  const Word* mapped_ = nullptr;
  std::uint64_t begin_;
  std::uint64_t end_;
  std::uint64_t first_ = 0;  // the buffer holds the words [first_, first_ + held_)
  std::uint64_t held_ = 0;
  std::uint64_t block_ = kFirstBlock;  // words that the next Fill() reads at least
  std::vector<Word> buffer_;
};

/// The properties of a layout that the verification of records needs.
struct LayoutFacts {
  std::uint64_t key = 0;   ///< Record::layout + 1; 0 marks an empty entry of the cache
  std::uint64_t word = 0;  ///< number of its first word in `layouts`
  std::uint64_t fields = 0;
  std::uint64_t total = 0;
  std::uint32_t digest = 0;
  std::int32_t first_type = -1;
  std::int32_t last_type = -1;
  const char* fault = nullptr;  ///< why it is not a valid layout, or null
};

/// A record that was read once, with the result of its verification.
struct VerifiedRecord {
  std::uint64_t number = 0;  ///< of the record in its store
  Record record{};
  LayoutFacts layout;
  std::uint32_t checksum = 0;   ///< computed from its content; 0 if that was not possible
  const char* fault = nullptr;  ///< why it is not a valid record, or null
};

/// Faults that verify recognises by address, to report them with the numbers.
inline constexpr char kWrongChecksum[] = "its checksum is wrong";
inline constexpr char kWrongStart[] = "it does not start where the one before ended";

/// Whether a record may begin the row after the last row: compares its row and step.
inline bool BeginsRow(const Cursor& cursor, const Record& record) noexcept {
  return RowOfRecord(record.row_session) == cursor.rows &&
         (!cursor.follows_record || record.step > cursor.step);
}

/// Whether a record may continue the last row: the same row and step, and fields that come after
/// those of the row so far.
inline bool ContinuesRow(const Cursor& cursor, const Record& record,
                         const LayoutFacts& layout) noexcept {
  return cursor.follows_record && RowOfRecord(record.row_session) == cursor.rows - 1 &&
         record.step == cursor.step && layout.fields > 0 && layout.first_type > cursor.last_type;
}

/// Moves the cursor past a record.
/// REQUIRES: the record follows the cursor, see WhyNotNext(); record.start == cursor.values.
inline void Advance(const Record& record, const LayoutFacts& layout, Cursor& cursor) noexcept {
  STREAM_STORE_ASSERT(record.start == cursor.values);
  cursor.records += 1;
  cursor.values += layout.total;
  cursor.field_writes += layout.fields;
  cursor.rows = RowOfRecord(record.row_session) + 1;
  cursor.step = record.step;
  cursor.last_type = layout.last_type;  // -1 if it has no fields
  cursor.follows_record = true;
  if (layout.fields > 0) {
    cursor.layout_words = std::max(cursor.layout_words, layout.word + layout.fields + 1);
  }
}

/// Reads and verifies the records of one store.
class RecordVerifier {
 public:
  /// The files of a store and the parts of its identity and schema that verification needs. All of
  /// them must outlive the RecordVerifier.
  struct Parts {
    KindReader values;
    KindReader records;
    KindReader layouts;
    std::uint32_t seed;
    std::span<const Encoding> encodings;
    std::uint64_t layout_begin = 0;  ///< of Begin: layouts of records are not before it
  };

  /// Reads by copying from the files.
  explicit RecordVerifier(const Parts& parts);

  /// Reads through the mappings of an open store, or by copying if the store was opened for safe
  /// reads.
  RecordVerifier(const StoreFiles& files, const StoreSchema& store_schema);

  /// The end of the values that the files have space for.
  std::uint64_t value_capacity() const noexcept { return values_.end(); }

  /// The end of the records that the files have space for; the last one can only be a sentinel.
  std::uint64_t record_capacity() const noexcept {
    return records_.end() == records_.begin() ? records_.begin() : records_.end() - 1;
  }

  /// The end of the layout words in the files.
  std::uint64_t layout_capacity() const noexcept { return layouts_.end(); }

  /// The first record that the files have.
  std::uint64_t first_record() const noexcept { return records_.begin(); }

  /// Returns record i as it is in the file, unverified. i == record_capacity() can only be a
  /// sentinel.
  /// REQUIRES: first_record() <= i && i <= record_capacity().
  Record record(std::uint64_t i) {
    STREAM_STORE_ASSERT(first_record() <= i && i <= record_capacity());
    return *records_.At(i, 1);
  }

  /// Whether the files have word `offset` of `layouts`.
  bool has_layout_word(std::uint64_t offset) const noexcept {
    return layouts_.begin() <= offset && offset < layouts_.end();
  }

  /// Returns a word of `layouts`.
  /// REQUIRES: has_layout_word(offset).
  std::uint64_t layout_word(std::uint64_t offset) {
    STREAM_STORE_ASSERT(has_layout_word(offset));
    return *layouts_.At(offset, 1);
  }

  /// Returns a pointer to `count` values, valid until the next call of this or of a function that
  /// verifies records. Throws Error(kIo).
  /// REQUIRES: begin <= value_capacity() && count <= value_capacity() - begin, and begin was not
  /// dropped.
  const Value* values(std::uint64_t begin, std::uint64_t count) {
    STREAM_STORE_ASSERT(begin <= value_capacity() && count <= value_capacity() - begin);
    return values_.At(begin, count);
  }

  /// Verifies the layout of a record with this Record::layout, which may be any number. The
  /// reference is valid until the next call. Cost: a cache of 256 entries answers almost always.
  const LayoutFacts& Layout(std::uint32_t layout);

  /// Verifies the records [i, end) in order, advancing `cursor` past each. This is the fast path of
  /// all walks over many records.
  ///
  /// pass   called as pass(i, record, total, begins_row) with each valid record, before the cursor
  ///        advances; returning false stops the run at that record.
  ///
  /// Also stops at the first record that is invalid, does not follow the cursor, or has more than
  /// 64 KiB of values. Call VerifyRecord() and WhyNotNext() on that record for the reason; if
  /// neither finds a fault, the record is long or was stopped by pass(). Returns the record at
  /// which it stopped, or `end`. Throws Error(kIo).
  /// REQUIRES: end <= record_capacity().
  template <class Pass>
  std::uint64_t VerifyRun(std::uint64_t i, std::uint64_t end, Cursor& cursor, const Pass& pass);

  /// Verifies record i on its own: its layout is inside the file and allowed by the schema, its
  /// values are inside the file, and its checksum is right. Throws Error(kIo).
  /// REQUIRES: first_record() <= i && i < record_capacity().
  VerifiedRecord VerifyRecord(std::uint64_t i);

 private:
  static constexpr std::uint64_t kLongestInRun = (64 << 10) / sizeof(Value);

  // The checksum that a record with these values must have.
  std::uint32_t ChecksumOf(const Record& record, const LayoutFacts& layout,
                           const Value* values) const noexcept {
    const std::uint32_t head = BeginChecksum(seed_, record.start, record.step, record.row_session,
                                             record.layout, layout.digest);
    return FinishChecksum(ExtendChecksum(head, values, layout.total));
  }

  // As ChecksumOf(), reading the values of a record of any length in parts.
  std::uint32_t ChecksumOfLong(const Record& record, const LayoutFacts& layout);

  WordFile<Value> values_;
  WordFile<Record> records_;
  WordFile<std::uint64_t> layouts_;
  std::uint32_t seed_;
  std::span<const Encoding> encodings_;
  std::uint64_t layout_begin_;
  std::array<LayoutFacts, 256> known_{};  // layouts by the low bits of Record::layout
};

/// Returns the reason why a record cannot follow `cursor`, or null if it can. The rules are those
/// of docs/format.md, "Rows and records".
const char* WhyNotNext(const Cursor& cursor, const VerifiedRecord& verified) noexcept;

/// The same for a VerifiedRecord.
inline void Advance(const VerifiedRecord& verified, Cursor& cursor) noexcept {
  Advance(verified.record, verified.layout, cursor);
}

template <class Pass>
std::uint64_t RecordVerifier::VerifyRun(std::uint64_t i, std::uint64_t end, Cursor& cursor,
                                        const Pass& pass) {
  STREAM_STORE_ASSERT(end <= record_capacity());
  LayoutFacts layout = Layout(0);  // a copy: Layout() of another one may overwrite its entry
  while (i < end) {
    const Record* record = records_.At(i, 1);
    const Record* const last = record + std::min(records_.held_from(i), end - i);
    for (; record != last; ++record, ++i) {
      if (layout.key != record->layout + std::uint64_t{1}) {
        layout = Layout(record->layout);
      }
      const bool begins = BeginsRow(cursor, *record);
      const bool follows = begins || ContinuesRow(cursor, *record, layout);
      if (layout.fault != nullptr || record->start != cursor.values || !follows ||
          layout.total > value_capacity() - cursor.values || layout.total > kLongestInRun) {
        return i;
      }
      const Value* values = layout.total == 0 ? nullptr : values_.At(cursor.values, layout.total);
      if (ChecksumOf(*record, layout, values) != record->checksum ||
          !pass(i, *record, layout.total, begins)) {
        return i;
      }
      Advance(*record, layout, cursor);
    }
  }
  return i;
}

}  // namespace stream_store::internal
