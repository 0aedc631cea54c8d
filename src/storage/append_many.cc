// Appends of several records with one publish: Append(steps, writes) and Extend(columns).
//
// Three passes: decide every record (shape, place, layout), encode every value, store every record.
// Only the last one cannot fail, and it is the first to touch `records`.
#include <algorithm>
#include <cstring>

#include "storage/column_rows.h"
#include "storage/hot.h"

namespace stream_store::internal {
namespace {

bool Present(const Column& column, std::uint64_t row) noexcept {
  return column.present == nullptr || column.present[row] != 0;
}

// Every row of such columns has the same shape.
bool Regular(std::span<const Column> columns) noexcept {
  return std::ranges::all_of(columns, [](const Column& column) {
    return column.offsets == nullptr && column.present == nullptr;
  });
}

}  // namespace

void Writer::Stage(Step step, const ShapeCache& memo, bool continues, Cursor& at) {
  staged_.push_back(Staged{.step = step,
                           .start = at.values,
                           .row = at.rows - (continues ? 1 : 0),
                           .total = memo.total,
                           .layout = memo.offset,
                           .digest = memo.digest,
                           .begins_row = !continues});
  MoveCursor(memo, step, continues, at);
}

// The records of staged_, from `record` on; `flipped` are the bits of their checks to invert.
void Writer::StoreStaged(std::uint64_t record, std::uint32_t flipped) noexcept {
  for (Staged& staged : staged_) {
    staged.checksum ^= flipped;
    StoreRecord(staged, record++);
  }
}

// One publish for all that was stored.
void Writer::Commit(const Cursor& after) noexcept {
  const std::uint64_t layout_words = cursor_.layout_words;
  cursor_ = after;
  cursor_.layout_words = layout_words;
  published_.store(cursor_.records, std::memory_order_release);
}

Refusal Writer::AppendGroups(std::span<const Group> groups, std::size_t* failed_group) {
  const AppendFlag::Hold hold(flag_);
  CheckWritable();
  CheckNotStaging();
  staged_.clear();
  Cursor at = cursor_;
  std::vector<std::size_t> kept;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    *failed_group = g;
    const Group& group = groups[g];
    const bool continues = at.rows > 0 && group.step == at.step;
    ShapeCache& memo = memos_[continues];
    if (!SameShape(group.writes, memo)) {
      if (const Refusal verdict = CheckShape(group.writes, memo); verdict.code != ErrorCode::kOk) {
        return verdict;
      }
    }
    if (!MayFollow(group.step, memo, continues, at)) {
      return RefusePlace(group.step, continues, at);
    }
    if (!continues || memo.fields > 0) {
      kept.push_back(g);
      Stage(group.step, memo, continues, at);
    }
  }
  if (!Fits(at.values, at.records + 1)) {
    MakeRoom(at.values, at.records + 1, cursor_.layout_words);
  }
  for (std::size_t i = 0; i < kept.size(); ++i) {
    *failed_group = kept[i];
    const std::span<const FieldWrite> writes = groups[kept[i]].writes;
    ShapeCache& memo = memos_[staged_[i].begins_row ? 0 : 1];
    if (!SameShape(writes, memo)) {
      CheckShape(writes, memo);  // passed once already
    }
    std::size_t bad_write = 0;
    if (const std::uint64_t bad = EncodeWrites(writes, memo, staged_[i], &bad_write);
        bad != kEncodedAll) {
      return Refuse(Refusal::Rule::kValue, bad_write, 0, bad);
    }
  }
  StoreStaged(cursor_.records, /*flipped=*/0);
  Commit(at);
  return {};
}

Refusal Writer::CheckColumns(std::span<const Column> columns) const {
  for (std::size_t c = 0; c < columns.size(); ++c) {
    if (columns[c].type >= store_schema_->encodings.size()) {
      return Refuse(Refusal::Rule::kUnknownType, c, 0);
    }
    if (c > 0 && columns[c].type <= columns[c - 1].type) {
      return Refuse(Refusal::Rule::kOrder, c, 0);
    }
  }
  return columns.size() > kLayoutMaxFields ? Refuse(Refusal::Rule::kOrder, kLayoutMaxFields, 0)
                                           : Refusal{};
}

