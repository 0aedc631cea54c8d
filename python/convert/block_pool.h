// A pool of recycled memory for large outputs.
//
// A sampling loop that gets fresh arrays in each call pays for fresh pages in each call: the kernel
// zeroes them, which costs more than filling them. Arrays of kPooledBytes and more are therefore
// allocated here, and the memory returns to the pool when the array is deleted. NumPy is the owner:
// arrays are created under our PyDataMem_Handler, so `flags.owndata` is true and there is no base
// object.
//
// Invariants:
//   1. There are at most kMostBlocks free blocks of at most kMostBytes in all; the oldest is freed
//      first.
//   2. Data is aligned to 64 bytes.
//   3. The pool is never destroyed, so arrays may be deleted at any time during shutdown.
//
// Thread rules: any thread.
#pragma once

#include <cstddef>

#include "convert/python.h"

namespace stream_store::python {

/// The size from which arrays are allocated from the pool.
inline constexpr std::size_t kPooledBytes = std::size_t{64} << 10;

/// While an object of this class is alive, new NumPy arrays of this thread get their memory from
/// the pool.
class PooledArrays {
 public:
  PooledArrays();
  ~PooledArrays();
  PooledArrays(const PooledArrays&) = delete;
  PooledArrays& operator=(const PooledArrays&) = delete;

 private:
  PyObject* previous_;
};

/// The number of free bytes of the pool, for tests.
std::size_t PooledFreeBytes();

}  // namespace stream_store::python
