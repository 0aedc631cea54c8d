// The one exception type of the library and the codes it carries.
//
// Used by every room and by both languages: Python maps each code to one exception type in one
// file. Every error is raised before anything changed; messages read "path: what was being done:
// expected … but found …".
#pragma once

#include <stdexcept>
#include <string>

#include "stream_store/export.h"

namespace stream_store {

/// What kind of thing went wrong. Not persistent; the order carries no meaning.
enum class ErrorCode {
  kOk = 0,           ///< returned by TryAppend() only, never thrown
  kInvalidArgument,  ///< a value, name, order or length that does not belong (Python: ValueError)
  kInvalidType,      ///< an object of the wrong kind (Python: TypeError)
  kOutOfRange,       ///< a position or row outside the store (Python: IndexError)
  kNotFound,         ///< no such store (Python: FileNotFoundError)
  kAlreadyExists,    ///< a store is there and must not be (Python: FileExistsError)
  kLocked,           ///< another writer has it (Python: LockedError)
  kReadOnly,  ///< a write through something that only reads (Python: io.UnsupportedOperation)
  kClosed,    ///< the store was closed (Python: ValueError)
  kState,     ///< the call does not fit what the store has become (Python: RuntimeError)
  kCorrupt,   ///< bytes that cannot be what was written (Python: CorruptStoreError)
  kVersion,   ///< another format version (Python: VersionError)
  kNoSpace,   ///< disk, quota, file size or address space is used up (Python: StoreFullError)
  kIo,        ///< the operating system refused (Python: OSError with errno)
  kCutBack,   ///< recovery shortened the store under an attached reader (Python: Error)
};

/// The exception of the library.
class STREAM_STORE_API Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message, int system_errno = 0)
      : std::runtime_error(message), code_(code), errno_(system_errno) {}

  ErrorCode code() const noexcept { return code_; }

  /// The errno behind kIo and kNoSpace, else 0.
  int system_errno() const noexcept { return errno_; }

 private:
  ErrorCode code_;
  int errno_;
};

}  // namespace stream_store
