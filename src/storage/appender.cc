// Appends of one step, and the parts of Appender that are not hot. Numbers in comments are the
// steps of "Append" in docs/format.md.
#include "storage/appender.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "base/assert.h"
#include "base/freed_space.h"
#include "base/str_cat.h"
#include "format/layout.h"
#include "storage/appender_inline.h"
#include "storage/durability.h"
#include "storage/open.h"
#include "storage/store_files.h"
#include "storage/writer_options.h"
#include "storage/writer_status.h"

namespace stream_store::internal {

Appender::Appender(StoreFiles& files, WriterStatus& status, Capacity& capacity,
                   Durability& durability, const SessionStart& start)
    : cursor_(start.cursor),
      published_(files.control.published()),
      session_(start.session),
      seed_(files.identity().checksum_seed),
      schema_(files.store_schema()),
      chunk_records_(files.identity().chunk_bytes / sizeof(Record)),
      layouts_chunk_(start.cursor.records / chunk_records_),
      files_(files),
      status_(status),
      capacity_(capacity),
      durability_(durability) {
  RefreshPointers();
  capacity_.SetRecordBorder((layouts_chunk_ + 1) * chunk_records_ + 1);
}

// A word that is stored as it is, a bool, or a float64 in a float32 field needs no loop: these are
// most fields of most steps. A
// block field needs its loop even without items, since it stores their number.
Appender::PlannedWrite Appender::PlanWrite(const FieldWrite& write, const Encoding& encoding,
                                           std::uint64_t words) {
  PlannedWrite plan{.shape_word = write.shape_word(),
                    .count = write.count(),
                    .words = words,
                    .encoding = &encoding,
                    .loop = FindEncodeLoop(encoding, write.source())};
  if (words == 0) {
    plan.way = PlannedWrite::Way::kNothing;
  } else if (write.count() == 1 && KeepsWord(encoding, write.source())) {
    plan.way = PlannedWrite::Way::kOneWord;
  } else if (write.count() == 1 && encoding.kind == WordKind::kInteger && !encoding.packed &&
             write.source() == Source::kBool) {
    plan.way = PlannedWrite::Way::kOneBool;
  } else if (write.count() == 1 && encoding.dtype == DType::kFloat32 && !encoding.packed &&
             write.source() == Source::kFloat64) {
    plan.way = PlannedWrite::Way::kOneNumber;
  }
  return plan;
}

// The words of a shape after its head. None of the empty layout is ever loaded.
const std::uint64_t* Appender::WordsOf(const ShapeCache& shape) const noexcept {
  return shape.offset == 0
             ? nullptr
             : data_.layouts + LayoutWordBefore(cursor_.layout_words, shape.offset) + 1;
}

namespace {

// A field-write that comes after one with the same field, or with a later one.
Refusal RefuseOrder(std::span<const FieldWrite> writes, std::size_t i) {
  const TypeId type = writes[i].type();
  const bool repeated = std::ranges::any_of(
      writes.first(i), [type](const FieldWrite& write) { return write.type() == type; });
  return Refuse(Refusal::Rule::kOrder, i, 0, repeated ? type : writes[i - 1].type());
}

}  // namespace

// Steps 1 and 2 for a shape that differs from the last one: checks it against the schema.
Refusal Appender::CheckShape(std::span<const FieldWrite> writes, ShapeCache& shape) {
  const std::vector<Encoding>& encodings = schema_->encodings;
  if (writes.size() > kLayoutMaxFields) {
    return Refuse(Refusal::Rule::kOrder, kLayoutMaxFields);
  }
  layout_words_.resize(writes.size() + 1);
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < writes.size(); ++i) {
    const FieldWrite& write = writes[i];
    if (write.type() >= encodings.size()) {
      return Refuse(Refusal::Rule::kUnknownType, i);
    }
    if (i > 0 && write.type() <= writes[i - 1].type()) {
      return RefuseOrder(writes, i);
    }
    const Encoding& encoding = encodings[write.type()];
    const std::uint64_t length = EncodedWords(encoding, write.source(), write.count());
    if (length > kMaxWriteValues || total + length > kMaxWriteValues) {
      const bool counts_words = write.source() == Source::kWords && !encoding.ragged;
      return Refuse(Refusal::Rule::kLength, i, encoding.ragged ? 1 : 0,
                    counts_words ? encoding.unit_words : encoding.items);
    }
    total += length;
    layout_words_[i + 1] = LayoutWord(write.type(), length);
  }
  layout_words_[0] = LayoutHead(writes.size(), total);
  UseLayout(layout_words_, shape);
  shape.plan.resize(writes.size());
  for (std::size_t i = 0; i < writes.size(); ++i) {
    shape.plan[i] =
        PlanWrite(writes[i], encodings[writes[i].type()], WordLength(layout_words_[i + 1]));
  }
  return {};
}

