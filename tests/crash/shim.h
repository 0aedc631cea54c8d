// Shim: the n-th system call of the library fails, once or for ever, or kills the process.
//
// Puts itself before every entry of the table, so that no call can be forgotten. Thread rules: one
// thread, one Shim at a time.
#pragma once

#include <cstdint>
#include <string>

#include "base/syscalls.h"

namespace stream_store::crash {

class Shim {
 public:
  enum class Fault { kNone, kOnce, kForEver, kKill };

  /// The `nth` call from now (from 1) fails with `error`. A call that is interrupted for ever is
  /// interrupted a hundred times: the library is right to try again.
  Shim(std::uint64_t nth, Fault fault, int error);
  Shim(const Shim&) = delete;
  Shim& operator=(const Shim&) = delete;
  ~Shim();  ///< puts the real calls back

  std::uint64_t calls() const noexcept;  ///< made so far
  std::uint64_t faults() const noexcept;
  const std::string& name() const noexcept;  ///< of the first call that failed
};

}  // namespace stream_store::crash
