// Shared by the files of operations: sizes, state that lives as long as an operation, and a consumer
// of Arrow streams.
//
// Used by the sources of the guard only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <utility>

#include "stream_store/arrow.h"

#include "data/data.h"

namespace stream_store::guard {

inline constexpr std::uint64_t kRuns = 2;  // one to warm up, and the counted one
inline constexpr std::uint64_t kRows = 20'000;
inline constexpr std::uint64_t kBatches = 16;
/// Windows, or scattered values, per run.
inline constexpr std::uint64_t kReads = kBatches * benchmarks::kWindows;

/// Keeps the compiler from removing results as unused.
inline void Keep() noexcept { asm volatile("" ::: "memory"); }

/// Binds a run to state that lives as long as the operation.
template <class State, class Run>
std::function<void()> Bind(std::shared_ptr<State> state, Run run) {
  return [state = std::move(state), run] { run(*state); };
}

/// Reads a stream to its end, like a consumer that releases each batch at once.
inline std::uint64_t Drain(ArrowArrayStream& stream) {
  std::uint64_t rows = 0;
  while (true) {
    ArrowArray batch{};
    if (stream.get_next(&stream, &batch) != 0) {
      throw std::runtime_error(stream.get_last_error(&stream));
    }
    if (batch.release == nullptr) {
      break;
    }
    rows += static_cast<std::uint64_t>(batch.length);
    batch.release(&batch);
  }
  stream.release(&stream);
  return rows;
}

}  // namespace stream_store::guard
