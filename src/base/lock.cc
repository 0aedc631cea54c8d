// Byte locks by fcntl(F_OFD_SETLK, F_OFD_GETLK).

#include "base/lock.h"

#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

#include "base/retry.h"
#include "base/host.h"
#include "base/str_cat.h"
#include "base/syscalls.h"

namespace stream_store::internal {
namespace {

struct flock ByteLock(std::int64_t byte) noexcept {
  struct flock lock{};  // l_pid must be 0 for OFD locks
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return lock;
}

}  // namespace

bool TryLockByte(const File& file, std::int64_t byte) {
  struct flock lock = ByteLock(byte);
  if (RetryInterrupted([&] { return sys().lock(file.fd(), F_OFD_SETLK, &lock); }) == 0) {
    return true;
  }
  if (errno == EAGAIN || errno == EACCES) {
    return false;
  }
  ThrowErrno(file.path(), StrCat("locking byte ", byte), errno);
}

// F_OFD_GETLK asks whether the lock could be set, and returns a conflicting one, else F_UNLCK.
bool ByteLockedElsewhere(const File& file, std::int64_t byte) {
  struct flock lock = ByteLock(byte);
  if (RetryInterrupted([&] { return sys().lock(file.fd(), F_OFD_GETLK, &lock); }) != 0) {
    ThrowErrno(file.path(), StrCat("testing the lock of byte ", byte), errno);
  }
  return lock.l_type != F_UNLCK;
}

std::string LockHolderText() {
  const std::string host = HostName();
  return StrCat("pid ", ::getpid(), host.empty() ? "" : StrCat(" on ", host));
}

}  // namespace stream_store::internal
