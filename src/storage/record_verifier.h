// Image: the records of a store's files, proved one by one.
//
// Used by recovery, verify, repair and checkpoint: whatever walks over records without believing
// them. Two ways to the bytes: through the mappings of open Files, or copied with pread(), which a
// file that shrinks meanwhile, or a bad sector, answers with zeros or an error instead of a signal.
// Thread rules: one thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/crc32c.h"
#include "base/file.h"
#include "format/checksum.h"
#include "format/encoding.h"
#include "format/record.h"
#include "storage/cursor.h"
#include "storage/store_files.h"

namespace stream_store::internal {

/// A file as an array of words of one kind, with the length it had when we looked.
template <class Word>
class WordFile {
 public:
  /// Copies from the file.
  explicit WordFile(const File& file) : file_(&file), size_(file.Size() / sizeof(Word)) {}

  /// Looks through a mapping of it.
  WordFile(const File& file, const Mapping& mapping)
      : file_(&file),
        mapped_(reinterpret_cast<const Word*>(mapping.data())),
        size_(std::min(file.Size(), mapping.size()) / sizeof(Word)) {}

  /// Whole words there are.
  std::uint64_t size() const noexcept { return size_; }

  /// Words [begin, begin + count), valid until the next call. Zeros where the file has shrunk.
  /// REQUIRES: begin + count <= size(). Throws Error(kIo).
  const Word* At(std::uint64_t begin, std::uint64_t count) {
    if (mapped_ != nullptr) {
      return mapped_ + begin;
    }
    if (begin < first_ || begin + count > first_ + held_) {
      Hold(begin, count);
    }
    return buffer_.data() + (begin - first_);
  }

  /// How many words from `begin` on lie behind what At(begin, 1) returns, without copying any more.
  std::uint64_t held_from(std::uint64_t begin) const noexcept {
    return mapped_ != nullptr ? size_ - begin : first_ + held_ - begin;
  }

 private:
  static constexpr std::uint64_t kBlock = (128 << 10) / sizeof(Word);

  // Fills the buffer with a block that holds the words asked for: those after them when a walk goes
  // up, those before when it goes down. If that cannot be read, with those words alone.
  void Hold(std::uint64_t begin, std::uint64_t count) {
    const std::uint64_t words = std::min(std::max(count, kBlock), size_);
    const bool down = begin < first_ && held_ > 0;
    const std::uint64_t first = std::min(down && begin + count > words ? begin + count - words
                                         : down                        ? 0
                                                                       : begin,
                                         size_ - words);
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
    const std::size_t there = file_->ReadAt(bytes, first * sizeof(Word));
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(there), bytes.end(), std::byte{0});
    first_ = first;
    held_ = words;
  }

  const File* file_;
  const Word* mapped_ = nullptr;
  std::uint64_t size_;
  std::uint64_t first_ = 0;  // of the buffer
  std::uint64_t held_ = 0;
  std::vector<Word> buffer_;
};

/// What records need to know of a layout. `fault` says why it cannot be one.
struct LayoutFacts {
  std::uint64_t key = 0;  ///< offset + 1; 0 is nobody's
  std::uint64_t fields = 0;
  std::uint64_t total = 0;
  std::uint32_t digest = 0;
  std::int32_t first_type = -1;
  std::int32_t last_type = -1;
  const char* fault = nullptr;
};

/// One record, read once and looked through.
struct VerifiedRecord {
  Record record{};
  LayoutFacts layout;
  std::uint32_t checksum = 0;   ///< what it should be
  const char* fault = nullptr;  ///< why it cannot be a record
};

inline constexpr char kWrongChecksum[] = "its check is wrong";
inline constexpr char kWrongStart[] = "it does not start where the one before ended";

/// Whether a record may begin the next row: its place and step, not its fields.
inline bool BeginsRow(const Cursor& cursor, const Record& record) noexcept {
  return RowOfRecord(record.row_session) == cursor.rows &&
         (cursor.rows == 0 || record.step > cursor.step);
}

