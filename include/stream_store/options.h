// How a store is opened: the options of StreamStore::Open(), StreamStore::Temporary() and
// Reader::Open(). Each option has its default beside it.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "stream_store/schema.h"

namespace stream_store {

/// What StreamStore::Open() does with its path.
enum class Mode {
  kAppend,  ///< continue the store that is there, or create one
  kCreate,  ///< create one; Error(kAlreadyExists) if the path is anything but an empty directory
};

/// Options of StreamStore::Open() and StreamStore::Temporary().
struct Options {
  /// What to do with the path. Ignored by Temporary().
  Mode mode = Mode::kAppend;

  /// By how many values at least the file of the values grows at a time. It is a step, not a limit:
  /// a larger one means fewer growths, and more disk space in reserve while the store is open. Must
  /// be above 0.
  std::uint64_t capacity_values = 1'000'000;

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
