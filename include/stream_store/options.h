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
  /// A thread of a persistent store's writer syncs when that long has passed, or when that many
  /// bytes have been appended since the last sync. What a power cut can take is bounded by the two,
  /// and so is the time to open after a crash. 0: not for that reason; both 0: no thread. A failure
  /// is final, as that of Sync(): the next Append() or Sync() tells it.
  std::chrono::nanoseconds sync_interval = std::chrono::seconds(30);
  std::uint64_t sync_bytes = std::uint64_t{1} << 30;
};

/// Options of Reader::Open().
struct ReaderOptions {
  std::chrono::nanoseconds wait{0};  ///< how long to wait for the store to appear
  /// Copies with pread() and loads from no mapping: for places where others may shorten files,
  /// which ends a reader of mappings with SIGBUS, and for media with bad sectors. Every call copies
  /// what it looks at: some 10 times slower, and its memory grows with what one call covers. Spans
  /// of a RowView then live as long as that RowView.
  bool safe_reads = false;
};

}  // namespace stream_store
