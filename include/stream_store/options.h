// How a store is opened.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "stream_store/schema.h"

namespace stream_store {

/// What StreamStore::Open() may do with the path.
enum class Mode {
  kAppend,  ///< continue a store, or create one
  kCreate,  ///< create; kAlreadyExists if anything but an empty directory is there
};

/// Options of StreamStore::Open() and StreamStore::Temporary().
struct Options {
  Mode mode = Mode::kAppend;
  std::uint64_t capacity_values = 1'000'000;  ///< growth step in values, not a limit; > 0
  std::vector<Field> fields = {};  ///< declared at once; must equal those of an existing store
  bool grow_ahead = true;          ///< a helper thread allocates and faults in ahead of the writer
  std::filesystem::path temporary_directory =
      {};  ///< where Temporary() puts its files; empty: chosen
};

/// Options of Reader::Open().
struct ReaderOptions {
  std::chrono::nanoseconds wait{0};  ///< how long to wait for the store to appear
};

}  // namespace stream_store
