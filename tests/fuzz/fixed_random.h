// FixedRandom: while it exists, the numbers that a store draws at random are the same in every process.
#pragma once

#include <cstddef>
#include <cstring>

#include "base/syscalls.h"

namespace stream_store::fuzz {

class FixedRandom {
 public:
  FixedRandom() {
    internal::sys().getrandom = [](void* buffer, std::size_t count, unsigned) {
      std::memset(buffer, 0x5a, count);
      return static_cast<ssize_t>(count);
    };
  }

  FixedRandom(const FixedRandom&) = delete;
  FixedRandom& operator=(const FixedRandom&) = delete;

  ~FixedRandom() { internal::sys().getrandom = internal::RealSyscalls().getrandom; }
};

}  // namespace stream_store::fuzz
