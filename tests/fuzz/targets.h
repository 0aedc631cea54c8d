// What is fuzzed: functions of bytes that must not crash, hang or break their promises, whatever the
// bytes. A broken promise ends the process with std::abort().
//
// Driven by libFuzzer (entry.cc, `make fuzz`) and, in the ordinary tests, by the corpus and by
// seeded mutations of it (fuzz_test.cc).
#pragma once

#include <cstdint>
#include <span>

namespace stream_store::fuzz {

using Bytes = std::span<const std::uint8_t>;

/// A schema file: refused, or the same after encoding and decoding.
void FuzzSchema(Bytes bytes);

/// The blocks of a control file: the slot that is chosen is valid and the newest.
void FuzzControl(Bytes bytes);

/// Patches on the files of a small store, checksums mended where the first byte says so. Opening,
/// reading, verifying, repairing and writing give typed errors or a store that is right.
void FuzzStore(Bytes bytes);

/// A sequence of operations, compared with a model after each.
void FuzzOperations(Bytes bytes);

/// An Arrow stream with mistakes in it: imported whole, or refused without a trace.
void FuzzImport(Bytes bytes);

}  // namespace stream_store::fuzz
