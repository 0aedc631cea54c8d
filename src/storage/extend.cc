// Appends of several records with one publish: AppendGroups() and Extend().
//
// There are three passes: decide on every record (shape, place, layout), encode every value, store
// every record. The third cannot fail, and is the first to write to `records`, so a call that fails
// in an earlier one leaves the store as it was.
#include <algorithm>

#include "format/layout.h"
#include "storage/appender_inline.h"
#include "storage/column_rows.h"
#include "storage/store_files.h"
#include "storage/writer_status.h"

namespace stream_store::internal {
namespace {

bool Present(const Column& column, std::uint64_t row) noexcept {
  return column.present == nullptr || column.present[row] != 0;
}

// Whether all rows of the columns have the same shape.
bool Regular(std::span<const Column> columns) noexcept {
  return std::ranges::all_of(columns, [](const Column& column) {
    return column.offsets == nullptr && column.present == nullptr;
  });
}

}  // namespace

// Decides on one record, which goes to `at`, and moves `at` after it. Its checksum is not known
// yet.
void Appender::Decide(Step step, const ShapeCache& shape, bool continues, Cursor& at) {
  decided_.push_back(
      DecidedRecord{.step = step,
                    .start = at.values,
                    .row_session = PackRowSession(at.rows - (continues ? 1 : 0), session_),
                    .total = shape.total,
                    .layout = shape.offset,
                    .digest = shape.digest,
                    .begins_row = !continues});
  MoveCursor(shape, step, continues, at);
}

// Stores the records of decided_ from number `record` on. `flipped` is the mask of the checksum
// bits that are inverted: all bits for staged rows, else none.
void Appender::StoreDecided(std::uint64_t record, std::uint32_t flipped) noexcept {
  for (DecidedRecord& decided : decided_) {
    decided.checksum ^= flipped;
    StoreRecord(decided, record++);
  }
}

// Makes the stored records visible; they end at `after`. Layouts may have been added since `after`
// was copied from the cursor, so the number of layout words is kept.
void Appender::Publish(const Cursor& after) noexcept {
  const std::uint64_t layout_words = cursor_.layout_words;
  cursor_ = after;
  cursor_.layout_words = layout_words;
  published_.store(cursor_.records, std::memory_order_release);
}

// A group that is empty and continues the last row stores nothing, so only the others are kept.
Refusal Appender::AppendGroups(std::span<const Group> groups, std::size_t* failed_group) {
  const AppendFlag::Hold hold(flag_);
  status_.RequireWritable("append");
  RequireNotStaging("append");
  const ChunkScope scope(*this, cursor_);
  decided_.clear();
  Cursor at = cursor_;
  room_ = cursor_;
  std::vector<std::size_t> kept;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    *failed_group = g;
    const Group& group = groups[g];
    const bool continues = at.rows > 0 && group.step == at.step;
    EnterRecordsChunk(at.records);
    ShapeCache& shape = shapes_[continues];
    if (!SameShape(group.writes, shape)) {
      if (const Refusal refusal = CheckShape(group.writes, shape); refusal.code != ErrorCode::kOk) {
        return refusal;
      }
    }
    if (!MayFollow(group.step, shape, continues, at)) {
      return RefusePlace(group.step, continues, at);
    }
    if (!continues || shape.fields > 0) {
      kept.push_back(g);
      Decide(group.step, shape, continues, at);
    }
  }
  if (!capacity_.Fits(at.values, at.records + 1)) {
    MakeRoom(at.values, at.records + 1, cursor_.layout_words);
  }
  room_ = at;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    *failed_group = kept[i];
    const std::span<const FieldWrite> writes = groups[kept[i]].writes;
    ShapeCache& shape = shapes_[decided_[i].begins_row ? 0 : 1];
    if (!SameShape(writes, shape)) {
      // The group passed in the first pass, but a later group of another shape has replaced the
      // plan since.
      CheckShape(writes, shape);
    }
    std::size_t bad_write = 0;
    if (const std::uint64_t bad = EncodeWrites(writes, shape, decided_[i], &bad_write);
        bad != kEncodedAll) {
      return Refuse(Refusal::Rule::kValue, bad_write, 0, bad);
    }
  }
  StoreDecided(cursor_.records, /*flipped=*/0);
  Publish(at);
  room_ = cursor_;
  return {};
}

// Checks types and order, which are the same for all rows. Lengths and values are checked per row.
Refusal Appender::CheckColumns(std::span<const Column> columns) const {
  for (std::size_t c = 0; c < columns.size(); ++c) {
    if (columns[c].type >= schema_->encodings.size()) {
      return Refuse(Refusal::Rule::kUnknownType, c, 0);
    }
    if (c > 0 && columns[c].type <= columns[c - 1].type) {
      return Refuse(Refusal::Rule::kOrder, c, 0);
    }
  }
  return columns.size() > kLayoutMaxFields ? Refuse(Refusal::Rule::kOrder, kLayoutMaxFields, 0)
                                           : Refusal{};
}

