// Arrays of an exported batch: first as a plain tree, then as ArrowArrays that share its memory.
//
// Used by leaf_builder.cc and export.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "stream_store/arrow.h"

#include "arrow/buffers.h"

namespace stream_store::arrow {

/// An array that is being built. Its buffers point into the BatchMemory of its batch.
struct OutArray {
  std::uint64_t length = 0;
  std::uint64_t null_count = 0;
  std::vector<const void*> buffers = {};
  std::vector<OutArray> children = {};
};

/// Makes `*out` an ArrowArray of the tree. Every array of the tree keeps `memory` alive by itself,
/// because consumers may move children out and release them in any order. Throws std::bad_alloc;
/// `*out` is a released array then.
void ExportArray(const std::shared_ptr<BatchMemory>& memory, OutArray tree, ArrowArray* out);

}  // namespace stream_store::arrow