// Step 4: finds the layout among those that this session wrote, or writes it. It stays if the call
// fails later: no record refers to it, and the next call of its shape finds it.
void Appender::UseLayout(std::span<const std::uint64_t> words, ShapeCache& shape) {
  const std::uint32_t digest = LayoutDigest(words);
  std::uint32_t offset = 0;  // the empty layout
  if (words.size() > 1) {
    if (const LayoutTable::Entry* known =
            layout_table_.Find(digest, words, {data_.layouts, cursor_.layout_words})) {
      offset = known->offset;
    } else {
      std::uint64_t word = cursor_.layout_words;
      word += static_cast<std::uint32_t>(word) == 0 ? 1 : 0;  // 0 stands for the empty layout
      const std::uint64_t end = word + words.size();
      if (!capacity_.FitsLayouts(end)) {
        // AppendGroups() may have encoded values already, after the cursor: they keep their space.
        MakeRoom(std::max(cursor_.values, room_.values), std::max(cursor_.records, room_.records),
                 end);
      }
      std::memcpy(data_.layouts + word, words.data(), words.size_bytes());
      offset = static_cast<std::uint32_t>(word);
      cursor_.layout_words = end;
      files_.layout_words.store(end, std::memory_order_relaxed);
      layout_table_.Insert(digest, offset);
    }
  }
  shape.fields = words.size() - 1;
  shape.offset = offset;
  shape.words = WordsOf(shape);
  shape.total = WordLength(words[0]);
  shape.digest = digest;
  shape.first_type = words.size() > 1 ? static_cast<std::int32_t>(WordType(words[1])) : -1;
  shape.last_type = words.size() > 1 ? static_cast<std::int32_t>(WordType(words.back())) : -1;
  shape.plan.clear();
}

// Why nothing can be appended now, for the slow path. It is not thrown, because TryAppend() must not
// allocate; StreamStore::Append() throws it.
Refusal Appender::RefuseState() const noexcept {
  if (const Refusal refusal = status_.RefuseWrite(); refusal.code != ErrorCode::kOk) {
    return refusal;
  }
  if (capacity_.staging()) {
    return {.code = ErrorCode::kState, .rule = Refusal::Rule::kStaging};
  }
  return {};
}

// Why MayFollow() returned false.
Refusal Appender::RefusePlace(Step step, bool continues, const Cursor& at) noexcept {
  if (continues) {
    return Refuse(Refusal::Rule::kOrder, 0, 0, static_cast<std::uint64_t>(at.last_type));
  }
  if (step < at.step) {
    return Refuse(Refusal::Rule::kStepDecreases, 0, 0, static_cast<std::uint64_t>(at.step));
  }
  return Refusal{.code = ErrorCode::kNoSpace, .rule = Refusal::Rule::kTooManyRows};
}

bool Appender::Append(Step step, std::span<const FieldWrite> writes, Row* row, Refusal* refusal) {
  const AppendFlag::Hold hold(flag_);
  return AppendHeld(step, writes, row, refusal);
}

// The step is chosen under the flag, so threads that call this at once get different ones.
bool Appender::AppendStep(std::span<const FieldWrite> writes, Row* row, Step* step,
                          Refusal* refusal) {
  const AppendFlag::Hold hold(flag_);
  if (cursor_.rows > 0 && cursor_.step == std::numeric_limits<Step>::max()) {
    *refusal = Refuse(Refusal::Rule::kStepNotAfter, 0);
    return false;
  }
  *step = cursor_.rows == 0 ? 0 : cursor_.step + 1;
  return AppendHeld(*step, writes, row, refusal);
}

// The slow path. Limits are 0 before the first append of a session, so that append takes it. If the
// disk is full although chunks were dropped a moment ago, their space may become free. The wait holds
// the flag only: other appends would meet the same full disk, while syncs, drops, the helper threads
// and readers go on.
void Appender::MakeRoom(std::uint64_t values, std::uint64_t records, std::uint64_t layout_words) {
  STREAM_STORE_ASSERT(flag_.held());
  FreedSpaceWait wait(files_.freed_space());
  for (;;) {
    try {
      TryMakeRoom(values, records, layout_words);
      return;
    } catch (const Error& error) {
      if (!wait.Pause(error)) {
        throw;
      }
    }
  }
}

void Appender::TryMakeRoom(std::uint64_t values, std::uint64_t records,
                           std::uint64_t layout_words) {
  status_.RequireWritable("append");
  if (!durability_.session_open()) {
    durability_.OpenSession(cursor_);
  }
  if (capacity_.MakeRoom(values, records, layout_words)) {
    RefreshPointers();
    durability_.StartHelper();  // in case there was no thread for it before
  }
}

