// Names of the files of a store in tests: the data of each kind is in numbered chunk files.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "storage/chunk_files.h"
#include "storage/kinds.h"

namespace stream_store::internal {

/// "values" becomes "values.000000000000", or the name of another chunk; "control", "schema" and
/// "lock" stay as they are.
inline std::string FileOf(const std::string& name, std::uint64_t chunk = 0) {
  const bool is_kind = std::ranges::find(kKindNames, name) != kKindNames.end();
  return is_kind ? ChunkName(name, chunk) : name;
}

}  // namespace stream_store::internal
