// The hot path: one step. Numbers in comments are the steps of "Append" in docs/format.md.
#include <cstring>
#include <limits>

#include "storage/hot.h"

namespace stream_store::internal {
namespace {

PlannedWrite PlanWrite(const FieldWrite& write, const Encoding& encoding, std::uint64_t words) {
  PlannedWrite plan{.shape_word = write.shape_word(),
                    .count = write.count(),
                    .words = words,
                    .encoding = &encoding,
                    .loop = FindEncodeLoop(encoding, write.source())};
  if (write.count() == 0) {
    plan.way = PlannedWrite::Way::kNothing;
  } else if (write.count() == 1 && KeepsWord(encoding, write.source())) {
    plan.way = PlannedWrite::Way::kOneWord;
  } else if (write.count() == 1 && encoding.kind == WordKind::kInteger && !encoding.packed &&
             write.source() == Source::kBool) {
    plan.way = PlannedWrite::Way::kOneBool;
  }
  return plan;
}

}  // namespace

// Steps 1 and 2, when the shape is another than last time: checks it against the schema.
Refusal Writer::CheckShape(std::span<const FieldWrite> writes, ShapeCache& memo) {
  const std::vector<Encoding>& encodings = store_schema_->encodings;
  if (writes.size() > kLayoutMaxFields) {
    return Refuse(Refusal::Rule::kOrder, kLayoutMaxFields);
  }
  scratch_words_.resize(writes.size() + 1);
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < writes.size(); ++i) {
    const FieldWrite& write = writes[i];
    if (write.type() >= encodings.size()) {
      return Refuse(Refusal::Rule::kUnknownType, i);
    }
    if (i > 0 && write.type() <= writes[i - 1].type()) {
      return Refuse(Refusal::Rule::kOrder, i);
    }
    const std::uint64_t length =
        EncodedWords(encodings[write.type()], write.source(), write.count());
    if (length > kMaxWriteValues || total + length > kMaxWriteValues) {
      return Refuse(Refusal::Rule::kLength, i);
    }
    total += length;
    scratch_words_[i + 1] = LayoutWord(write.type(), length);
  }
  scratch_words_[0] = LayoutHead(writes.size(), total);
  UseLayout(scratch_words_, memo);
  memo.plan.resize(writes.size());
  for (std::size_t i = 0; i < writes.size(); ++i) {
    memo.plan[i] =
        PlanWrite(writes[i], encodings[writes[i].type()], WordLength(scratch_words_[i + 1]));
  }
  return {};
}

// Step 4: finds the layout among those this session wrote, or writes it.
void Writer::UseLayout(std::span<const std::uint64_t> words, ShapeCache& memo) {
  const std::uint32_t digest = LayoutDigest(words);
  std::uint32_t offset = 0;  // the empty layout
  if (words.size() > 1) {
    if (const LayoutTable::Entry* known = layout_table_.Find(digest, words, layouts_)) {
      offset = known->offset;
    } else {
      const std::uint64_t end = cursor_.layout_words + words.size();
      if (end > layout_limit_.load(std::memory_order_relaxed)) {
        MakeRoom(cursor_.values, cursor_.records, end);
      }
      std::memcpy(layouts_ + cursor_.layout_words, words.data(), words.size_bytes());
      offset = static_cast<std::uint32_t>(cursor_.layout_words);
      cursor_.layout_words = end;
      files_->layout_words.store(end, std::memory_order_relaxed);
      layout_table_.Insert(digest, offset);
    }
  }
  memo.fields = words.size() - 1;
  memo.words = layouts_ + offset + 1;
  memo.total = WordLength(words[0]);
  memo.offset = offset;
  memo.digest = digest;
  memo.first_type = words.size() > 1 ? static_cast<std::int32_t>(WordType(words[1])) : -1;
  memo.last_type = words.size() > 1 ? static_cast<std::int32_t>(WordType(words.back())) : -1;
  memo.plan.clear();
}

Refusal Writer::RefusePlace(Step step, bool continues, const Cursor& at) noexcept {
  if (continues) {
    return Refuse(Refusal::Rule::kOrder, 0);
  }
  if (step < at.step) {
    return Refuse(Refusal::Rule::kStepDecreases, 0);
  }
  return Refusal{.code = ErrorCode::kNoSpace, .rule = Refusal::Rule::kTooManyRows};
}

bool Writer::Append(Step step, std::span<const FieldWrite> writes, Row* row, Refusal* verdict) {
  const AppendFlag::Hold hold(flag_);
  return AppendHeld(step, writes, row, verdict);
}

bool Writer::AppendStep(std::span<const FieldWrite> writes, Row* row, Step* step,
                        Refusal* verdict) {
  const AppendFlag::Hold hold(flag_);
  if (cursor_.rows > 0 && cursor_.step == std::numeric_limits<Step>::max()) {
    *verdict = Refuse(Refusal::Rule::kStepNotAfter, 0);
    return false;
  }
  *step = cursor_.rows == 0 ? 0 : cursor_.step + 1;
  return AppendHeld(*step, writes, row, verdict);
}

// REQUIRES: the append flag.
inline bool Writer::AppendHeld(Step step, std::span<const FieldWrite> writes, Row* row,
                               Refusal* verdict) {
  const bool continues = cursor_.rows > 0 && step == cursor_.step;
  ShapeCache& memo = memos_[continues];
  if (!SameShape(writes, memo)) [[unlikely]] {
    *verdict = CheckShape(writes, memo);
    if (verdict->code != ErrorCode::kOk) {
      return false;
    }
  }
  if (!MayFollow(step, memo, continues, cursor_)) [[unlikely]] {
    *verdict = RefusePlace(step, continues, cursor_);
    return false;
  }
  Staged staged{.step = step,
                .start = cursor_.values,
                .row = cursor_.rows - (continues ? 1 : 0),
                .total = memo.total,
                .layout = memo.offset,
                .digest = memo.digest,
                .begins_row = !continues};
  *row = static_cast<Row>(staged.row);
  if (continues && memo.fields == 0) [[unlikely]] {
    CheckWritable();
    return true;  // an empty append to the last step stores nothing
  }
  // Step 3: all space of the call, before the first store.
  if (!Fits(staged.start + staged.total, cursor_.records + 2)) [[unlikely]] {
    CheckWritable();
    CheckNotStaging();
    MakeRoom(staged.start + staged.total, cursor_.records + 2, cursor_.layout_words);
  }
  // Step 5: the last that can fail.
  std::size_t bad_write = 0;
  if (const std::uint64_t bad = EncodeWrites(writes, memo, staged, &bad_write); bad != kEncodedAll)
      [[unlikely]] {
    *verdict = Refuse(Refusal::Rule::kValue, bad_write, 0, bad);
    return false;
  }
  StoreRecord(staged, cursor_.records);
  MoveCursor(memo, step, continues, cursor_);
  if constexpr (kChecksums) {
    published_.store(cursor_.records, std::memory_order_release);  // step 8
  }
  return true;
}

}  // namespace stream_store::internal