Refusal Writer::ShapeRow(std::span<const Column> columns, std::uint64_t row, ShapeCache& memo) {
  scratch_words_.resize(1);
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
        EncodedWords(store_schema_->encodings[column.type], column.source, write.count());
    if (length > kMaxWriteValues || total + length > kMaxWriteValues) {
      return Refuse(Refusal::Rule::kLength, c, row);
    }
    total += length;
    scratch_words_.push_back(LayoutWord(column.type, length));
  }
  scratch_words_[0] = LayoutHead(scratch_words_.size() - 1, total);
  const bool same = memo.fields == scratch_words_.size() - 1 &&
                    std::equal(scratch_words_.begin() + 1, scratch_words_.end(), memo.words);
  if (!same) {
    UseLayout(scratch_words_, memo);
  }
  return {};
}

Refusal Writer::DecideRows(std::span<const Step> steps, std::span<const Column> columns,
                           Cursor& at) {
  ShapeCache& memo = memos_[0];
  for (std::size_t row = 0; row < steps.size(); ++row) {
    if (at.rows > 0 && steps[row] <= at.step) {
      return Refuse(Refusal::Rule::kStepNotAfter, 0, row);
    }
    if (const Refusal verdict = ShapeRow(columns, row, memo); verdict.code != ErrorCode::kOk) {
      return verdict;
    }
    if (!MayFollow(steps[row], memo, /*continues=*/false, at)) {
      return RefusePlace(steps[row], /*continues=*/false, at);
    }
    Stage(steps[row], memo, false, at);
  }
  return {};
}

Refusal Writer::EncodeRows(std::span<const Column> columns) {
  for (std::size_t row = 0; row < staged_.size(); ++row) {
    Staged& staged = staged_[row];
    Value* const begin = values_ + staged.start;
    Value* out = begin;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const Column& column = columns[c];
      if (!Present(column, row)) {
        continue;
      }
      const FieldWrite write = WriteOfRow(column, row);
      const Encoding& encoding = store_schema_->encodings[column.type];
      const std::uint64_t bad = Encode(encoding, column.source, write.data(), write.count(), out);
      if (bad != kEncodedAll) {
        return Refuse(Refusal::Rule::kValue, c, row, bad);
      }
      out += EncodedWords(encoding, column.source, write.count());
    }
    staged.checksum =
        FinishChecksum(ExtendChecksum(BeginDecidedChecksum(staged), begin, staged.total));
  }
  return {};
}

// The passes that can fail, of rows that go to `at` and move it on.
Refusal Writer::PrepareRows(std::span<const Step> steps, std::span<const Column> columns,
                            Cursor& at) {
  if (const Refusal verdict = CheckColumns(columns); verdict.code != ErrorCode::kOk) {
    return verdict;
  }
  const Cursor begin = at;
  const bool regular = Regular(columns);
  staged_.clear();
  if (!regular) {
    staged_.reserve(steps.size());
  }
  const Refusal verdict =
      regular ? DecideRegular(steps, columns, at) : DecideRows(steps, columns, at);
  if (verdict.code != ErrorCode::kOk) {
    return verdict;
  }
  if (!Fits(at.values, at.records + 1)) {
    MakeRoom(at.values, at.records + 1, cursor_.layout_words);
  }
  return regular ? EncodeRegular(steps, columns, begin) : EncodeRows(columns);
}

// What PrepareRows() passed, from `begin` on.
void Writer::StorePrepared(std::span<const Step> steps, const Cursor& begin,
                           std::uint32_t flipped) noexcept {
  if (!staged_.empty()) {
    StoreStaged(begin.records, flipped);
    return;
  }
  for (std::uint64_t i = 0; i < steps.size(); ++i) {
    Staged row = RegularRow(steps, begin, i);
    row.checksum = checksums_[i] ^ flipped;
    StoreRecord(row, begin.records + i);
  }
}

Refusal Writer::Extend(std::span<const Step> steps, std::span<const Column> columns,
                       Row* first_row) {
  const AppendFlag::Hold hold(flag_);
  CheckWritable();
  CheckNotStaging();
  *first_row = static_cast<Row>(cursor_.rows);
  if (steps.empty()) {
    return CheckColumns(columns);
  }
  Cursor at = cursor_;
  if (const Refusal verdict = PrepareRows(steps, columns, at); verdict.code != ErrorCode::kOk) {
    return verdict;
  }
  StorePrepared(steps, cursor_, /*flipped=*/0);
  Commit(at);
  return {};
}

}  // namespace stream_store::internal
