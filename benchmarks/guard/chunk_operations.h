// The guarded hot paths of stores with small chunks, whose begin moves, and of nested fields.
//
// Used by operations.cc only.
#pragma once

#include <vector>

#include "operations.h"

namespace stream_store::guard {

std::vector<Operation> ChunkOperations();

std::vector<Operation> NestedOperations();

}  // namespace stream_store::guard
