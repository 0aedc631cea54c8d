// ReadSource: where a Reader's Views come from.
//
// Two kinds: one shares the Files of a writer in this process, as long as that is open and this is
// no forked child; one attached by path with Files of its own, opened read-only. A source that does
// not share follows `published` (a writer has the store, or had it since we attached) or stays at
// the prefix its own recovery found, until the session number changes.
// Thread rules: Advance() and the other methods from any thread; each View belongs to one thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>

#include "stream_store/interop.h"
#include "stream_store/reader.h"
#include "stream_store/recovery.h"

#include "base/fork_mutex.h"
#include "storage/cursor.h"
#include "storage/store_files.h"
#include "storage/view.h"

namespace stream_store::internal {

class ReadSource {
 public:
  /// Opens a store by path, writing nothing. Throws Error(kNotFound, kCorrupt, kVersion, kIo).
  /// `copies`: Views of it are for SafeCopy alone.
  static std::shared_ptr<ReadSource> Attach(const std::filesystem::path& path, bool copies);

  /// The descriptors and the schema of a temporary store, and reading through them elsewhere.
  interop::Handover HandOver() const;
  static std::shared_ptr<ReadSource> TakeOver(const interop::Handover& handover);

  /// Reads what a writer of this process appends. `at` is where counting field-writes starts.
  ReadSource(std::shared_ptr<StoreFiles> files, Recovery recovery, const Cursor& at);

  /// Moves `view` to what is stored now. One acquire load when nothing is new. Throws
  /// Error(kCutBack, kCorrupt) with the view as before.
  void Advance(View& view);

  /// Throws Error(kCutBack) if recovery has shortened the store since we attached.
  void CheckHistory() const;

  /// Whether a writer has the store open.
  bool live() const;

  /// Rows of the last sync that is known to have ended.
  std::uint64_t durable_rows() const;

  /// Field-writes of the first `view.record_count` records; counts what no call has counted before.
  std::uint64_t CountFieldWrites(const View& view);

  const StoreFiles& files() const noexcept { return *files_; }

  /// Reads go through a SafeCopy.
  bool copies() const noexcept { return files_->copies(); }

  const Recovery& recovery() const noexcept { return recovery_; }

 private:
  struct End {
    std::uint64_t records = 0;
    std::uint64_t values = 0;
  };

  explicit ReadSource(std::shared_ptr<StoreFiles> files);
  bool FindPrefix();
  bool SharesMappings() const noexcept;
  bool StillFixed();
  void RefreshTables();
  End FindEnd(const View& view);
  std::uint64_t LoadWord(const Maps& maps, std::uint64_t i, std::uint64_t Record::* word) const;
  void FitFile(DataFile& file, std::uint64_t bytes, std::uint64_t record);

  std::shared_ptr<StoreFiles> files_;
  Recovery recovery_;
  const bool shared_;  // with a writer of this process, while it is open
  std::atomic<bool> following_{true};
  std::atomic<std::uint64_t> truncations_{0};
  std::uint64_t session_ = 0;                 // when we attached
  End fixed_;                                 // while not following
  bool next_writer_cuts_ = false;             // off what our own recovery left out
  ForkMutex mutex_{ForkMutex::Rank::kOuter};  // looks at sizes, mapping anew, counting
  std::uint64_t counted_records_ = 0;
  std::uint64_t counted_writes_ = 0;
};

}  // namespace stream_store::internal
