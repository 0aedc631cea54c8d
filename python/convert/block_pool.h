// Recycled memory for large outputs.
//
// A sampling loop that gets fresh arrays each call pays for fresh pages each call: the kernel
// zeroes them, and that costs more than filling them. So arrays of kPooledBytes and more are
// allocated here, and the memory comes back when the array dies. NumPy does the owning: arrays are
// made under our PyDataMem_Handler, so `flags.owndata` is true and there is no base object.
//
// Invariants: 1. free blocks number at most kMostBlocks and sum to at most kMostBytes; the oldest
// goes first.
// 2. data is 64-byte aligned. 3. the pool is never destroyed, so arrays may die at any moment of
// the shutdown. Thread rule: any thread.
#pragma once

#include <cstddef>

#include "convert/python.h"

namespace stream_store::python {

inline constexpr std::size_t kPooledBytes = std::size_t{64} << 10;

/// While it lives, this thread's new NumPy arrays get their memory from the pool.
class PooledArrays {
 public:
  PooledArrays();
  ~PooledArrays();
  PooledArrays(const PooledArrays&) = delete;
  PooledArrays& operator=(const PooledArrays&) = delete;

 private:
  PyObject* previous_;
};

/// Bytes the pool holds free, for tests.
std::size_t PooledFreeBytes();

}  // namespace stream_store::python