// A file that was mapped again lies elsewhere. So do the words of the cached shapes.
void Appender::RefreshPointers() noexcept {
  data_ = {.values = reinterpret_cast<Value*>(files_.values.data()),
           .records = reinterpret_cast<Record*>(files_.records.data()),
           .layouts = reinterpret_cast<std::uint64_t*>(files_.layouts.data()),
           .position_hints = reinterpret_cast<std::uint64_t*>(files_.position_hints.data()),
           .row_hints = reinterpret_cast<std::uint64_t*>(files_.row_hints.data())};
  for (ShapeCache& shape : shapes_) {
    shape.words = WordsOf(shape);
  }
}

// Keeps the memory of the plans, so that the next append of a known shape allocates nothing.
void Appender::ForgetLayouts() noexcept {
  for (ShapeCache& shape : shapes_) {
    shape.fields = ~std::uint64_t{0};
    shape.plan.clear();
  }
  layout_table_ = LayoutTable{};
}

// To be called before the layout of a record is chosen. A record may only use layouts that were
// written since the first record of its chunk of `records`, so that old layouts can be dropped.
// Returns whether the layouts known so far were forgotten. An append of one record need not call it:
// the border of Capacity sends the first record of a chunk to the slow path.
bool Appender::EnterRecordsChunk(std::uint64_t record) noexcept {
  const std::uint64_t chunk = record / chunk_records_;
  if (chunk == layouts_chunk_ || status_.forked()) {
    return false;
  }
  layouts_chunk_ = chunk;
  ForgetLayouts();
  capacity_.SetRecordBorder((chunk + 1) * chunk_records_ + 1);
  return true;
}

// AppendHeld() once more, from the beginning: not inlined into it.
bool Appender::AppendAgain(Step step, std::span<const FieldWrite> writes, Row* row,
                           Refusal* refusal) {
  return AppendHeld(step, writes, row, refusal);
}

// The hot path. `continues` selects one of two shape caches: agents often write each row in two
// calls of different shapes, which would evict each other from a single cache.
inline bool Appender::AppendHeld(Step step, std::span<const FieldWrite> writes, Row* row,
                                 Refusal* refusal) {
  const bool continues = cursor_.rows > 0 && step == cursor_.step;
  ShapeCache& shape = shapes_[continues];
  if (!SameShape(writes, shape)) [[unlikely]] {
    *refusal = status_.RefuseWrite();
    if (refusal->code == ErrorCode::kOk) {
      *refusal = CheckShape(writes, shape);
    }
    if (refusal->code != ErrorCode::kOk) {
      return false;
    }
  }
  if (!MayFollow(step, shape, continues, cursor_)) [[unlikely]] {
    *refusal = RefusePlace(step, continues, cursor_);
    return false;
  }
  const std::uint64_t number = cursor_.rows - (continues ? 1 : 0);
  *row = static_cast<Row>(number);
  DecidedRecord decided{.step = step,
                        .start = cursor_.values,
                        .row_session = PackRowSession(number, session_),
                        .total = shape.total,
                        .layout = shape.offset,
                        .digest = shape.digest,
                        .begins_row = !continues};
  if (continues && shape.fields == 0) [[unlikely]] {
    *refusal = RefuseState();
    return refusal->code == ErrorCode::kOk;  // an empty append to the last step stores nothing
  }
  // Step 3: all space of the call, before the first store.
  if (!capacity_.Fits(decided.start + decided.total, cursor_.records + 2)) [[unlikely]] {
    *refusal = RefuseState();
    if (refusal->code != ErrorCode::kOk) {
      return false;
    }
    if (EnterRecordsChunk(cursor_.records)) {
      return AppendAgain(step, writes, row, refusal);
    }
    MakeRoom(decided.start + decided.total, cursor_.records + 2, cursor_.layout_words);
  }
  // Step 5, the last one that can fail.
  std::size_t bad_write = 0;
  if (const std::uint64_t bad = EncodeWrites(writes, shape, decided, &bad_write);
      bad != kEncodedAll) [[unlikely]] {
    *refusal = Refuse(Refusal::Rule::kValue, bad_write, 0, bad);
    return false;
  }
  StoreRecord(decided, cursor_.records);  // steps 6 and 7
  MoveCursor(shape, step, continues, cursor_);
  if constexpr (kChecksums) {
    published_.store(cursor_.records, std::memory_order_release);  // step 8
  }
  return true;
}

Cursor Appender::cursor() noexcept {
  const AppendFlag::Hold hold(flag_);
  return cursor_;
}

