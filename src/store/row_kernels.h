// The inner loops of decoded rows: one field's words of a run of equal records become items.
//
// Who uses it: row_columns.cc chooses a kernel once per column, so that the loops over rows hold no
// choice.
#pragma once

#include <cstddef>
#include <cstdint>

#include "format/encoding.h"

namespace stream_store::internal {

/// Row i of the run has `words` words at `first + i * stride` and `place_bytes` of room at
/// `out + i * place_bytes`, of which the items take `used_bytes`; the rest becomes zeros.
struct KernelRun {
  const Value* first = nullptr;
  std::uint64_t stride = 0;
  std::uint64_t words = 0;
  std::uint64_t rows = 0;
  std::byte* out = nullptr;
  std::uint64_t place_bytes = 0;
  std::uint64_t used_bytes = 0;
};

using Kernel = void (*)(const Encoding& encoding, const KernelRun& run);

/// The kernel of a field: of fixed writes into exactly their room, or of ragged ones of any length.
/// Null for a field without values.
Kernel KernelOf(const Encoding& encoding);

}  // namespace stream_store::internal
