// What opening a store found: data, not an error.
#pragma once

#include <cstdint>
#include <string>

namespace stream_store {

/// How the last session of a store ended, as seen when it was opened.
struct Recovery {
  enum class State {
    kClean,         ///< closed properly, or new
    kProcessCrash,  ///< the writer died; nothing that was appended is lost
    kTruncated,     ///< the machine died; appends after the last sync were cut
  };
  State state = State::kClean;
  std::uint64_t rows_cut = 0;  ///< rows known to be lost; after a power cut a lower bound
  std::string reason = {};     ///< empty unless truncated
};

}  // namespace stream_store