// Finds the layout of one row, of the columns that are present in it, and checks its lengths. Rows
// often have the shape of the row before: then the cached layout is kept.
Refusal Appender::ShapeRow(std::span<const Column> columns, std::uint64_t row, ShapeCache& shape) {
  layout_words_.resize(1);
  std::uint64_t total = 0;
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const Column& column = columns[c];
    if (!Present(column, row)) {
      continue;
    }
    if (column.offsets != nullptr &&
        (column.offsets[row] < 0 || column.offsets[row + 1] < column.offsets[row])) {
      return Refuse(Refusal::Rule::kLength, c, row);
    }
    const FieldWrite write = WriteOfRow(column, row);
    const std::uint64_t length =
        EncodedWords(schema_->encodings[column.type], column.source, write.count());
    if (length > kMaxWriteValues || total + length > kMaxWriteValues) {
      return Refuse(Refusal::Rule::kLength, c, row);
    }
    total += length;
    layout_words_.push_back(LayoutWord(column.type, length));
  }
  layout_words_[0] = LayoutHead(layout_words_.size() - 1, total);
  const bool same = shape.fields == layout_words_.size() - 1 &&
                    std::equal(layout_words_.begin() + 1, layout_words_.end(), shape.words);
  if (!same) {
    UseLayout(layout_words_, shape);
  }
  return {};
}

Refusal Appender::DecideRows(std::span<const Step> steps, std::span<const Column> columns,
                             Cursor& at) {
  ShapeCache& shape = shapes_[0];
  for (std::size_t row = 0; row < steps.size(); ++row) {
    if (at.rows > 0 && steps[row] <= at.step) {
      return Refuse(Refusal::Rule::kStepNotAfter, 0, row);
    }
    EnterRecordsChunk(at.records);
    if (const Refusal refusal = ShapeRow(columns, row, shape); refusal.code != ErrorCode::kOk) {
      return refusal;
    }
    if (!MayFollow(steps[row], shape, /*continues=*/false, at)) {
      return RefusePlace(steps[row], /*continues=*/false, at);
    }
    Decide(steps[row], shape, false, at);
  }
  return {};
}

// The second pass for rows of different shapes: row by row, since their values interleave.
Refusal Appender::EncodeRows(std::span<const Column> columns) {
  for (std::size_t row = 0; row < decided_.size(); ++row) {
    DecidedRecord& decided = decided_[row];
    Value* const begin = data_.values + decided.start;
    Value* out = begin;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const Column& column = columns[c];
      if (!Present(column, row)) {
        continue;
      }
      const FieldWrite write = WriteOfRow(column, row);
      const Encoding& encoding = schema_->encodings[column.type];
      const std::uint64_t bad = Encode(encoding, column.source, write.data(), write.count(), out);
      if (bad != kEncodedAll) {
        return Refuse(Refusal::Rule::kValue, c, row, bad);
      }
      out += EncodedWords(encoding, column.source, write.count());
    }
    decided.checksum =
        FinishChecksum(ExtendChecksum(BeginDecidedChecksum(decided), begin, decided.total));
  }
  return {};
}

// The two passes that can fail, for rows that begin at `at`; moves it to their end.
Refusal Appender::PrepareRows(std::span<const Step> steps, std::span<const Column> columns,
                              Cursor& at) {
  if (const Refusal refusal = CheckColumns(columns); refusal.code != ErrorCode::kOk) {
    return refusal;
  }
  const Cursor begin = at;
  const bool regular = Regular(columns);
  decided_.clear();
  if (!regular) {
    decided_.reserve(steps.size());
  }
  const Refusal refusal =
      regular ? DecideRegular(steps, columns, at) : DecideRows(steps, columns, at);
  if (refusal.code != ErrorCode::kOk) {
    return refusal;
  }
  if (!capacity_.Fits(at.values, at.records + 1)) {
    MakeRoom(at.values, at.records + 1, cursor_.layout_words);
  }
  return regular ? EncodeRegular(steps, columns, begin) : EncodeRows(columns);
}

// The third pass, for rows that PrepareRows() accepted, from `begin` on.
void Appender::StorePrepared(std::span<const Step> steps, const Cursor& begin,
                             std::uint32_t flipped) noexcept {
  if (!decided_.empty()) {
    StoreDecided(begin.records, flipped);
    return;
  }
  std::uint64_t record = begin.records;
  for (std::uint64_t i = 0; i < steps.size();) {
    const std::uint32_t layout = RegularLayout(begin, i);
    const std::uint64_t end = i + RowsOfChunk(record, steps.size() - i);
    STREAM_STORE_ASSERT(end <= steps.size());
    DecidedRecord row = RegularRow(begin, i, layout);
    for (; i < end; ++i, MoveToNextRow(row)) {
      row.step = steps[i];
      row.checksum = checksums_[i] ^ flipped;
      StoreRecord(row, record++);
    }
  }
}

Refusal Appender::Extend(std::span<const Step> steps, std::span<const Column> columns,
                         Row* first_row) {
  const AppendFlag::Hold hold(flag_);
  status_.RequireWritable("extend");
  RequireNotStaging("extend");
  *first_row = static_cast<Row>(cursor_.rows);
  if (steps.empty()) {
    return CheckColumns(columns);
  }
  const ChunkScope scope(*this, cursor_);
  Cursor at = cursor_;
  if (const Refusal refusal = PrepareRows(steps, columns, at); refusal.code != ErrorCode::kOk) {
    return refusal;
  }
  StorePrepared(steps, cursor_, /*flipped=*/0);
  Publish(at);
  return {};
}

}  // namespace stream_store::internal
