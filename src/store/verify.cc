// Verify(), Repair(), Reader::Checkpoint() and Reader::UpdateCheckpoint(): the public functions of the scan and the copy.
#include "stream_store/verify.h"

#include <algorithm>
#include <memory>

#include "base/lock.h"
#include "base/str_cat.h"
#include "format/control.h"
#include "storage/copy.h"
#include "storage/copy_update.h"
#include "storage/damaged_files.h"
#include "storage/read_source.h"
#include "store/read_functions.h"
#include "store/salvage.h"
#include "store/verify_scan.h"

namespace stream_store {

using internal::Cursor;
using internal::DamagedFiles;
using internal::GapList;
using internal::kLiveLockByte;
using internal::LiveWords;
using internal::RecordCopier;
using internal::Salvage;
using internal::SalvageExtent;
using internal::StoreScan;
using internal::StrCat;

namespace {

// The files of a store as far as they can be opened, and whether a writer has it open. Files that
// cannot be opened are findings.
struct FilesToScan {
  explicit FilesToScan(const std::filesystem::path& path)
      : files(DamagedFiles::Open(
            path, [this](Finding finding) { missing.push_back(std::move(finding)); })) {
    live = HasWriter();
  }

  bool HasWriter() const {
    return files.lock != nullptr && ByteLockedElsewhere(*files.lock, kLiveLockByte);
  }

  std::uint64_t Session() const {
    return files.control == nullptr ? 0 : files.Live(&LiveWords::session);
  }

  // Whether a writer opened the store during the scan, which had found none, or removed rows at its
  // end. Both begin a session, so a writer that has come and gone shows in its number.
  bool RecordsChanged() const { return Session() != files.session || (!live && HasWriter()); }

  std::vector<Finding> missing;
  DamagedFiles files;
  bool live = false;
};

// The files of a store, and the scan that checks them.
struct ScannedFiles {
  ScannedFiles(const std::filesystem::path& path, const VerifyOptions& options,
               bool to_first_damage)
      : opened(path), scan(opened.files, opened.live, options) {
    for (const Finding& finding : opened.missing) {
      scan.Add(finding);
    }
    scan.Run(to_first_damage);
  }