// The most layout words that this many records can need: each may have a layout of its own, of all
// fields. Fewer is no bound even if lengths are fixed, since the table forgets layouts that collide.
std::uint64_t Appender::LayoutWordsOf(std::uint64_t records) const noexcept {
  return std::min(records, kMaxLayoutWords) * (schema_->encodings.size() + 1);
}

// Faults in the pages as well, so that the appends that follow wait for neither space nor pages.
void Appender::Reserve(std::uint64_t values, std::uint64_t records) {
  const AppendFlag::Hold hold(flag_);
  status_.RequireWritable("reserve");
  RequireNotStaging("reserve");
  if (values > kMaxValues || records > kMaxRows) {
    throw Error(ErrorCode::kNoSpace,
                StrCat(files_.path_text(), ": reserve: ", values, " values and ", records,
                       " records are more than a store can hold"));
  }
  const std::uint64_t value_end = cursor_.values + values;
  const std::uint64_t record_end = cursor_.records + records + 1;
  const std::uint64_t words_left =
      kMaxLayoutWords - (cursor_.layout_words - files_.begin().layout_words);
  MakeRoom(value_end, record_end,
           cursor_.layout_words + std::min(LayoutWordsOf(records), words_left));
  capacity_.FaultIn(cursor_, value_end, record_end);
}

void Appender::OpenSessionOfRecovered() {
  const AppendFlag::Hold hold(flag_);
  status_.RequireWritable("sync");
  durability_.OpenSessionOfRecovered(cursor_);
}

void Appender::OpenSession() {
  const AppendFlag::Hold hold(flag_);
  status_.RequireWritable("drop_before");
  if (!durability_.session_open()) {
    durability_.OpenSession(cursor_);
  }
}

// The limits drop before the flag is released: an append of another thread must not slip in after
// the cursor that is returned.
std::optional<Cursor> Appender::Close() {
  const AppendFlag::Hold hold(flag_);
  if (!status_.SetClosed()) {
    return std::nullopt;
  }
  capacity_.Close();
  layout_table_ = LayoutTable{};  // the layouts that it refers to are about to be unmapped
  return cursor_;
}

void Appender::Redeclare(const Schema& schema) {
  const AppendFlag::Hold hold(flag_);
  status_.RequireWritable("define_fields");
  RequireNotStaging("define_fields");
  if (cursor_.records > 0) {
    throw Error(
        ErrorCode::kState,
        StrCat(files_.path_text(), ": define_fields after the first append: the store holds ",
               cursor_.rows, " rows; add_fields() can add fields to it"));
  }
  UseSchema(Schema(schema.fields(), {}, schema_->schema.revision() + 1));
}

// Readers take over the schema before they see the first record that may have a new field.
void Appender::AddFields(std::vector<Field> fields) {
  const AppendFlag::Hold hold(flag_);
  status_.RequireWritable("add_fields");
  RequireNotStaging("add_fields");
  UseSchema(schema_->schema.Extended(std::move(fields), cursor_.records));
}

// The shapes are forgotten also where fields were only added: their plans point into the old schema.
void Appender::UseSchema(Schema schema) {
  try {
    ReplaceSchema(files_, std::move(schema));
  } catch (const Error& error) {
    // The new schema has its name, but may not be on disk: it is unknown which schema the next open
    // finds.
    if (files_.store_schema() != schema_) {
      capacity_.Fail(error);
    }
    throw;
  }
  UseSchemaOfFiles();
}

void Appender::FollowMove() {
  const AppendFlag::Hold hold(flag_);
  UseSchemaOfFiles();
}

void Appender::UseSchemaOfFiles() {
  schema_ = files_.store_schema();
  shapes_[0] = ShapeCache{};
  shapes_[1] = ShapeCache{};
}

// Walks back over the records of the last row.
std::int64_t Appender::LastTypeBefore(TypeId type) {
  const AppendFlag::Hold hold(flag_);
  STREAM_STORE_ASSERT(cursor_.rows > 0);
  if (status_.closed()) {
    return cursor_.last_type;  // the records are not mapped any more
  }
  const std::uint64_t row = cursor_.rows - 1;
  for (std::uint64_t i = cursor_.records; i > 0; --i) {
    const Record& record = data_.records[i - 1];
    if (RowOfRecord(record.row_session) != row) {
      break;
    }
    const std::uint64_t fields =
        WordType(LayoutHeadBefore(data_.layouts, cursor_.layout_words, record.layout));
    for (std::uint64_t k = 1; k <= fields; ++k) {
      const std::uint64_t first = LayoutWordBefore(cursor_.layout_words, record.layout);
      if (WordType(data_.layouts[first + k]) == type) {
        return type;
      }
    }
  }
  return cursor_.last_type;
}

const Schema& Appender::schema() const noexcept { return schema_->schema; }

}  // namespace stream_store::internal
