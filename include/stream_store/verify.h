// Looking at every byte of a store: Verify() says what is wrong, Repair() copies what is right.
//
// Findings are data: nothing is thrown because a store is damaged, and the walk goes on behind what
// it found. Both read with pread() and a fixed amount of memory, take no lock, write nothing into
// the store and work while another process writes it. Thread rules: free functions, callable from
// any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "stream_store/error.h"
#include "stream_store/export.h"
#include "stream_store/reader.h"

namespace stream_store {

/// One thing that is not as it should be.
struct Finding {
  enum class Severity {
    kNotice,  ///< opening deals with it, and nothing that was synced is touched by it
    kDamage,  ///< something that was synced, or its description, is not what was written
  };
  Severity severity = Severity::kDamage;
  std::string file = {};     ///< name inside the store: "records"
  std::uint64_t offset = 0;  ///< of its first byte in that file
  std::string subject = {};  ///< what lies there: "record 17", "slot 1"
  std::string expected = {};
  std::string found = {};
};

/// "records, byte 544: record 17: expected check 0x0d4a1185 but found 0x0d4a1184"
STREAM_STORE_API std::string FindingText(const Finding& finding);

/// Called now and then with bytes looked at and bytes in all; what it throws ends the work.
using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;

struct VerifyOptions {
  std::uint64_t max_findings = 1000;  ///< listed; all are counted
  Progress progress = {};
};

/// What Verify() saw.
struct VerifyReport {
  std::vector<Finding> findings;  ///< in the order of the walk
  std::uint64_t damages = 0;      ///< all of that severity, listed or not
  std::uint64_t notices = 0;
  bool live = false;          ///< a writer has the store open
  std::uint64_t records = 0;  ///< what the store says it holds …
  std::uint64_t rows = 0;
  std::uint64_t values = 0;
  std::uint64_t good_records = 0;  ///< … and the prefix of it before the first damage
  std::uint64_t good_rows = 0;
  std::uint64_t good_values = 0;
  std::uint64_t bytes = 0;  ///< looked at

  bool ok() const noexcept { return damages == 0; }
};

/// Walks over everything in the store at `path`: identity, schema, slots, live words, every record
/// with its layout and check, hints, and the bytes that must be zeros.
///
/// Of a store that a writer has open, everything published when the walk began. Records after the
/// last sync of a store that nobody has open are proved as opening would prove them; where they end
/// early is a notice. If a writer opens the store while it is taken for one that nobody has open,
/// and the walk finds something, which may be that writer's doing, it is walked over again, in all
/// at most five times; only the last walk is reported.
/// Cost    one read of all bytes a walk, near the speed of the page cache; a few MiB of memory.
///         With each walk `progress` starts at 0 again.
/// Throws  Error: kNotFound, kVersion, kIo (the directory cannot be read). Never kCorrupt.
STREAM_STORE_API VerifyReport Verify(const std::filesystem::path& path,
                                     const VerifyOptions& options = {});

/// The same for the store that `reader` reads, also a temporary one.
STREAM_STORE_API VerifyReport Verify(const Reader& reader, const VerifyOptions& options);

inline VerifyReport Verify(const Reader& reader) { return Verify(reader, VerifyOptions{}); }

/// What Repair() salvaged.
struct RepairReport {
  std::uint64_t records = 0;  ///< now in the new store
  std::uint64_t rows = 0;
  std::uint64_t values = 0;
  std::uint64_t rows_lost = 0;    ///< known to have been there behind them; a lower bound
  std::vector<Finding> findings;  ///< as Verify() of the damaged store, up to where it ended
};

/// Copies the longest valid prefix of the store at `path` into a new one at `into`, which must be
/// nothing or an empty directory; it appears there complete. The damaged store stays as it is.
/// It is walked over as by Verify(), again if a writer came, and what was found right is copied.
///
/// Throws Error: kNotFound, kVersion; kAlreadyExists; kCorrupt if identity or schema are not
/// readable, so that nothing can be told of the rest; kNoSpace, kIo.
STREAM_STORE_API RepairReport Repair(const std::filesystem::path& path,
                                     const std::filesystem::path& into,
                                     const Progress& progress = {});

}  // namespace stream_store
