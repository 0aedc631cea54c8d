// The pieces of the hot path that the sources of Appender share, small enough to be inlined.
//
// Included by those sources only: appender.cc, apply.cc, extend.cc,
// extend_regular.cc and stage.cc. Numbers
// in comments are the steps of "Append" in docs/format.md.
#pragma once

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "format/checksum.h"
#include "storage/appender.h"
#include "storage/capacity.h"

namespace stream_store::internal {

// A special build leaves out checksums and publishing, so that benchmarks can measure their cost.
#ifdef STREAM_STORE_BENCHMARK_UNCHECKED
inline constexpr bool kChecksums = false;
#else
inline constexpr bool kChecksums = true;
#endif

inline Refusal Refuse(Refusal::Rule rule, std::uint64_t write, std::uint64_t row = 0,
                      std::uint64_t item = 0) {
  return Refusal{
      .code = ErrorCode::kInvalidArgument, .rule = rule, .write = write, .row = row, .item = item};
}

// Step 2: whether the call has the shape that was checked. It collects the differences of all
// field-writes before it branches, which is faster than a branch for each of them.
inline bool Appender::SameShape(std::span<const FieldWrite> writes,
                                const ShapeCache& shape) noexcept {
  const std::size_t count = writes.size();
  if (count != shape.plan.size() || count != shape.fields) {
    return false;
  }
  const PlannedWrite* plan = shape.plan.data();
  std::uint64_t different = 0;
  for (std::size_t i = 0; i < count; ++i) {
    different |=
        (writes[i].shape_word() ^ plan[i].shape_word) | (writes[i].count() ^ plan[i].count);
  }
  return different == 0;
}

// Restores, at the end of a call of several records, that the layouts belong to the chunk where the
// next record goes: the call may have been refused after it entered a later chunk.
class Appender::ChunkScope {
 public:
  ChunkScope(Appender& appender, const Cursor& next) : appender_(appender), next_(next) {}

  ChunkScope(const ChunkScope&) = delete;
  ChunkScope& operator=(const ChunkScope&) = delete;

  // The caller holds the append flag, which the analysis cannot see here.
  ~ChunkScope() NO_THREAD_SAFETY_ANALYSIS { appender_.EnterRecordsChunk(next_.records); }

 private:
  Appender& appender_;
  const Cursor& next_;
};

// Step 5: encodes the values and computes the checksum. Returns kEncodedAll, or the number of the
// invalid item, with that of its field-write in `*bad_write`.
inline std::uint64_t Appender::EncodeWrites(std::span<const FieldWrite> writes,
                                            const ShapeCache& shape, DecidedRecord& decided,
                                            std::size_t* bad_write) noexcept {
  STREAM_STORE_ASSERT(SameShape(writes, shape));
  Value* const begin = data_.values + decided.start;
  Value* out = begin;
  for (std::size_t i = 0; i < writes.size(); ++i) {
    const PlannedWrite& plan = shape.plan[i];
    const auto* items = static_cast<const unsigned char*>(writes[i].data());
    switch (plan.way) {
      case PlannedWrite::Way::kOneWord:
        std::memcpy(out, items, sizeof(Value));
        break;
      case PlannedWrite::Way::kOneBool:
        *out = *items != 0 ? 1 : 0;
        break;
      case PlannedWrite::Way::kOneNumber: {
        std::uint64_t bits = 0;
        std::memcpy(&bits, items, sizeof(bits));
        if (IsBeyondRange(bits, kBeyondFloat32)) [[unlikely]] {
          *bad_write = i;
          return 0;
        }
        *out = static_cast<Value>(bits);
        break;
      }
      case PlannedWrite::Way::kLoop:
        if (const std::uint64_t bad = plan.loop(*plan.encoding, items, plan.count, out);
            bad != kEncodedAll) [[unlikely]] {
          *bad_write = i;
          return bad;
        }
        break;
      case PlannedWrite::Way::kNothing:
        break;
    }
    out += plan.words;
  }
  if constexpr (kChecksums) {
    decided.checksum =
        FinishChecksum(ExtendChecksum(BeginDecidedChecksum(decided), begin, decided.total));
  }
  return kEncodedAll;
}

inline std::uint32_t Appender::BeginDecidedChecksum(const DecidedRecord& decided) const noexcept {
  return BeginChecksum(seed_, decided.start, decided.step, decided.row_session, decided.layout,
                       decided.digest);
}

// Steps 6 and 7: the hints, then the record (never its `start`, which was published as the sentinel
// of the call before, so readers may be looking at it), then the sentinel after it.
inline void Appender::StoreRecord(const DecidedRecord& decided, std::uint64_t record) noexcept {
  STREAM_STORE_ASSERT(SessionOfRecord(decided.row_session) == static_cast<std::uint16_t>(session_));
  const std::uint64_t end = decided.start + decided.total;
  std::uint64_t* const position_hints = data_.position_hints;
  ForEachHintSlot(decided.start, end, [=](std::uint64_t slot) { position_hints[slot] = record; });
  const std::uint64_t row = RowOfRecord(decided.row_session);
  if (decided.begins_row && row % kHintStride == 0) {
    data_.row_hints[row / kHintStride] = record;
  }
  Record& out = data_.records[record];
  out.step = decided.step;
  out.row_session = decided.row_session;
  out.layout = decided.layout;
  out.checksum = decided.checksum;
  data_.records[record + 1].start = end;
}

// How many of `rows` records from number `record` on are in the chunk of the first one.
inline std::uint64_t Appender::RowsOfChunk(std::uint64_t record,
                                           std::uint64_t rows) const noexcept {
  return std::min(rows, chunk_records_ - record % chunk_records_);
}

// The layout of row `row` of a call whose rows have one shape, and of all that follow in its chunk.
inline std::uint32_t Appender::RegularLayout(const Cursor& begin,
                                             std::uint64_t row) const noexcept {
  return regular_layouts_[(begin.records + row) / chunk_records_ - begin.records / chunk_records_];
}

// Row `row` of such a call, without its step and its checksum. A loop over rows calls this once and
// moves the result, which stays in registers: `begin` and shapes_ would be loaded for each row,
// since a store to a hint might change them as far as the compiler knows.
inline Appender::DecidedRecord Appender::RegularRow(const Cursor& begin, std::uint64_t row,
                                                    std::uint32_t layout) const noexcept {
  const ShapeCache& shape = shapes_[0];
  return {.start = begin.values + row * shape.total,
          .row_session = PackRowSession(begin.rows + row, session_),
          .total = shape.total,
          .layout = layout,
          .digest = shape.digest};
}

// Moves such a row to the place of the one after it.
inline void Appender::MoveToNextRow(DecidedRecord& row) noexcept {
  row.start += row.total;
  row.row_session += 1;  // the row is in the low bits
}

inline void Appender::MoveCursor(const ShapeCache& shape, Step step, bool continues,
                                 Cursor& at) noexcept {
  at.records += 1;
  at.values += shape.total;
  at.field_writes += shape.fields;
  at.rows += continues ? 0 : 1;
  at.step = step;
  at.last_type = shape.last_type;
}

// Whether a record of that shape may come next: a new row after the last step, or fields after
// those of the last row.
inline bool Appender::MayFollow(Step step, const ShapeCache& shape, bool continues,
                                const Cursor& at) noexcept {
  if (continues) {
    return shape.fields == 0 || shape.first_type > at.last_type;
  }
  return at.rows == 0 || (step > at.step && at.rows < kMaxRows);
}

}  // namespace stream_store::internal
