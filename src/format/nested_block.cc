// Finds the columns of a nested block.

#include "format/nested_block.h"

namespace stream_store::internal {

NestedPlan::NestedPlan(const NestedType& /*type*/) {}

}  // namespace stream_store::internal
