// The one exception type of the library, and the codes that it carries.
//
// A call that throws has changed nothing in the store. Messages have the form "path: operation:
// expected … but found …". The table below names the Python exception of each code.
#pragma once

#include <stdexcept>
#include <string>

#include "stream_store/export.h"

namespace stream_store {

/// The kind of an error. The numbers are not persistent, and their order has no meaning.
enum class ErrorCode {
  kOk = 0,           ///< no error: the code of an AppendResult
  kInvalidArgument,  ///< an invalid value, name, order or length (Python: ValueError)
  kInvalidType,      ///< an object of the wrong type (Python: TypeError)
  kOutOfRange,       ///< a position or row outside the store (Python: IndexError)
  kNotFound,         ///< there is no such store (Python: FileNotFoundError)
  kAlreadyExists,    ///< the path is already in use (Python: FileExistsError)
  kLocked,           ///< another writer has the store open (Python: LockedError)
  kReadOnly,         ///< a write through a read-only object (Python: io.UnsupportedOperation)
  kClosed,           ///< the store was closed (Python: ValueError)
  kState,            ///< not possible in the present state of the store (Python: RuntimeError)
  kCorrupt,          ///< bytes differ from those that were written (Python: CorruptStoreError)
  kVersion,          ///< a format version that this build cannot read (Python: VersionError)
  kNoSpace,          ///< no disk space, quota or address space left (Python: StoreFullError)
  kIo,               ///< the operating system reported an error (Python: OSError with errno)
  kDropped,          ///< a position or row that was dropped (Python: DroppedError)
  kCutBack,          ///< a recovery removed rows that this reader had seen (Python: Error)
};

/// The exception that every function of the library throws, apart from std::bad_alloc.
class STREAM_STORE_API Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message, int system_errno = 0)
      : std::runtime_error(message), code_(code), errno_(system_errno) {}

  /// The kind of the error, for programs; what() is the message, for people.
  ErrorCode code() const noexcept { return code_; }

  /// The errno that the operating system reported, for kIo and kNoSpace; else 0.
  int system_errno() const noexcept { return errno_; }

 private:
  ErrorCode code_;
  int errno_;
};

}  // namespace stream_store
