// Verify(), Repair() and Reader::Checkpoint(): the public functions of the scan and the copy.
#include "stream_store/verify.h"

#include <algorithm>
#include <memory>

#include "base/lock.h"
#include "base/str_cat.h"
#include "format/control.h"
#include "storage/copy.h"
#include "storage/damaged_files.h"
#include "storage/read_source.h"
#include "store/read_functions.h"
#include "store/verify_scan.h"

namespace stream_store {

using internal::Cursor;
using internal::DamagedFiles;
using internal::kLiveLockByte;
using internal::LiveWords;
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
    session = Session();
  }

  bool HasWriter() const {
    return files.lock != nullptr && ByteLockedElsewhere(*files.lock, kLiveLockByte);
  }

  std::uint64_t Session() const {
    return files.control == nullptr ? 0 : files.Live(&LiveWords::session);
  }

  // Whether a writer opened the store during the scan, which had found none. A writer that has come
  // and gone shows in the session number.
  bool WriterCame() const { return !live && (HasWriter() || Session() != session); }

  std::vector<Finding> missing;
  DamagedFiles files;
  bool live = false;
  std::uint64_t session = 0;
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

// Scans the store at `path`. If a writer came during the scan and there are findings, they may be
// caused by that writer, so the scan is repeated, up to kAttempts in all.
std::unique_ptr<ScannedFiles> ScanPath(const std::filesystem::path& path,
                                       const VerifyOptions& options, bool to_first_damage) {
  constexpr int kAttempts = 5;
  for (int attempt = 1;; ++attempt) {
    auto scanned = std::make_unique<ScannedFiles>(path, options, to_first_damage);
    if (scanned->scan.report().findings.empty() || !scanned->opened.WriterCame() ||
        attempt == kAttempts) {
      return scanned;
    }
  }
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
  const DamagedFiles files =
      DamagedFiles::FromOpenStore(source.files(), internal::ReaderAccess::ViewOf(reader));
  StoreScan scan(files, reader.live(), options);
  scan.Run(/*to_first_damage=*/false);
  source.CheckNotTruncated();
  return std::move(scan.report());
}

RepairReport Repair(const std::filesystem::path& path, const std::filesystem::path& into,
                    const Progress& progress) {
  const std::unique_ptr<ScannedFiles> scanned =
      ScanPath(path, {.progress = progress}, /*to_first_damage=*/true);
  const auto& [opened, scan] = *scanned;
  if (!opened.files.verifiable()) {
    throw Error(ErrorCode::kCorrupt,
                StrCat(opened.files.path,
                       ": repair: expected readable identity, schema and data files but found: ",
                       opened.missing.empty() ? "" : FindingText(opened.missing.front())));
  }
  const Cursor end = internal::CopyStore(opened.files, scan.good().records, into, progress);
  const VerifyReport& report = scanned->scan.report();
  return RepairReport{.records = end.records,
                      .rows = end.rows,
                      .values = end.values,
                      .rows_lost = report.rows > end.rows ? report.rows - end.rows : 0,
                      .findings = report.findings};
}

std::uint64_t Reader::Checkpoint(
    const std::filesystem::path& path,
    const std::function<void(std::uint64_t, std::uint64_t)>& progress) const {
  const DamagedFiles files = DamagedFiles::FromOpenStore(source_->files(), *view_);
  // A truncation during the copy could mix old and new records, so it is looked for on the way.
  const auto check_and_report = [&](std::uint64_t done, std::uint64_t total) {
    source_->CheckNotTruncated();
    if (progress) {
      progress(done, total);
    }
  };
  return internal::CopyStore(files, view_->record_count, path, check_and_report).rows;
}

}  // namespace stream_store
