#include "storage/writer_status.h"

#include "base/str_cat.h"
#include "storage/store_files.h"

namespace stream_store::internal {

void WriterStatus::RequireWritable(const char* operation) const {
  const std::string& path = files_.path_text();
  // This is checked first: in a forked child, the other two flags are those of the parent at the
  // time of the fork.
  if (forked()) {
    throw Error(
        ErrorCode::kReadOnly,
        StrCat(path, ": ", operation,
               " in a forked child: only the process that opened the store may write to it"));
  }
  if (closed()) {
    throw Error(ErrorCode::kClosed, StrCat(path, ": ", operation, " on a store that is closed"));
  }
  if (failed()) {
    const MutexLock lock(mutex_);
    throw Error(ErrorCode::kIo, StrCat(path, ": ", operation, " after a failed sync: ", failure_),
                failure_errno_);
  }
}

Refusal WriterStatus::RefuseWrite() const noexcept {
  if (forked()) {
    return {.code = ErrorCode::kReadOnly, .rule = Refusal::Rule::kForked};
  }
  if (closed()) {
    return {.code = ErrorCode::kClosed, .rule = Refusal::Rule::kClosed};
  }
  if (failed()) {
    return {.code = ErrorCode::kIo, .rule = Refusal::Rule::kSyncFailed};
  }
  return {};
}

void WriterStatus::SetFailed(const Error& error) {
  const MutexLock lock(mutex_);
  if (!failed()) {
    failure_ = error.what();
    failure_errno_ = error.system_errno();
    failed_.store(true);
  }
}

}  // namespace stream_store::internal
