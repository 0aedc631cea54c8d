// The hot paths whose cost is guarded, on data that are the same in every run.
//
// Used by the guard's main.cc alone. Everything goes through the public API; no clock, no thread, no
// random number that is not drawn from a fixed seed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace stream_store::guard {

/// One hot path, ready to run.
struct Operation {
  std::string name;           ///< key in counts.json
  std::string unit;           ///< what the stored figure is of: "step", "window of 128"
  std::uint64_t units = 1;    ///< how many of them one run() does
  std::function<void()> run;  ///< again and again; each run does the same
};

/// All operations whose instructions are counted.
std::vector<Operation> Operations();

/// 256 windows of 128 values, three columns, of a store that fits into the processor's caches; and
/// one memcpy per window and column of the same bytes, from the same places of a source as large as
/// the three columns.
struct WindowsAndMemcpy {
  std::function<void()> windows;
  std::function<void()> memcpy;
};

WindowsAndMemcpy MakeWindowsAndMemcpy();

}  // namespace stream_store::guard
