// PackRecords: the records of a pack, each verified. CollectPack(): the pack of a range of records.
//
// A pack is verified in the same way when it is made and before it is applied: its CRC32C, its
// layouts, the checksum of each record with the session and the layout that it has in the source,
// and that each record follows the one before. Used by Appender::ApplyPack() and by
// stream_store/replication.h. Thread rules: an object belongs to one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "stream_store/schema.h"

#include "base/assert.h"
#include "format/encoding.h"
#include "format/pack.h"
#include "storage/damaged_files.h"
#include "storage/record_verifier.h"

namespace stream_store::internal {

class PackRecords {
 public:
  /// One of the layouts.
  struct Layout {
    std::span<const std::uint64_t> words;  ///< the head, then the words of the fields
    LayoutFacts facts;
  };

  /// Decodes and verifies a pack.
  ///
  /// bytes      must outlive this object, unless they are not aligned to 8 bytes: then they are
  ///            copied.
  /// schema     of the source, with all fields that the records may have.
  /// encodings  of its fields.
  /// name       that of the pack in messages.
  /// Throws     Error(kCorrupt, kVersion), naming the pack and the record.
  PackRecords(std::span<const std::byte> bytes, const Schema& schema,
              std::span<const Encoding> encodings, const std::string& name);
  ~PackRecords() = default;
  PackRecords(const PackRecords&) = delete;
  PackRecords& operator=(const PackRecords&) = delete;

  const PackHeader& header() const noexcept { return parts_.header; }

  const std::string& name() const noexcept { return name_; }

  std::uint64_t first_record() const noexcept { return header().first_record; }

  /// The number after that of the last record.
  std::uint64_t end_record() const noexcept { return first_record() + header().records; }

  /// The record of a number, as it is in the source. REQUIRES: the pack has it.
  const Record& record(std::uint64_t number) const noexcept {
    STREAM_STORE_ASSERT(first_record() <= number && number < end_record());
    return parts_.records[number - first_record()];
  }

  /// Its values. REQUIRES: the pack has it.
  const Value* values(std::uint64_t number) const noexcept {
    STREAM_STORE_ASSERT(first_record() <= number && number < end_record());
    return parts_.values.data() + (record(number).start - header().first_position);
  }

  /// All layouts, in the order of layout_of().
  const std::vector<Layout>& layouts() const noexcept { return layouts_; }

  /// The number in layouts() of a record's layout. REQUIRES: the pack has the record.
  std::uint32_t layout_of(std::uint64_t number) const noexcept {
    STREAM_STORE_ASSERT(first_record() <= number && number < end_record());
    return layout_of_[number - first_record()];
  }

  /// The content checksum of the record before number `number`, and whether it is known.
  /// REQUIRES: first_record() <= number && number <= end_record().
  struct Previous {
    bool known = false;
    std::uint32_t checksum = 0;
  };

  Previous PreviousOf(std::uint64_t number) const noexcept;

  /// Where the last record ends: the rows and the values up to there.
  std::uint64_t end_row() const noexcept { return end_.rows; }

  std::uint64_t end_position() const noexcept { return end_.values; }

 private:
  void TakeLayouts(std::span<const Encoding> encodings);
  void VerifyRecord(const Schema& schema, std::uint64_t i, const LayoutFacts& layout) const;
  void VerifyRecords(const Schema& schema);
  [[noreturn]] void Throw(std::uint64_t record, const char* fault) const;

  const std::string name_;
  std::vector<std::uint64_t> copy_;  // of bytes that were not aligned
  PackParts parts_;
  std::vector<Layout> layouts_;
  std::vector<std::uint32_t> keys_;  // Record::layout of each
  std::vector<std::uint32_t> layout_of_;
  Cursor end_;
};

/// Returns the pack of the records from `first` on: up to `end`, and as many of them as fit into
/// `most_bytes`, but at least one. Each is verified in the bytes of the pack.
///
/// Cost      reads the records twice and their values once, with pread().
/// Throws    Error(kCorrupt) naming the invalid record, Error(kIo).
/// REQUIRES: source.verifiable(); source.begin.records <= first && first < end; the source has the
/// records.
std::vector<std::byte> CollectPack(const DamagedFiles& source, std::uint64_t first,
                                   std::uint64_t end, std::uint64_t most_bytes);

}  // namespace stream_store::internal
