// The fuzz targets: functions of bytes that must not crash, hang or break their promises for any
// bytes. A broken promise aborts the process.
//
// Driven by libFuzzer (entry.cc, `make fuzz`) and, in the ordinary tests, by the corpus and by
// seeded mutations of it (fuzz_test.cc).
#pragma once

#include <cstdint>
#include <span>

namespace stream_store::fuzz {

using Bytes = std::span<const std::uint8_t>;

/// A schema file is refused, or encoding its schema gives the same bytes.
void FuzzSchema(Bytes bytes);

/// The text of a type of nested cells is refused, or gives that type again. A block of it is refused,
/// or encoding its values gives the same bytes; it holds a bounded number of values.
void FuzzNested(Bytes bytes);

/// Of the blocks of a control file, the chosen slot is valid and the newest.
void FuzzControl(Bytes bytes);

/// Applies patches to the files of a small store, and recomputes checksums if the first byte says
/// so. Opening, reading, verifying, repairing and writing give typed errors or an intact store.
void FuzzStore(Bytes bytes);

/// Changes a pack, its schema or the begin of a replica, and recomputes checksums if the first byte
/// says so. A replica is created or grows, or the pack is refused; the replica stays intact.
void FuzzPack(Bytes bytes);

/// Runs a sequence of operations and compares the store with a model after each.
void FuzzOperations(Bytes bytes);

/// An Arrow stream with mistakes is imported completely, or refused without any effect.
void FuzzImport(Bytes bytes);

}  // namespace stream_store::fuzz
