#include "storage/writer.h"

#include <algorithm>
#include <utility>

#include "base/str_cat.h"
#include "base/syscalls.h"
#include "storage/append_flag.h"
#include "storage/fork_guard.h"
#include "storage/growth_helper.h"
#include "storage/open.h"

namespace stream_store::internal {
namespace {

// A growth step of more than the reservation asks for nothing more, and must not overflow in bytes.
WriterOptions Bounded(WriterOptions options) {
  constexpr std::uint64_t kMostValues = std::uint64_t{1} << 37;
  options.capacity_values = std::min(options.capacity_values, kMostValues);
  return options;
}

}  // namespace

Writer::Writer(std::shared_ptr<StoreFiles> files, const Cursor& cursor,
               const WriterOptions& options)
    : cursor_(cursor),
      published_(files->control.published()),
      session_bits_(options.session),
      seed_(files->identity().checksum_seed),
      store_schema_(files->store_schema()),
      files_(std::move(files)),
      options_(Bounded(options)),
      slot_sequence_(options.slot_sequence),
      slot_session_(options.slot_session),
      durable_records_(options.durable_records),
      durable_values_(cursor.values),
      counted_records_(cursor.records),
      counted_writes_(cursor.field_writes),
      durable_rows_(options.durable_rows) {
  RefreshPointers();
  files_->layout_words.store(cursor_.layout_words, std::memory_order_relaxed);
  files_->writer_open.store(true, std::memory_order_release);
  GuardAgainstFork(this);
}

Writer::~Writer() {
  try {
    Close();
  } catch (const Error&) {
    // Nobody is left to tell; the next open recovers what the last sync left.
  }
  UnguardAgainstFork(this);
}

Cursor Writer::cursor() noexcept {
  const AppendFlag::Hold hold(flag_);
  return cursor_;
}

void Writer::Redeclare(Schema schema) {
  CheckWritable();
  const AppendFlag::Hold hold(flag_);
  CheckNotStaging();
  if (cursor_.records > 0) {
    throw Error(
        ErrorCode::kState,
        StrCat(files_->path_text(), ": define_fields after the first append: the store holds ",
               cursor_.rows, " rows; fields are final"));
  }
  try {
    ReplaceSchema(*files_, std::move(schema));
  } catch (const Error& error) {
    // Renamed, but perhaps not on disk: nobody knows which schema the next open finds.
    if (files_->store_schema() != store_schema_) {
      Poison(error);
    }
    throw;
  }
  store_schema_ = files_->store_schema();
  memos_[0] = ShapeCache{};
  memos_[1] = ShapeCache{};
}

void Writer::FollowMove() {
  const AppendFlag::Hold hold(flag_);
  store_schema_ = files_->store_schema();
  memos_[0] = ShapeCache{};  // plans point into what a schema means
  memos_[1] = ShapeCache{};
}

// Walks the records of the last row back to its first.
std::int64_t Writer::LastTypeBefore(TypeId type) {
  const AppendFlag::Hold hold(flag_);
  const std::uint64_t row = cursor_.rows - 1;
  for (std::uint64_t i = cursor_.records; i > 0; --i) {
    const Record& record = records_[i - 1];
    if (RowOfRecord(record.row_session) != row) {
      break;
    }
    const std::uint64_t* words = layouts_ + record.layout;
    for (std::uint64_t k = 1; k <= WordType(words[0]); ++k) {
      if (WordType(words[k]) == type) {
        return type;
      }
    }
  }
  return cursor_.last_type;
}

void Writer::BecomeForkedChild() noexcept {
  forked_.store(true, std::memory_order_relaxed);
  DropLimits();
  flag_.Free();
  files_->forked.store(true, std::memory_order_relaxed);
  files_->writer_open.store(false, std::memory_order_relaxed);
  files_->values.ProtectReadOnly();
  files_->records.ProtectReadOnly();
  files_->layouts.ProtectReadOnly();
  files_->hints.ProtectReadOnly();
  files_->control.mapping().ProtectReadOnly();
  if (files_->lock.is_open()) {
    files_->lock.Close();
  }
}

}  // namespace stream_store::internal
