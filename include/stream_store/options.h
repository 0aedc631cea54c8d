// How a store is opened: the options of StreamStore::Open(), StreamStore::Temporary() and
// Reader::Open(). Each option has its default beside it.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "stream_store/schema.h"

namespace stream_store {

/// What StreamStore::Open() does with its path.
enum class Mode {
  kAppend,  ///< continue the store that is there, or create one
  kCreate,  ///< create one; Error(kAlreadyExists) if the path is anything but an empty directory
};

/// How much of a store is retained. Older rows are dropped, and their disk space is given back.
struct Retention {
  std::optional<std::uint64_t> rows = {};      ///< the last rows; empty: no limit
  std::optional<std::uint64_t> bytes = {};     ///< of the data files; empty: no limit
  std::optional<std::uint64_t> segments = {};  ///< the last segments; empty: no limit
  std::vector<std::string> segment_by = {};    ///< the fields that cut segments, if any

  friend bool operator==(const Retention&, const Retention&) = default;
};

/// Options of StreamStore::Open() and StreamStore::Temporary().
struct Options {
  /// What to do with the path. Ignored by Temporary().
  Mode mode = Mode::kAppend;

  /// By how many values at least the file of the values grows at a time. It is a step, not a limit:
  /// a larger one means fewer growths, and more disk space in reserve while the store is open. Must
  /// be above 0.
  std::uint64_t capacity_values = 1'000'000;

  /// The size of the files that the data is split into, in bytes: a power of two from 1 MiB to
  /// 1 GiB. Disk space is given back in units of it. 0 chooses 1 GiB, or about a 32nd of
  /// `retain_bytes`. Ignored if the store exists.
  std::uint64_t chunk_bytes = 0;

  /// Lifts a limit that the store has; see `retain_rows`.
  static constexpr std::uint64_t kUnlimited = ~std::uint64_t{0};

  /// How many rows, bytes or segments the store retains at most. Older rows are dropped in the
  /// background, a moment after they have become too many; the strictest limit applies. Dropping
  /// begins at the start of a row or, with `segment_by`, of a segment, and never touches the last
  /// one. Each must be above 0; `retain_bytes` must be at least the size of a chunk, and
  /// `retain_segments` needs `segment_by`.
  ///
  /// The limits are stored. An empty one leaves that of the store unchanged; kUnlimited lifts it.
  /// retain_bytes  counts the data files. On disk they may take four chunks more, and the space that
  ///               Readers still use of the rows that were dropped. An append that outruns the drops
  ///               waits for them when it has to grow a file, at most a second.
  std::optional<std::uint64_t> retain_rows = {};
  std::optional<std::uint64_t> retain_bytes = {};
  std::optional<std::uint64_t> retain_segments = {};

  /// The fields that cut segments, as for SamplerOptions::segment_by: one int field, which cuts
  /// where it changes, or bool fields, which cut after a row in which one is true. If empty, the
  /// fields that the store has are kept.
  std::vector<std::string> segment_by = {};

  /// The fields to declare. If the store exists, they must equal its own. Left empty, the fields
  /// are those of the existing store, or are declared later by DefineFields().
  std::vector<Field> fields = {};

  /// Whether `fields` may have more fields than the existing store, after all of its own. They are
  /// added to it, as AddFields() does. Without it, such fields are an error that names them.
  bool add_fields = false;

  /// Whether a helper thread allocates disk space, and touches the new pages, before the appends
  /// need them. Without it, the append that finds no room left does that itself.
  bool grow_ahead = true;

  /// The directory for the files of Temporary(). If empty, the first of $TMPDIR, /var/tmp and /tmp
  /// that accepts them is used; directories on disk come before directories in memory, because
  /// pages of the latter count against the memory limit. Ignored by Open().
  std::filesystem::path temporary_directory = {};

  /// How much time may pass between two syncs in the background; together with `sync_bytes` it
  /// bounds the rows that a power cut can take, and the time that opening takes after a crash.
  ///
  /// 0 disables this trigger; if both triggers are 0 there are no syncs in the background. A failed
  /// background sync is final like a failed Sync(): the next Append() or Sync() throws kIo.
  /// Temporary stores are never synced.
  std::chrono::nanoseconds sync_interval = std::chrono::seconds(30);

  /// How many bytes may be appended between two syncs in the background. 0 disables this trigger.
  std::uint64_t sync_bytes = std::uint64_t{1} << 30;
};

/// Options of Reader::Open().
struct ReaderOptions {
  /// How long to wait for the store to appear, before Reader::Open() throws Error(kNotFound).
  std::chrono::nanoseconds wait{0};

  /// Whether to read with pread() into copies, instead of through mappings.
  ///
  /// A mapping ends the process with SIGBUS if another process shortens the file, or if the disk
  /// has a bad sector; a safe reader throws Error(kIo or kCorrupt) instead. It is about ten times
  /// slower, because each call copies all that it looks at. Its memory grows with the part of the
  /// store that one call looks at.
  bool safe_reads = false;
};

}  // namespace stream_store
