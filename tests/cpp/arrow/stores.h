// Temporary stores for the tests of imports and exports.
#pragma once

#include <utility>
#include <vector>

#include "stream_store/store.h"

namespace stream_store::testing {

inline StreamStore StoreOf(std::vector<Field> fields) {
  Options options;
  options.fields = std::move(fields);
  options.grow_ahead = false;
  return StreamStore::Temporary(options);
}

}  // namespace stream_store::testing