  FilesToScan opened;
  StoreScan scan;
};

constexpr int kAttempts = 5;

// Scans the store at `path`. If a writer came during the scan, or truncated the store, and there are
// findings, they may be caused by that writer, so the scan is repeated, up to kAttempts in all.
std::unique_ptr<ScannedFiles> ScanPath(const std::filesystem::path& path,
                                       const VerifyOptions& options, bool to_first_damage) {
  for (int attempt = 1;; ++attempt) {
    auto scanned = std::make_unique<ScannedFiles>(path, options, to_first_damage);
    if (scanned->scan.report().findings.empty() || !scanned->opened.RecordsChanged() ||
        attempt == kAttempts) {
      return scanned;
    }
  }
}

// Copies the longest valid prefix that the scan found. What follows is one gap.
RepairReport CopyPrefix(StoreScan& scan, const DamagedFiles& files,
                        const std::filesystem::path& into, const Progress& progress) {
  const Cursor end = internal::CopyStore(files, scan.good().records, into, progress);
  const VerifyReport& report = scan.report();
  RepairReport result{.records = end.records, .rows = end.rows, .values = end.values};
  result.rows_lost = report.rows > end.rows ? report.rows - end.rows : 0;
  if (result.rows_lost > 0) {
    const auto damage =
        std::ranges::find(report.findings, Finding::Severity::kDamage, &Finding::severity);
    result.gap_count = 1;
    result.gaps.push_back({.first_row = end.rows,
                           .rows = result.rows_lost,
                           .new_row = end.rows,
                           .reason = damage == report.findings.end() ? "the rows are missing"
                                                                     : FindingText(*damage)});
  }
  return result;
}

// Copies all rows that are intact. If rows were dropped meanwhile, gaps may only be the bytes of their
// files; unless this is the last attempt, it then throws Error(kDropped) before the copy is there.
RepairReport CopyIntactRows(StoreScan& scan, const DamagedFiles& files,
                            const std::filesystem::path& into, const RepairOptions& options,
                            bool last_attempt) {
  const SalvageExtent extent = scan.extent();
  GapList gaps(options.max_gaps);
  const auto choose = [&](RecordCopier& copier) {
    gaps = GapList(options.max_gaps);
    Salvage(files, extent, gaps).Run(copier);
    if (gaps.count() > 0 && !last_attempt && files.RowsWereDropped()) {
      throw Error(ErrorCode::kDropped, StrCat(files.path, ": repair: rows were dropped meanwhile"));
    }
  };
  const std::uint64_t values = files.values->end() / sizeof(Value);
  const std::uint64_t most = extent.slot ? std::min(extent.slot->values, values) : values;
  const Cursor end = internal::CopyChosen(
      files, {.choose = choose, .most_bytes = extent.records * sizeof(internal::Record) + most * 8},
      into, options.progress);
  return RepairReport{.records = end.records,
                      .rows = end.rows,
                      .values = end.values,
                      .rows_lost = gaps.rows(),
                      .gap_count = gaps.count(),
                      .gaps = std::move(gaps.gaps())};
}

}  // namespace

std::string FindingText(const Finding& finding) {
  return StrCat(finding.file, ", byte ", finding.offset, ": ", finding.subject, ": expected ",
                finding.expected, " but found ", finding.found);
}

VerifyReport Verify(const std::filesystem::path& path, const VerifyOptions& options) {
  return std::move(ScanPath(path, options, /*to_first_damage=*/false)->scan.report());
}

VerifyReport Verify(const Reader& reader, const VerifyOptions& options) {
  internal::ReadSource& source = *internal::ReaderAccess::SourceOf(reader);
  DamagedFiles files =
      DamagedFiles::FromOpenStore(source.files(), internal::ReaderAccess::ViewOf(reader));
  StoreScan scan(files, reader.live(), options);
  scan.Run(/*to_first_damage=*/false);
  source.CheckNotTruncated();
  return std::move(scan.report());
}

namespace {

RepairReport RepairScanned(ScannedFiles& scanned, const std::filesystem::path& into,
                           const RepairOptions& options, bool last_attempt) {
  const FilesToScan& opened = scanned.opened;
  if (!opened.files.verifiable()) {
    throw Error(ErrorCode::kCorrupt,
                StrCat(opened.files.path,
                       ": repair: expected readable identity, schema and data files but found: ",
                       opened.missing.empty() ? "" : FindingText(opened.missing.front())));
  }
  RepairReport report =
      options.truncate_at_damage
          ? CopyPrefix(scanned.scan, opened.files, into, options.progress)
          : CopyIntactRows(scanned.scan, opened.files, into, options, last_attempt);
  report.findings = std::move(scanned.scan.report().findings);
  return report;
}

}  // namespace

RepairReport Repair(const std::filesystem::path& path, const std::filesystem::path& into,
                    const RepairOptions& options) {
  for (int attempt = 1;; ++attempt) {
    const std::unique_ptr<ScannedFiles> scanned =
        ScanPath(path, {.progress = options.progress}, options.truncate_at_damage);
    try {
      return RepairScanned(*scanned, into, options, attempt == kAttempts);
    } catch (const Error& error) {
      const bool missing =
          error.code() == ErrorCode::kCorrupt || error.code() == ErrorCode::kDropped;
      if (!missing || attempt == kAttempts || !scanned->opened.files.RowsWereDropped()) {
        throw;
      }
    }
  }
}

namespace {

// A truncation during a copy could mix old and new records, so it is looked for on the way.
Progress CheckingProgress(const internal::ReadSource& source, const Progress& progress) {
  return [&source, &progress](std::uint64_t done, std::uint64_t total) {
    source.CheckNotTruncated();
    if (progress) {
      progress(done, total);
    }
  };
}

}  // namespace

std::uint64_t Reader::Checkpoint(
    const std::filesystem::path& path,
    const std::function<void(std::uint64_t, std::uint64_t)>& progress) const {
  const DamagedFiles files = DamagedFiles::FromOpenStore(source_->files(), *view_);
  const Progress checking = CheckingProgress(*source_, progress);
  return internal::CopyStore(files, view_->record_count, path, checking).rows;
}

std::uint64_t Reader::UpdateCheckpoint(
    const std::filesystem::path& path,
    const std::function<void(std::uint64_t, std::uint64_t)>& progress) const {
  source_->CheckNotTruncated();
  const DamagedFiles files = DamagedFiles::FromOpenStore(source_->files(), *view_);
  const Progress checking = CheckingProgress(*source_, progress);
  return internal::UpdateCopy(files, view_->record_count, path, checking);
}

}  // namespace stream_store
