// Verify, Repair and Checkpoint: the public doors to the scan and the copy.
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
using internal::Scan;
using internal::StrCat;

namespace {

// Opens what is there; what is not is a finding of the scan to come.
struct Opened {
  explicit Opened(const std::filesystem::path& path)
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

  // What was taken for a store at rest changed under the scan.
  bool WriterCame() const { return !live && (HasWriter() || Session() != session); }

  std::vector<Finding> missing;
  DamagedFiles files;
  bool live = false;
  std::uint64_t session = 0;
};

// A store as it was opened, and what the scan of it found.
struct Scanned {
  Scanned(const std::filesystem::path& path, const VerifyOptions& options, bool to_first_damage)
      : opened(path), scan(opened.files, opened.live, options) {
    for (const Finding& finding : opened.missing) {
      scan.Add(finding);
    }
    scan.Run(to_first_damage);
  }

  Opened opened;
  Scan scan;
};

// Scans what is at `path`, and does so again where a writer came meanwhile and something was found,
// which may be no more than what that writer did.
std::unique_ptr<Scanned> ScanPath(const std::filesystem::path& path, const VerifyOptions& options,
                                  bool to_first_damage) {
  constexpr int kAttempts = 5;
  for (int attempt = 1;; ++attempt) {
    auto scanned = std::make_unique<Scanned>(path, options, to_first_damage);
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
  Scan scan(files, reader.live(), options);
  scan.Run(/*to_first_damage=*/false);
  source.CheckNotTruncated();
  return std::move(scan.report());
}

RepairReport Repair(const std::filesystem::path& path, const std::filesystem::path& into,
                    const Progress& progress) {
  const std::unique_ptr<Scanned> scanned =
      ScanPath(path, {.progress = progress}, /*to_first_damage=*/true);
  const auto& [opened, scan] = *scanned;
  if (!opened.files.verifiable()) {
    throw Error(ErrorCode::kCorrupt,
                StrCat(opened.files.path, ": repair: nothing can be told of this store: ",
                       opened.missing.empty() ? "" : FindingText(opened.missing.front())));
  }
  const Cursor end = internal::CopyStore(opened.files, scan.good().records, into, progress);
  const VerifyReport& seen = scanned->scan.report();
  return RepairReport{.records = end.records,
                      .rows = end.rows,
                      .values = end.values,
                      .rows_lost = seen.rows > end.rows ? seen.rows - end.rows : 0,
                      .findings = seen.findings};
}

std::uint64_t Reader::Checkpoint(
    const std::filesystem::path& path,
    const std::function<void(std::uint64_t, std::uint64_t)>& progress) const {
  const DamagedFiles files = DamagedFiles::FromOpenStore(source_->files(), *view_);
  const auto told = [&](std::uint64_t done, std::uint64_t total) {
    source_->CheckNotTruncated();
    if (progress) {
      progress(done, total);
    }
  };
  return internal::CopyStore(files, view_->record_count, path, told).rows;
}

}  // namespace stream_store
