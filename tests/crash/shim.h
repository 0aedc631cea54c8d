// Shim: makes the n-th system call of the library fail, once or from then on, or kill the process.
//
// It wraps every entry of the table, so that no call can be forgotten. Thread rules: one Shim at a
// time, used by one thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/syscalls.h"

namespace stream_store::crash {

class Shim {
 public:
  enum class Fault { kNone, kOnce, kAlways, kKill };

  /// Makes the `nth` call from now (counted from 1) fail with `error`. A call that always fails
  /// with EINTR is interrupted a hundred times only, because the library must retry it.
  Shim(std::uint64_t nth, Fault fault, int error);
  Shim(const Shim&) = delete;
  Shim& operator=(const Shim&) = delete;
  ~Shim();  ///< restores the real calls

  std::uint64_t calls() const noexcept;  ///< calls made so far
  std::uint64_t faults() const noexcept;
  const std::string& name() const noexcept;  ///< the name of the first call that failed
};

}  // namespace stream_store::crash
