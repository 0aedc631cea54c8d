// The result of recovery, which every open reports as data, not as an error.
#pragma once

#include <cstdint>
#include <string>

namespace stream_store {

/// How the last session of a store ended, as found when the store was opened.
struct Recovery {
  /// What happened to the last writer.
  enum class State {
    kClean,         ///< the store was closed properly, or is new
    kProcessCrash,  ///< the writing process died; every published row is still there
    kTruncated,     ///< the machine died; rows that had not reached the disk were removed
  };
  State state = State::kClean;

  /// Rows that are known to be lost. After a power cut this is a lower bound, because rows can be
  /// lost without a trace.
  std::uint64_t rows_cut = 0;

  /// Why the first removed row was not accepted; empty unless the state is kTruncated.
  std::string reason = {};
};

}  // namespace stream_store
