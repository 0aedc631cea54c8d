// Quantiles, for the programs that time each event themselves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace stream_store::benchmarks {

/// The value at the share `q` of the way from the least to the most, the lower of two neighbours.
/// REQUIRES: `sorted` ascends and is not empty; q in [0, 1].
inline std::int64_t Quantile(const std::vector<std::int64_t>& sorted, double q) {
  return sorted[static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1))];
}

}  // namespace stream_store::benchmarks
