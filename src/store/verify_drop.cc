// StoreScan beside a writer that drops rows: it goes on in the rows that are left.
#include "store/verify_scan.h"

namespace stream_store::internal {

// If rows were dropped since the files were opened, goes on in the remaining rows, and returns the record
// to check next. Record i failed, which may be because its file is gone, or because one before it is:
// the bytes of both read as zeros. A record that is left is checked again, after its files were opened again.
std::optional<std::uint64_t> StoreScan::SkipDropped(RecordVerifier& verifier, std::uint64_t i) {
  if (!files_.FollowDrop([this](Finding finding) { Add(std::move(finding)); })) {
    return std::nullopt;
  }
  OpenHints();
  if (!files_.verifiable()) {  // that was reported
    intact_ = cursor_is_next_ = false;
    return end_;
  }
  verifier = RecordVerifier(files_.verifier_parts());
  LimitEnd(verifier);
  if (i >= files_.begin.records) {
    return i;
  }
  cursor_ = CursorAt(files_.begin);
  cursor_is_next_ = true;
  writes_before_slot_.reset();
  if (intact_) {
    good_ = cursor_;
  }
  return files_.begin.records;
}

}  // namespace stream_store::internal
