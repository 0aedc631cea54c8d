// WriterOptions and SessionStart: the options of the caller, and the state of the store from which
// a writer starts.
#pragma once

#include <chrono>
#include <cstdint>

#include "storage/cursor.h"
#include "storage/kinds.h"

namespace stream_store::internal {

struct WriterOptions {
  std::uint64_t capacity_values = 1'000'000;  ///< `values` grows by at least this many
  bool grow_ahead = true;  ///< grow files in a helper thread, before they are full
  std::chrono::nanoseconds sync_interval{0};  ///< between background syncs; 0: no limit
  std::uint64_t sync_bytes = 0;               ///< unsynced bytes that cause one; 0: no limit
};

/// Where a writer's session begins: a new store, or the results of recovery.
struct SessionStart {
  Cursor cursor;                      ///< where the first record of the session goes
  std::uint64_t session = 1;          ///< number of the session
  std::uint64_t slot_sequence = 0;    ///< of the newest slot
  std::uint64_t slot_session = 0;     ///< of the newest slot
  std::uint64_t durable_records = 0;  ///< that a slot on disk counts
  std::uint64_t durable_rows = 0;
  Slot newest;                    ///< the newest slot; everything that it counts is on disk
  bool sync_interrupted = false;  ///< a sync did not end, so the newest slot may be in memory only
};

}  // namespace stream_store::internal
