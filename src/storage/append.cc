// The hot path: one step. Numbers in comments are the steps of "Append" in docs/format.md.
#include <algorithm>
#include <cstring>

#include "base/crc32c.h"
#include "format/check.h"
#include "storage/append_flag.h"
#include "storage/writer.h"

namespace stream_store::internal {
namespace {

// Longer runs go through the three-stream function.
constexpr std::uint64_t kInlineCheckWords = 24;

inline std::uint32_t ExtendCheck(std::uint32_t state, const Value* values, std::uint64_t count) noexcept {
  if (count > kInlineCheckWords) {
    return Crc32cExtendWords(state, values, count);
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    state = Crc32cExtendWord(state, static_cast<std::uint64_t>(values[i]));
  }
  return state;
}

Verdict Refuse(Verdict::Rule rule, std::uint64_t write, std::uint64_t item = 0) {
  return Verdict{.code = ErrorCode::kInvalidArgument, .rule = rule, .write = write, .row = 0, .item = item};
}

}  // namespace

// Steps 1 and 2: the shape of the call, by comparison with the last one.
Verdict Writer::Shape(std::span<const FieldWrite> writes, Memo& memo) {
  const std::vector<Encoding>& encodings = meaning_->encodings;
  if (writes.size() == memo.fields) {
    bool same = true;
    for (std::size_t i = 0; i < writes.size() && same; ++i) {
      const FieldWrite& write = writes[i];
      same = write.type() == WordType(memo.words[i]) &&
             WordLength(memo.words[i]) == EncodedWords(encodings[write.type()], write.source(), write.count());
    }
    if (same) {
      return {};
    }
  }
  if (writes.size() > kLayoutMaxFields) {
    return Refuse(Verdict::Rule::kOrder, kLayoutMaxFields);
  }
  scratch_words_.resize(writes.size() + 1);
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < writes.size(); ++i) {
    const FieldWrite& write = writes[i];
    if (write.type() >= encodings.size()) {
      return Refuse(Verdict::Rule::kUnknownType, i);
    }
    if (i > 0 && write.type() <= writes[i - 1].type()) {
      return Refuse(Verdict::Rule::kOrder, i);
    }
    const std::uint64_t length = EncodedWords(encodings[write.type()], write.source(), write.count());
    if (length > kMaxWriteValues || total + length > kMaxWriteValues) {
      return Refuse(Verdict::Rule::kLength, i);
    }
    total += length;
    scratch_words_[i + 1] = LayoutWord(write.type(), length);
  }
  scratch_words_[0] = LayoutHead(writes.size(), total);
  UseLayout(scratch_words_, memo);
  return {};
}

// Step 4: finds the layout among those this session wrote, or writes it.
void Writer::UseLayout(std::span<const std::uint64_t> words, Memo& memo) {
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
  memo = Memo{.fields = words.size() - 1,
              .words = layouts_ + offset + 1,
              .total = WordLength(words[0]),
              .offset = offset,
              .digest = digest,
              .first_type = words.size() > 1 ? static_cast<std::int32_t>(WordType(words[1])) : -1,
              .last_type = words.size() > 1 ? static_cast<std::int32_t>(WordType(words.back())) : -1};
}

Verdict Writer::CheckPlace(Step step, const Memo& memo, bool continues, const Cursor& at) const noexcept {
  if (continues) {
    if (memo.fields > 0 && memo.first_type <= at.last_type) {
      return Refuse(Verdict::Rule::kOrder, 0);
    }
    return {};
  }
  if (at.rows > 0 && step < at.step) {
    return Refuse(Verdict::Rule::kStepDecreases, 0);
  }
  if (at.rows >= kMaxRows) {
    return Verdict{.code = ErrorCode::kNoSpace, .rule = Verdict::Rule::kTooManyRows};
  }
  return {};
}

// Steps 6 and 7: hints, then the record (never its `start`), then the sentinel behind it.
void Writer::StoreRecord(const Staged& staged, std::uint64_t record) noexcept {
  const std::uint64_t end = staged.start + staged.total;
  for (std::uint64_t slot = (staged.start + kHintStride - 1) / kHintStride; slot * kHintStride < end; ++slot) {
    hints_[slot].position_record = record;
  }
  if (staged.begins_row && staged.row % kHintStride == 0) {
    hints_[staged.row / kHintStride].row_record = record;
  }
  Record& out = records_[record];
  out.step = staged.step;
  out.row_session = PackRowSession(staged.row, session_bits_);
  out.layout = staged.layout;
  out.check = staged.check;
  records_[record + 1].start = end;
}

void Writer::MoveCursor(const Memo& memo, Step step, bool continues, Cursor& at) const noexcept {
  at.records += 1;
  at.values += memo.total;
  at.field_writes += memo.fields;
  at.rows += continues ? 0 : 1;
  at.step = step;
  at.last_type = memo.last_type;
}

std::uint32_t Writer::BeginStagedCheck(const Staged& staged) const noexcept {
  return BeginCheck(seed_, staged.start, staged.step, PackRowSession(staged.row, session_bits_), staged.layout,
                    staged.digest);
}

Verdict Writer::EncodeWrites(std::span<const FieldWrite> writes, Staged& staged) noexcept {
  const std::vector<Encoding>& encodings = meaning_->encodings;
  std::uint32_t state = BeginStagedCheck(staged);
  Value* out = values_ + staged.start;
  for (std::size_t i = 0; i < writes.size(); ++i) {
    const FieldWrite& write = writes[i];
    const Encoding& encoding = encodings[write.type()];
    const std::uint64_t bad = Encode(encoding, write.source(), write.data(), write.count(), out);
    if (bad != kEncodedAll) {
      return Refuse(Verdict::Rule::kValue, i, bad);
    }
    const std::uint64_t length = EncodedWords(encoding, write.source(), write.count());
    state = ExtendCheck(state, out, length);
    out += length;
  }
  staged.check = FinishCheck(state);
  return {};
}

Verdict Writer::Append(Step step, std::span<const FieldWrite> writes, Row* row) {
  const AppendFlag hold(flag_);
  const bool continues = cursor_.rows > 0 && step == cursor_.step;
  Memo& memo = memos_[continues];
  if (const Verdict verdict = Shape(writes, memo); verdict.code != ErrorCode::kOk) {
    return verdict;
  }
  if (const Verdict verdict = CheckPlace(step, memo, continues, cursor_); verdict.code != ErrorCode::kOk) {
    return verdict;
  }
  const std::uint64_t row_number = cursor_.rows - (continues ? 1 : 0);
  *row = static_cast<Row>(row_number);
  if (continues && memo.fields == 0) {
    CheckWritable();
    return {};
  }
  // Step 3: all space of the call, before the first store.
  const std::uint64_t end = cursor_.values + memo.total;
  if (end > values_limit_.load(std::memory_order_relaxed) ||
      cursor_.records + 2 > records_limit_.load(std::memory_order_relaxed)) [[unlikely]] {
    MakeRoom(end, cursor_.records + 2, cursor_.layout_words);
  }
  Staged staged{.step = step,
                .start = cursor_.values,
                .row = row_number,
                .total = memo.total,
                .layout = memo.offset,
                .digest = memo.digest,
                .begins_row = !continues};
  // Step 5: the last that can fail.
  if (const Verdict verdict = EncodeWrites(writes, staged); verdict.code != ErrorCode::kOk) {
    return verdict;
  }
  StoreRecord(staged, cursor_.records);
  MoveCursor(memo, step, continues, cursor_);
  published_.store(cursor_.records, std::memory_order_release);  // step 8
  return {};
}

}  // namespace stream_store::internal
