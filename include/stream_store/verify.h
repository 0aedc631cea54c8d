// Checking every byte of a store: Verify() lists the damage, Repair() copies the rows that are intact.
//
//     const VerifyReport report = Verify("runs/a");
//     for (const Finding& finding : report.findings) {
//       std::cerr << FindingText(finding) << '\n';
//     }
//
// Damage is reported as data: neither function throws because a store is damaged, and the check
// continues after each finding. Both read with pread() and a fixed amount of memory, take no lock,
// never write to the store, and work while another process appends to it. Thread rules: free
// functions, callable from any thread.
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

/// One difference between the bytes of a store and a valid store.
struct Finding {
  enum class Severity {
    kNotice,  ///< the next writer deals with it, and no synced row is affected
    kDamage,  ///< synced bytes, or the description of the store, are not those that were written; or
              ///< a packed or nested field-write is not valid
  };
  Severity severity = Severity::kDamage;
  std::string file = {};      ///< the file inside the store, such as "records"
  std::uint64_t offset = 0;   ///< the first wrong byte in that file
  std::string subject = {};   ///< the object at that place, such as "record 17" or "slot 1"
  std::string expected = {};  ///< the valid content
  std::string found = {};     ///< the content found
};

/// Returns the finding as one line:
/// "records, byte 544: record 17: expected checksum 0x0d4a1185 but found 0x0d4a1184".
STREAM_STORE_API std::string FindingText(const Finding& finding);

/// A callback that is called now and then with the bytes done and the bytes in all. If it throws,
/// the work ends.
using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;

/// Options of Verify().
struct VerifyOptions {
  /// How many findings are listed at most. All are counted.
  std::uint64_t max_findings = 1000;

  /// Called during the check, if it is not empty.
  Progress progress = {};
};

/// The result of Verify().
struct VerifyReport {
  std::vector<Finding> findings;  ///< in the order in which they were found
  std::uint64_t damages = 0;      ///< findings of severity kDamage, listed or not
  std::uint64_t notices = 0;      ///< findings of severity kNotice, listed or not
  bool live = false;              ///< whether a writer has the store open

  /// The size of the store according to its own description.
  std::uint64_t records = 0;
  std::uint64_t rows = 0;
  std::uint64_t values = 0;

  /// The part before the first damage.
  std::uint64_t good_records = 0;
  std::uint64_t good_rows = 0;
  std::uint64_t good_values = 0;

  /// Bytes that were read.
  std::uint64_t bytes = 0;

  /// Whether the store is undamaged.
  bool ok() const noexcept { return damages == 0; }
};

/// Checks the store at `path` completely: identity, schema, slots, live words, every record with
/// its layout and checksum, the bytes of packed fields of varying length and of nested fields,
/// hints, and the bytes that must be zero.
///
/// If a writer has the store open, the check covers everything that was published when it began.
/// Otherwise records after the last sync are checked as opening the store would check them; a
/// notice says where they end early. If a writer opens the store during the check and the check has
/// findings, they may be caused by that writer, so the check is repeated, up to five times in all.
/// Only the last one is reported.
/// Cost    one read of all bytes for each check, near the speed of the page cache; a few MiB of
///         memory, and as much as the largest nested cell takes. With each check `progress` starts at 0 again.
/// Throws  Error: kNotFound, kVersion, kIo (the directory cannot be read); never kCorrupt.
STREAM_STORE_API VerifyReport Verify(const std::filesystem::path& path,
                                     const VerifyOptions& options = {});

/// Checks the store that `reader` reads, as far as its snapshot; works for temporary stores too.
STREAM_STORE_API VerifyReport Verify(const Reader& reader, const VerifyOptions& options);

inline VerifyReport Verify(const Reader& reader) { return Verify(reader, VerifyOptions{}); }

/// Rows that a repair lost: the rows [first_row, first_row + rows) of the damaged store.
struct Gap {
  std::uint64_t first_row = 0;  ///< the first lost row, as numbered in the damaged store
  std::uint64_t rows = 0;       ///< number of lost rows
  std::uint64_t new_row = 0;    ///< number of rows kept before it: the rows after the gap begin at
                                ///< this row of the new store
  std::string reason = {};      ///< the first damage, such as "record 17: its checksum is wrong"
};

/// Options of Repair().
struct RepairOptions {
  /// Copies only the longest valid prefix, whose records keep their rows and checksums.
  bool truncate_at_damage = false;

  /// How many gaps are listed at most. All are counted.
  std::uint64_t max_gaps = 1000;

  /// Called during the check and during the copy, if it is not empty.
  Progress progress = {};
};

/// The result of Repair().
struct RepairReport {
  std::uint64_t records = 0;    ///< in the new store
  std::uint64_t rows = 0;       ///< in the new store
  std::uint64_t values = 0;     ///< in the new store
  std::uint64_t rows_lost = 0;  ///< rows of all gaps; a lower bound if no sync slot is valid, and
                                ///< while a writer has the store open
  std::uint64_t gap_count = 0;  ///< gaps, listed or not
  std::vector<Gap> gaps = {};   ///< the first gaps, in the order of the rows
  std::vector<Finding> findings = {};  ///< of the damaged store; with truncate_at_damage, up to the
                                       ///< first damage
};

/// Copies the rows of the store at `path` that are intact into a new store at `into`, where there
/// must be nothing or an empty directory, outside `path`. The damaged store is not changed.
///
/// A row is intact if all of its records are valid: it is never copied in part. If it cannot be
/// decided whether a damaged record belonged to the row next to it, that row is lost too. The rows
/// that are kept get the numbers from 0 without gaps. Their steps and values do not change. After
/// the last sync, rows count as opening the store would count them, except that damage there costs
/// only the rows that it touches; if no valid row follows, the store ends there.
///
/// The store is first checked as by Verify(); the new store appears complete, after its checksums
/// were verified from the bytes written.
/// Cost    Verify(), plus reading the store again, plus writing and reading the copy; a few MiB of
///         memory.
/// Throws  Error: kNotFound, kVersion; kAlreadyExists (`into` is in use); kInvalidArgument (`into`
///         is inside `path`); kCorrupt if the identity or the schema cannot be read, without which
///         no record has a meaning; kNoSpace, kIo.
STREAM_STORE_API RepairReport Repair(const std::filesystem::path& path,
                                     const std::filesystem::path& into,
                                     const RepairOptions& options = {});

}  // namespace stream_store
