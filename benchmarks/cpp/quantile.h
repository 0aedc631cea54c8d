// Quantiles, for the programs that time each event.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace stream_store::benchmarks {

/// Returns the q-quantile: the value at index floor(q * (size - 1)).
/// REQUIRES: `sorted` ascends and is not empty; q in [0, 1].
inline std::int64_t Quantile(const std::vector<std::int64_t>& sorted, double q) {
  return sorted[static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1))];
}

}  // namespace stream_store::benchmarks
