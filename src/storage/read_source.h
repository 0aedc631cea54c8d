// ReadSource: makes the Views of a store, for Readers.
//
// Used by Reader and StreamStore (src/store); each opened store has one. There are two kinds of
// sources:
//   - A shared source uses the StoreFiles of a writer in this process. After that writer is closed,
//     or in a forked child, it continues like an attached one.
//   - An attached source has StoreFiles of its own, opened read-only by path.
//
// An attached source is in one of two states:
//   - Following: a writer has the store open, or has had it open since the source was attached. The
//     end of the store is the live word `published`.
//   - Fixed: no writer had the store open when it was attached. The last writer may have crashed,
//     so the live words prove nothing, and the source ran a recovery of its own. It stays at the
//     prefix that this recovery found until the session word changes: then a writer has opened the
//     store, and the source follows.
//
// Thread rules: all methods may be called from any thread; each View belongs to one thread.
// Invariants:
//   1. The end of a View only moves on. A record that a View contains never changes or disappears,
//      unless truncate() or a recovery removes it: all later calls then throw Error(kCutBack). A
//      View keeps the records that are dropped after it was made.
//   2. Advance() leaves the View unchanged if it throws.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>

#include "stream_store/recovery.h"

#include "base/fork_mutex.h"
#include "storage/cursor.h"
#include "storage/store_files.h"
#include "storage/view.h"

namespace stream_store::internal {

class ReadSource {
 public:
  /// Attaches to the store at `path`, read-only. Runs recovery if no writer has it open.
  ///
  /// copies  for safe reads: Views of this source may be read through a SafeCopy only.
  /// Throws Error(kNotFound, kCorrupt, kVersion, kIo).
  static std::shared_ptr<ReadSource> Attach(const std::filesystem::path& path, bool copies);

  /// Attaches to a temporary store, by its hidden directory. Throws Error(kNotFound) if it was
  /// deleted, Error(kCorrupt, kVersion, kIo).
  static std::shared_ptr<ReadSource> TakeOver(const std::filesystem::path& directory);

  /// Makes the shared source of a writer in this process. `at` is the end of the store now; the
  /// field-writes up to there are counted already.
  ReadSource(std::shared_ptr<StoreFiles> files, Recovery recovery, const Cursor& at);
  ReadSource(const ReadSource&) = delete;
  ReadSource& operator=(const ReadSource&) = delete;

  /// Releases the files if their writer is closed, or this source is an attached one.
  ~ReadSource();

  /// Moves `view` to the current end of the store.
  ///
  /// Cost: two loads of shared words if there is nothing new and the source is shared.
  /// Throws Error(kCutBack) if records were removed, Error(kCorrupt, kIo); the view is then
  /// unchanged.
  void Advance(View& view);

  /// Throws Error(kCutBack) if truncate() or a recovery has removed records since the source was
  /// made, so that the data of a read may be wrong. Readers call it after each read; it costs one
  /// load of a shared word.
  void CheckNotTruncated() const;

  /// Whether a writer has the store open.
  bool live() const;

  /// The slot of the last sync that is known to have finished: what it counts survives a power
  /// failure. That of a temporary store counts nothing. Throws Error(kCorrupt, kIo).
  Slot DurableSlot() const;

  /// Rows that are certain to survive a power failure: those of the last sync that is known to have
  /// finished. 0 for a temporary store. Throws Error(kCorrupt, kIo).
  std::uint64_t durable_rows() const;

  /// Returns the number of field-writes in the records of `view`. Counts only records that no call
  /// has counted before; with safe reads, all of them. Throws Error(kCorrupt, kIo).
  std::uint64_t CountFieldWrites(const View& view);

  /// Returns the object that was kept under that number, or null.
  std::shared_ptr<void> Kept(std::uint64_t number) EXCLUDES(mutex_);

  /// Keeps an object for as long as this source lives, or until another one takes its number: an
  /// index of its rows that its Readers share.
  void Keep(std::uint64_t number, std::shared_ptr<void> object) EXCLUDES(mutex_);

  const StoreFiles& files() const noexcept { return *files_; }

  /// Whether reads must go through a SafeCopy.
  bool copies() const noexcept { return files_->copies(); }

  /// The report of the recovery that this source, or its writer, ran when it was opened.
  const Recovery& recovery() const noexcept { return recovery_; }

 private:
  struct End {
    std::uint64_t records = 0;
    std::uint64_t values = 0;
  };

  // The live words that say where the retained part begins.
  struct BeginWords {
    std::uint64_t records = 0;
    std::uint64_t layouts = 0;

    friend bool operator==(const BeginWords&, const BeginWords&) = default;
  };

  explicit ReadSource(std::shared_ptr<StoreFiles> files);
  static std::shared_ptr<ReadSource> AttachTo(Directory directory, bool copies, bool temporary);
  static void CountAttached(int change) noexcept;
  bool FindPrefix();
  bool TryFindPrefix();
  bool SharesMappings() const noexcept;
  [[noreturn]] void ThrowCutBack() const;
  bool StillFixed();
  bool IsCurrent(const View& view) const;
  void AdvanceOnce(View& view);
  BeginWords LoadBegin() const noexcept;
  bool IsFromDrop(const Error& error, const BeginWords& seen) const;
  void FollowBegin();
  void MoveBeginTo(std::uint64_t record, std::uint64_t layout_begin) REQUIRES_LOCK(mutex_);
  bool KnowsSchemaOf(const View& view) const noexcept;
  void RefreshSchema(bool empty);
  void FitTables(const End& end, std::uint64_t rows);
  End FindEnd(const View& view);
  std::uint64_t LoadWord(const Record* records, std::uint64_t i,
                         std::uint64_t Record::* word) const;
  void FitFile(DataFile& file, std::uint64_t bytes, std::uint64_t record) REQUIRES_LOCK(mutex_);

  std::shared_ptr<StoreFiles> files_;
  Recovery recovery_;
  const bool shared_;  // made for a writer of this process
  std::atomic<bool> following_{true};
  std::atomic<std::uint64_t> truncations_{0};
  std::uint64_t session_ = 0;  // the session word when the source was attached
  End fixed_;                  // the end while not following_
  // The recovery of the next writer will remove records, which no View of this source has
  // contained.
  bool next_writer_cuts_ = false;
  // Guards the sizes and mappings of the files of an attached source, the change to following_, and
  // the two counts below.
  ForkMutex mutex_{ForkMutex::Rank::kOuter};
  std::uint64_t counted_begin_ GUARDED_BY(mutex_) = 0;  // the first record that was counted
  std::uint64_t counted_records_ GUARDED_BY(mutex_) = 0;
  std::uint64_t counted_writes_ GUARDED_BY(mutex_) = 0;
  std::map<std::uint64_t, std::shared_ptr<void>> kept_ GUARDED_BY(mutex_);
};

}  // namespace stream_store::internal