/// Whether a record may continue the last row.
inline bool ContinuesRow(const Cursor& cursor, const Record& record,
                         const LayoutFacts& layout) noexcept {
  return cursor.rows > 0 && RowOfRecord(record.row_session) == cursor.rows - 1 &&
         record.step == cursor.step && layout.fields > 0 && layout.first_type > cursor.last_type;
}

/// Moves the cursor over a record that continues it.
inline void Advance(const Record& record, const LayoutFacts& layout, Cursor& cursor) noexcept {
  cursor.records += 1;
  cursor.values += layout.total;
  cursor.field_writes += layout.fields;
  cursor.rows = RowOfRecord(record.row_session) + 1;
  cursor.step = record.step;
  cursor.last_type = layout.last_type;  // -1 without fields, which only the first of a row may be
  if (layout.fields > 0) {
    cursor.layout_words = std::max(cursor.layout_words, record.layout + layout.fields + 1);
  }
}

class RecordVerifier {
 public:
  /// The files and what their records mean; all must outlive the Image.
  struct Parts {
    const File* values;
    const File* records;
    const File* layouts;
    std::uint32_t seed;
    std::span<const Encoding> encodings;
  };

  /// Copies from the files.
  explicit RecordVerifier(const Parts& parts);

  /// Looks through the mappings of open files, or copies where they are not to be trusted.
  RecordVerifier(const StoreFiles& files, const StoreSchema& meaning);

  std::uint64_t value_capacity() const noexcept { return values_.size(); }

  /// Records with a sentinel after them.
  std::uint64_t record_capacity() const noexcept {
    return records_.size() == 0 ? 0 : records_.size() - 1;
  }

  std::uint64_t layout_capacity() const noexcept { return layouts_.size(); }

  /// Record i, unproved. REQUIRES: i <= record_capacity().
  Record record(std::uint64_t i) { return *records_.At(i, 1); }

  /// A word of `layouts`. REQUIRES: offset < layout_capacity().
  std::uint64_t layout_word(std::uint64_t offset) { return *layouts_.At(offset, 1); }

  /// The layout at a word offset; the reference lasts until the next call.
  const LayoutFacts& Layout(std::uint64_t offset);

  /// Proves records from i on, below `end`, that continue `cursor`, and moves it over them; `pass`
  /// is called with each before that, and stops the run by returning false. Stops also at the first
  /// that is not right, or is long: VerifyRecord() says more. Returns the record it stopped at.
  /// REQUIRES: end <= record_capacity(). Throws Error(kIo).
  template <class Pass>
  std::uint64_t ProveRun(std::uint64_t i, std::uint64_t end, Cursor& cursor, const Pass& pass);

  /// Record i: layout inside the file and allowed by the schema, values inside the file, check
  /// right. REQUIRES: i < record_capacity(). Throws Error(kIo).
  VerifiedRecord VerifyRecord(std::uint64_t i);

 private:
  static constexpr std::uint64_t kLongestInRun = (64 << 10) / sizeof(Value);

  // What the check should be. `values`: all of them.
  std::uint32_t ChecksumOf(const Record& record, const LayoutFacts& layout,
                           const Value* values) const noexcept {
    const std::uint32_t head = BeginChecksum(seed_, record.start, record.step, record.row_session,
                                             record.layout, layout.digest);
    return FinishChecksum(ExtendChecksum(head, values, layout.total));
  }

  std::uint32_t CheckOfLong(const Record& record, const LayoutFacts& layout);

  WordFile<Value> values_;
  WordFile<Record> records_;
  WordFile<std::uint64_t> layouts_;
  std::uint32_t seed_;
  std::span<const Encoding> encodings_;
  std::array<LayoutFacts, 256> known_{};
};

/// Why `seen` cannot follow `cursor`, or null: docs/format.md, "Rows and records".
const char* WhyNotNext(const Cursor& cursor, const VerifiedRecord& seen) noexcept;

/// Moves the cursor over a record that continues it.
inline void Advance(const VerifiedRecord& seen, Cursor& cursor) noexcept {
  Advance(seen.record, seen.layout, cursor);
}

template <class Pass>
std::uint64_t RecordVerifier::ProveRun(std::uint64_t i, std::uint64_t end, Cursor& cursor,
                                       const Pass& pass) {
  LayoutFacts layout = Layout(0);
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
