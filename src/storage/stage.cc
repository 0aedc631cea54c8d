// Staging: rows of many calls that become visible with one publish. Numbers in comments are the
// steps of "Stage" in docs/format.md.
//
// A staged record is complete except that its checksum is inverted. Whatever a crash leaves of it,
// recovery does not accept it. Staged rows are therefore dropped by doing nothing, and where later
// records of the session overwrite them, recovery never takes a remaining one for a published one.
#include "base/str_cat.h"
#include "storage/appender_inline.h"
#include "storage/durability.h"
#include "storage/store_files.h"
#include "storage/writer_status.h"

namespace stream_store::internal {

void Appender::RequireNotStaging(const char* operation) const {
  if (capacity_.staging()) {
    throw Error(ErrorCode::kState, StrCat(files_.path_text(), ": ", operation,
                                          " during an import: finish or drop the import first"));
  }
}

void Appender::BeginStaging() {
  const AppendFlag::Hold hold(flag_);
  status_.RequireWritable("import");
  RequireNotStaging("import");
  stage_ = cursor_;
  capacity_.BeginStaging(stage_);
}

Cursor Appender::staged_cursor() noexcept {
  const AppendFlag::Hold hold(flag_);
  return stage_;
}

// Steps 1 and 2. Everything that can fail is in step 1.
Refusal Appender::StageRows(std::span<const Step> steps, std::span<const Column> columns) {
  const AppendFlag::Hold hold(flag_);
  STREAM_STORE_ASSERT(capacity_.staging());
  status_.RequireWritable("import");
  if (steps.empty()) {
    return CheckColumns(columns);
  }
  const ChunkScope scope(*this, stage_);
  Cursor at = stage_;
  if (const Refusal refusal = PrepareRows(steps, columns, at); refusal.code != ErrorCode::kOk) {
    return refusal;
  }
  StorePrepared(steps, stage_, /*flipped=*/~std::uint32_t{0});
  stage_ = at;
  capacity_.NoteStaged(at);
  return {};
}

// Steps 3 and 4.
void Appender::PublishStaged() {
  const AppendFlag::Hold hold(flag_);
  STREAM_STORE_ASSERT(capacity_.staging());
  status_.RequireWritable("import");
  for (std::uint64_t record = cursor_.records; record < stage_.records; ++record) {
    data_.records[record].checksum = ~data_.records[record].checksum;
  }
  Publish(stage_);
  EndStaging();
}

void Appender::DropStaged() noexcept {
  const AppendFlag::Hold hold(flag_);
  EndStaging();
}

void Appender::EndStaging() noexcept {
  EnterRecordsChunk(cursor_.records);
  capacity_.EndStaging(durability_.session_open());
}

}  // namespace stream_store::internal
