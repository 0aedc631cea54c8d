// ApplyPack: appends the records of another store, from a pack. "Apply" in docs/format.md.
//
// Records keep their numbers, rows, steps and values. They get the session, the layouts and the
// checksums of this store, because recovery relies on them. As in extend.cc, everything that can
// fail comes before the first record is stored.
#include <algorithm>
#include <span>
#include <vector>

#include "base/str_cat.h"
#include "format/layout.h"
#include "format/pack.h"
#include "storage/appender_inline.h"
#include "storage/pack_records.h"
#include "storage/store_files.h"
#include "storage/writer_status.h"

namespace stream_store::internal {

// The content checksum of the last record, by which a pack recognises the record before it.
std::uint32_t Appender::LastContentChecksum() const noexcept {
  STREAM_STORE_ASSERT(cursor_.records > files_.begin().records);
  const Record& last = data_.records[cursor_.records - 1];
  const std::uint64_t empty = 0;
  std::span<const std::uint64_t> words(&empty, 1);
  if (last.layout != 0) {
    const std::uint64_t* head = data_.layouts + LayoutWordBefore(cursor_.layout_words, last.layout);
    words = {head, WordType(*head) + 1};
  }
  const std::uint32_t state = BeginContentChecksum(last, LayoutDigest(words));
  return FinishChecksum(
      ExtendChecksum(state, data_.values + last.start, cursor_.values - last.start));
}

// Throws unless the record of the pack with the number of the next record can come next.
void Appender::RequireContinues(const PackRecords& pack) const {
  const std::string& path = files_.path_text();
  if (pack.first_record() > cursor_.records) {
    throw Error(ErrorCode::kOutOfRange,
                StrCat(path, ": applying ", pack.name(), ": expected record ", cursor_.records,
                       " but the pack begins at record ", pack.first_record()));
  }
  if (pack.end_record() < cursor_.records) {
    return;
  }
  const bool has_last = cursor_.records > files_.begin().records;
  const PackRecords::Previous previous = pack.PreviousOf(cursor_.records);
  if (has_last && previous.known && previous.checksum != LastContentChecksum()) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat(path, ": applying ", pack.name(), ": record ", cursor_.records - 1,
                       " is another one in the source: the two stores have different rows"));
  }
  if (pack.end_record() == cursor_.records) {
    return;
  }
  const VerifiedRecord next{.number = cursor_.records,
                            .record = pack.record(cursor_.records),
                            .layout = pack.layouts()[pack.layout_of(cursor_.records)].facts};
  Cursor at = cursor_;
  at.follows_record = has_last;
  if (const char* fault = WhyNotNext(at, next)) {
    throw Error(ErrorCode::kInvalidArgument, StrCat(path, ": applying ", pack.name(), ": record ",
                                                    cursor_.records, ": ", fault));
  }
}

// Finds or writes the layouts of records up to `end`, which may lie in several chunks of `records`.
std::vector<std::uint32_t> Appender::LayoutsOfPack(const PackRecords& pack, std::uint64_t end) {
  struct Known {
    std::uint64_t chunk = ~std::uint64_t{0};
    std::uint32_t layout = 0;
  };

  std::vector<Known> known(pack.layouts().size());
  std::vector<std::uint32_t> layouts;
  layouts.reserve(end - cursor_.records);
  ShapeCache shape;
  for (std::uint64_t i = cursor_.records; i < end; ++i) {
    EnterRecordsChunk(i);
    const std::uint32_t place = pack.layout_of(i);
    if (known[place].chunk != layouts_chunk_) {
      UseLayout(pack.layouts()[place].words, shape);
      known[place] = {layouts_chunk_, shape.offset};
    }
    layouts.push_back(known[place].layout);
  }
  return layouts;
}

// Stores the values of the records from `at` on. Many are written with system calls: on ext4 that
// takes half of the time of storing to fresh pages of the mapping, each of which is a fault first.
void Appender::StoreValues(const PackRecords& pack, const Cursor& at, std::uint64_t end) {
  constexpr std::uint64_t kManyValues = (std::uint64_t{1} << 20) / sizeof(Value);
  const std::uint64_t count = end - at.values;
  const Value* const values = pack.values(at.records);
  if (count < kManyValues) {
    std::copy_n(values, count, data_.values + at.values);
  } else {
    files_.values.files().WriteAt(std::as_bytes(std::span(values, count)),
                                  at.values * sizeof(Value));
    files_.values.files().CloseFile();  // a writer keeps no descriptor of its data files
  }
}

std::uint64_t Appender::ApplyPack(const PackRecords& pack, std::uint64_t end) {
  const AppendFlag::Hold hold(flag_);
  status_.RequireWritable("apply_pack");
  RequireNotStaging("apply_pack");
  RequireContinues(pack);
  STREAM_STORE_ASSERT(end <= pack.end_record());
  if (end <= cursor_.records) {
    return 0;
  }
  const ChunkScope scope(*this, cursor_);
  room_ = cursor_;
  const std::vector<std::uint32_t> layouts = LayoutsOfPack(pack, end);
  Cursor at = cursor_;
  const std::uint64_t values_end =
      end == pack.end_record() ? pack.end_position() : pack.record(end).start;
  if (!capacity_.Fits(values_end, end + 1)) {
    MakeRoom(values_end, end + 1, cursor_.layout_words);
  }
  StoreValues(pack, at, values_end);
  for (std::uint64_t i = at.records; i < end; ++i) {
    const LayoutFacts& shape = pack.layouts()[pack.layout_of(i)].facts;
    const Record& source = pack.record(i);
    const std::uint64_t row = RowOfRecord(source.row_session);
    DecidedRecord decided{.step = source.step,
                          .start = at.values,
                          .row_session = PackRowSession(row, session_),
                          .total = shape.total,
                          .layout = layouts[i - cursor_.records],
                          .digest = shape.digest,
                          .begins_row = row == at.rows};
    decided.checksum =
        FinishChecksum(ExtendChecksum(BeginDecidedChecksum(decided), pack.values(i), shape.total));
    StoreRecord(decided, i);
    Advance(source, shape, at);
  }
  const std::uint64_t applied = end - cursor_.records;
  Publish(at);
  return applied;
}

}  // namespace stream_store::internal
