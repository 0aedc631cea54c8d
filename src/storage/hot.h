// The pieces of the hot path that Append() and the calls of many records share, small enough to be
// inlined.
//
// Included by append.cc, append_many.cc, append_regular.cc and stage.cc only. Numbers in comments are the steps of "Append" in
// docs/format.md.
#pragma once

#include "base/crc32c.h"
#include "format/checksum.h"
#include "storage/writer.h"

namespace stream_store::internal {

// A build for benchmarks alone measures what checks and publishing cost by leaving them out.
#ifdef STREAM_STORE_BENCHMARK_UNCHECKED
inline constexpr bool kChecksums = false;
#else
inline constexpr bool kChecksums = true;
#endif

// Longer runs go through the three-stream function.
inline constexpr std::uint64_t kInlineChecksumWords = 24;

inline std::uint32_t ExtendChecksum(std::uint32_t state, const Value* values,
                                    std::uint64_t count) noexcept {
  if (count > kInlineChecksumWords) {
    return Crc32cExtendWords(state, values, count);
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    state = Crc32cExtendWord(state, static_cast<std::uint64_t>(values[i]));
  }
  return state;
}

inline Refusal Refuse(Refusal::Rule rule, std::uint64_t write, std::uint64_t row = 0,
                      std::uint64_t item = 0) {
  return Refusal{
      .code = ErrorCode::kInvalidArgument, .rule = rule, .write = write, .row = row, .item = item};
}

// Step 2: whether the call has the shape that `memo` was checked for.
inline bool Writer::SameShape(std::span<const FieldWrite> writes, const ShapeCache& memo) noexcept {
  const std::size_t count = writes.size();
  if (count != memo.plan.size() || count != memo.fields) {
    return false;
  }
  const PlannedWrite* plan = memo.plan.data();
  std::uint64_t different = 0;
  for (std::size_t i = 0; i < count; ++i) {
    different |=
        (writes[i].shape_word() ^ plan[i].shape_word) | (writes[i].count() ^ plan[i].count);
  }
  return different == 0;
}

// Step 5: values and their check. Returns kEncodedAll, or the item that does not belong, with its
// write in `*bad_write`.
inline std::uint64_t Writer::EncodeWrites(std::span<const FieldWrite> writes,
                                          const ShapeCache& memo, Staged& staged,
                                          std::size_t* bad_write) noexcept {
  Value* const begin = values_ + staged.start;
  Value* out = begin;
  for (std::size_t i = 0; i < writes.size(); ++i) {
    const PlannedWrite& plan = memo.plan[i];
    const auto* items = static_cast<const unsigned char*>(writes[i].data());
    switch (plan.way) {
      case PlannedWrite::Way::kOneWord:
        std::memcpy(out, items, sizeof(Value));
        break;
      case PlannedWrite::Way::kOneBool:
        *out = *items != 0 ? 1 : 0;
        break;
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
    staged.checksum =
        FinishChecksum(ExtendChecksum(BeginDecidedChecksum(staged), begin, staged.total));
  }
  return kEncodedAll;
}

inline std::uint32_t Writer::BeginDecidedChecksum(const Staged& staged) const noexcept {
  return BeginChecksum(seed_, staged.start, staged.step, PackRowSession(staged.row, session_bits_),
                       staged.layout, staged.digest);
}

// Steps 6 and 7: hints, then the record (never its `start`), then the sentinel behind it.
inline void Writer::StoreRecord(const Staged& staged, std::uint64_t record) noexcept {
  const std::uint64_t end = staged.start + staged.total;
  for (std::uint64_t slot = (staged.start + kHintStride - 1) / kHintStride;
       slot * kHintStride < end; ++slot) {
    hints_[slot].position_record = record;
  }
  if (staged.begins_row && staged.row % kHintStride == 0) {
    hints_[staged.row / kHintStride].row_record = record;
  }
  Record& out = records_[record];
  out.step = staged.step;
  out.row_session = PackRowSession(staged.row, session_bits_);
  out.layout = staged.layout;
  out.checksum = staged.checksum;
  records_[record + 1].start = end;
}

// Row `row` of a call whose rows have one shape, without its check.
inline Writer::Staged Writer::RegularRow(std::span<const Step> steps, const Cursor& begin,
                                         std::uint64_t row) const noexcept {
  const ShapeCache& memo = memos_[0];
  return {.step = steps[row],
          .start = begin.values + row * memo.total,
          .row = begin.rows + row,
          .total = memo.total,
          .layout = memo.offset,
          .digest = memo.digest};
}

inline void Writer::MoveCursor(const ShapeCache& memo, Step step, bool continues,
                               Cursor& at) noexcept {
  at.records += 1;
  at.values += memo.total;
  at.field_writes += memo.fields;
  at.rows += continues ? 0 : 1;
  at.step = step;
  at.last_type = memo.last_type;
}

// Whether a record may stand here: a new row after the last step, or fields after those of the last
// row.
inline bool Writer::MayFollow(Step step, const ShapeCache& memo, bool continues,
                              const Cursor& at) noexcept {
  if (continues) {
    return memo.fields == 0 || memo.first_type > at.last_type;
  }
  return at.rows == 0 || (step > at.step && at.rows < kMaxRows);
}

inline bool Writer::Fits(std::uint64_t values, std::uint64_t records) const noexcept {
  return values <= values_limit_.load(std::memory_order_relaxed) &&
         records <= records_limit_.load(std::memory_order_relaxed);
}

}  // namespace stream_store::internal
