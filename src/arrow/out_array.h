// Arrays on their way out: a plain tree first, then ArrowArrays that share the memory of their
// batch.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "stream_store/arrow.h"

#include "arrow/buffers.h"

namespace stream_store::arrow {

struct OutArray {
  std::uint64_t length = 0;
  std::uint64_t null_count = 0;
  std::vector<const void*> buffers = {};
  std::vector<OutArray> children = {};
};

/// Hands the tree out. Every array of it keeps `memory` alive by itself: consumers may move
/// children out and release them in any order.
void ExportArray(const std::shared_ptr<BatchMemory>& memory, OutArray tree, ArrowArray* out);

}  // namespace stream_store::arrow
