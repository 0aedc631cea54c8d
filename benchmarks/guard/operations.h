// The hot paths whose cost is guarded, on data that is the same in every run.
//
// Used by the guard's main.cc only. The operations use the public API, without clocks or threads,
// and all random numbers have a fixed seed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace stream_store::guard {

/// One hot path, ready to run.
struct Operation {
  std::string name;           ///< key in counts.json
  std::string unit;           ///< unit of the stored figure: "step", "window of 128"
  std::uint64_t units = 1;    ///< units per run()
  std::function<void()> run;  ///< may be called repeatedly; every run does the same
  int warm_ups = 1;           ///< runs before the one that is counted
};

/// All operations whose instructions are counted.
std::vector<Operation> Operations();

/// Reads 256 windows of 128 values, three columns, of a store that fits into the processor's
/// caches. The competitor is one memcpy per window and column of the same bytes, from the same
/// places of a source as large as the three columns.
struct WindowsAndMemcpy {
  std::function<void()> windows;
  std::function<void()> memcpy;
};

WindowsAndMemcpy MakeWindowsAndMemcpy();

}  // namespace stream_store::guard
