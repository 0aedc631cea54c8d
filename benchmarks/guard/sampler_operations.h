// The guarded hot paths of samplers: priorities, windows by key, and offsets.
//
// Used by operations.cc only.
#pragma once

#include <vector>

#include "operations.h"

namespace stream_store::guard {

std::vector<Operation> SamplerOperations();

}  // namespace stream_store::guard
