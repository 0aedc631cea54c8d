// StoreFiles: the open and mapped files of one store.
//
// Used by the Writer, which changes them, and by ReadSource. Readers in the writer's process share
// the writer's StoreFiles; readers of other processes have their own, opened read-only.
//
// Thread rules: the atomic members and the functions marked so may be used from any thread. The
// data files grow and are remapped under the writer's state mutex, or in a reader under
// ReadSource's mutex.
// Invariants:
//   1. The data files keep their content from the begin to the published end.
//   2. A Maps and a StoreSchema are immutable. A change replaces the object, so that a reader may
//      keep using the old one; its mappings stay alive as long as it does.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/assert.h"
#include "base/directory.h"
#include "base/fork_mutex.h"
#include "base/freed_space.h"
#include "base/temporary.h"
#include "format/control.h"
#include "storage/cursor.h"
#include "storage/data_file.h"
#include "storage/kinds.h"
#include "storage/view.h"

namespace stream_store::internal {

inline constexpr const char* kSchemaName = "schema";
inline constexpr const char* kSchemaTemporaryName = "schema.tmp";
inline constexpr const char* kControlName = "control";
inline constexpr const char* kLockName = "lock";

/// The mappings that a View reads through, from its first record on. They keep the chunks mapped
/// that the View needs, also after their files were deleted.
struct Maps {
  struct Part {
    std::shared_ptr<ChunkRange> range;
    ChunkRange::Hold hold;
  };

  /// The address that item 0 of a kind would have.
  template <class Item>
  const Item* data(Kind kind) const noexcept {
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    return reinterpret_cast<const Item*>(parts[Index(kind)].range->origin());
  }

  std::array<Part, kKinds> parts;
  Begin begin;
  std::uint64_t key = 0;  ///< unique in this process, never reused
};

/// The `control` file. Its live words are mapped; slots are read and written with system calls, so
/// that a damaged disk gives an error instead of a signal. Thread rules: any thread.
class Control {
 public:
  /// Maps the file. With `copies`, for safe reads, the live words are instead a private copy from
  /// the time of the last Refresh(). Throws Error(kCorrupt) if the file is too short,
  /// Error(kNoSpace, kIo).
  Control(File file, bool writable, bool copies);

  /// Copies the live words again if they are a copy, else does nothing. Throws Error(kIo).
  void Refresh() const {
    if (copies_) {
      CopyLiveWords();
    }
  }

  /// The live words: see LiveWords.
  std::atomic_ref<std::uint64_t> published() const noexcept { return Word(&LiveWords::published); }

  std::atomic_ref<std::uint64_t> begin() const noexcept { return Word(&LiveWords::begin); }

  std::atomic_ref<std::uint64_t> layout_begin() const noexcept {
    return Word(&LiveWords::layout_begin);
  }

  std::atomic_ref<std::uint64_t> session() const noexcept { return Word(&LiveWords::session); }

  std::atomic_ref<std::uint64_t> truncations() const noexcept {
    return Word(&LiveWords::truncations);
  }

  std::atomic_ref<std::uint64_t> state() const noexcept { return Word(&LiveWords::state); }

  std::atomic_ref<std::uint64_t> durable() const noexcept { return Word(&LiveWords::durable); }

  std::atomic_ref<std::uint64_t> schema_revision() const noexcept {
    return Word(&LiveWords::schema_revision);
  }

  /// The live words in the mapping; null if they are a copy. Load them through std::atomic_ref.
  LiveWords* mapped_words() const noexcept { return copies_ ? nullptr : words(); }

  /// Reads slot 0 or 1 of the store `id`; nothing if it is not valid. Throws Error(kIo).
  /// REQUIRES: which == 0 || which == 1.
  std::optional<Slot> ReadSlot(int which, const StoreId& id) const;

  /// Returns the newer valid slot. Throws Error(kCorrupt) if neither is valid, or Error(kIo).
  Slot NewestSlot(const StoreId& id) const;

  /// Writes a slot to its place, without syncing. Throws Error(kNoSpace, kIo).
  void WriteSlot(const Slot& slot) const;

  /// Makes the slots durable. Throws Error(kIo).
  void SyncSlots() const;

  /// The number of names that the file has: 0 if it was deleted. Throws Error(kIo).
  std::uint64_t Links() const;

  /// The open file. REQUIRES: not parked.
  const File& file() const noexcept {
    STREAM_STORE_ASSERT(file_.is_open());
    return file_;
  }

  /// Changes the path used in messages, after the directory was renamed.
  void MovedTo(std::string path) { file_.MovedTo(std::move(path)); }

  /// Closes the descriptor until a call needs it, and opens the file again then. `directory` must
  /// outlive this object. Must not run beside another call.
  void Park(const Directory& directory);

  bool parked() const noexcept { return directory_ != nullptr; }

  /// Opens the file again for one use. Throws Error(kIo) if it is not the same one any more.
  File Reopen() const;

  const Mapping& mapping() const noexcept { return mapping_; }

  /// Closes and unmaps the file. Afterwards only the destructor may be called.
  void Release() noexcept {
    file_.Close();
    mapping_ = Mapping();
  }

 private:
  LiveWords* words() const noexcept {
    return reinterpret_cast<LiveWords*>(mapping_.data() + kLiveOffset);
  }

  std::atomic_ref<std::uint64_t> Word(std::uint64_t LiveWords::* member) const noexcept;
  void CopyLiveWords() const;

  // Calls use(file) with the open file.
  template <class Use>
  auto With(const Use& use) const {
    return file_.is_open() ? use(file_) : use(Reopen());
  }

  File file_;
  Mapping mapping_;
  bool writable_;
  bool copies_;
  const Directory* directory_ = nullptr;  // of a parked file
  FileId id_;
};

/// The files of a store, its path, its identity and its schema.
class StoreFiles {
 public:
  /// Opens the files of the store in `directory` and checks its identity. The schema is not read
  /// yet: call ReloadSchema() when it cannot change.
  ///
  /// writable   opens and maps the files for writing.
  /// copies     for readers: see copies().
  /// temporary  for readers of a temporary store: see persistent().
  /// Throws Error(kCorrupt, kVersion, kIo), naming the file.
  static std::shared_ptr<StoreFiles> Open(Directory directory, bool writable, bool copies = false,
                                          bool temporary = false);

  /// Open files to construct a StoreFiles from.
  struct Parts {
    std::optional<Directory> directory;  ///< of the store; required
    File control, lock;
    Identity identity;
    Schema schema;
    Begin begin;
    bool writable = true;
    bool copies = false;     ///< see copies()
    bool temporary = false;  ///< see persistent()
    /// The directory of a temporary store, in the process that created it; else null.
    std::unique_ptr<TemporaryTree> tree;
  };

  /// Takes ownership of the files and maps them. Throws Error(kCorrupt, kNoSpace, kIo).
  explicit StoreFiles(Parts parts);

  /// Whether the store is to be kept. A temporary store is not: it is never synced, path() is
  /// empty, messages call it "temporary store", and its hidden directory is deleted when its last
  /// user in the process that created it leaves.
  bool persistent() const noexcept { return !temporary_; }

  /// Whether the store was opened for safe reads: its mappings must not be loaded from, because
  /// another program may truncate the files. Reads go through SafeCopy.
  bool copies() const noexcept { return copies_; }

  /// The directory of the store; for a temporary store the hidden one.
  const Directory& directory() const noexcept { return directory_; }

  /// To be called before the directory is renamed: until MoveTo(), CheckInPlace() checks nothing,
  /// because it cannot know at which of the two paths the store is.
  void BeginMove() noexcept;

  /// Changes all paths after the directory was renamed.
  /// REQUIRES: persistent().
  void MoveTo(std::filesystem::path path);

  /// Throws Error(kIo) unless the files that are open here are still those of the store at its
  /// path: the directory may have been deleted, renamed or replaced, or files in it deleted. What a
  /// writer syncs is lost then. Does nothing for a temporary store, or while the store moves.
  ///
  /// operation  begins the message: "sync", "close".
  /// Cost       one stat() of a path and one fstat() per data file.
  /// Thread rules: any thread.
  void CheckInPlace(const char* operation) const;

  /// Identifies `control` among all files of this machine, and so the store. Thread rules: any
  /// thread; valid after Release(), too.
  const FileId& control_id() const noexcept { return control_id_; }

  /// Closes all descriptors until they are needed, except that of the lock of a writer, so that a
  /// process can have many stores open. Must not run beside another call.
  void Park();

  bool parked() const noexcept { return control.parked(); }

  /// Counts the users of the files: a Writer until it is closed, and the shared ReadSource. When
  /// the last one leaves, the descriptors are closed, the mappings given up and the directory of a
  /// temporary store deleted by its owner, although this object may live on, for messages. A View
  /// keeps its own mappings. Thread rules: any thread.
  void AddUser() noexcept { users_.fetch_add(1, std::memory_order_relaxed); }

  /// REQUIRES: AddUser() was called before, once per call of this; the caller uses the files no
  /// more.
  void RemoveUser() noexcept;

  /// The store's directory as text for messages, or "temporary store".
  const std::string& path_text() const noexcept { return path_text_; }

  const std::filesystem::path& path() const noexcept { return path_; }

  const Identity& identity() const noexcept { return identity_; }

  /// The current schema. Thread rules: any thread.
  std::shared_ptr<const StoreSchema> store_schema() const;

  /// Replaces the schema: by any other one while the store is empty, then only by one with more
  /// fields. Thread rules: any thread.
  void SetSchema(Schema schema);

  /// Reads the `schema` file again and replaces the schema if it differs. Throws Error(kCorrupt,
  /// kVersion, kIo).
  void ReloadSchema();

  /// Whether the files may be shortened to what is published. Not after a truncation: a reader from
  /// before it may load from the removed records until it compares `truncations`, and would receive
  /// SIGBUS. Thread rules: any thread.
  bool MayShorten() const noexcept {
    return control.truncations().load(std::memory_order_acquire) == 0;
  }

  /// The current mappings. Thread rules: any thread.
  std::shared_ptr<const Maps> maps() const;

  /// Whether maps() has the current ranges of the data files.
  bool MapsAreCurrent() const;

  /// Replaces maps() by the current mappings of the data files. Call it after DataFile::Remap().
  void RefreshMaps();

  /// Where the retained part begins. Thread rules: any thread.
  Begin begin() const;

  /// Moves the begin and replaces maps(). Chunks before it are unmapped when no View needs them.
  /// REQUIRES: begin is not before begin().
  void MoveBegin(const Begin& begin);

  /// Deletes the chunk files that are needed from `old` on, but not from `begin` on. They stay mapped
  /// for those who use them. Files that cannot be deleted are left to the next open.
  void UnlinkBetween(const Begin& old, const Begin& begin) noexcept;

  /// Deletes chunk files that a crash left: those before `begin`, and those after a short one.
  /// Throws Error(kIo).
  void UnlinkLeftovers(const Begin& begin);

  /// To be called after data files became shorter: some file systems free their space later.
  void NoteShortened() noexcept {
    if (frees_late_) {
      freed_.Note();
    }
  }

  /// When space was last given back that may not be free yet. Thread rules: any thread.
  const FreedSpace& freed_space() const noexcept { return freed_; }

  FreedSpace& freed_space() noexcept { return freed_; }

  /// The data of one kind.
  DataFile& data(Kind kind) noexcept { return data_[Index(kind)]; }

  const DataFile& data(Kind kind) const noexcept { return data_[Index(kind)]; }

 private:
  Directory directory_;
  std::array<DataFile, kKinds> data_;

 public:
  DataFile& values = data_[Index(Kind::kValues)];
  DataFile& records = data_[Index(Kind::kRecords)];
  DataFile& layouts = data_[Index(Kind::kLayouts)];
  DataFile& position_hints = data_[Index(Kind::kPositionHints)];
  DataFile& row_hints = data_[Index(Kind::kRowHints)];
  Control control;
  File lock;

  /// Whether a writer of this process has these files open.
  std::atomic<bool> writer_open{false};
  /// Whether this process is a forked child of the one that opened the writer.
  std::atomic<bool> forked{false};
  /// Layout words that are final. The writer of this process stores it before it publishes records
  /// that use them.
  std::atomic<std::uint64_t> layout_words{0};

 private:
  void RequireLinked(const char* operation) const;
  const bool temporary_;
  const bool copies_;
  const bool frees_late_;
  FreedSpace freed_;
  std::unique_ptr<TemporaryTree> tree_;
  const FileId control_id_;
  std::atomic<int> users_{0};
  std::filesystem::path path_;
  std::string path_text_;
  Identity identity_;
  mutable ForkMutex mutex_{ForkMutex::Rank::kInner};
  std::string place_ GUARDED_BY(mutex_);  // of `control`, as an absolute path; empty: do not check
  std::shared_ptr<const StoreSchema> store_schema_ GUARDED_BY(mutex_);
  Begin begin_ GUARDED_BY(mutex_);
  std::shared_ptr<const Maps> maps_ GUARDED_BY(mutex_);
};

/// Returns a key that no set of mappings of this process had before. Thread rules: any thread.
std::uint64_t NewMapsKey() noexcept;

/// Reads and decodes the `schema` file of the store `id`. Throws Error(kCorrupt, kVersion, kIo).
Schema ReadSchema(const Directory& directory, const StoreId& id);

/// Whether a directory looks like a store: it has at least one file with a name of a store's file.
bool LooksLikeStore(const Directory& directory);

/// Opens the directory of an existing store. Throws Error(kNotFound) "no such store" if the path
/// does not exist or the directory does not look like a store, or Error(kIo) if it is not a
/// directory.
Directory OpenStoreDirectory(const std::filesystem::path& path);

/// Returns the slot of a store that ends at `end` and of which all is retained, with the current time
/// and sequence 0.
Slot MakeSlot(const StoreId& id, std::uint64_t session, const Cursor& end, bool clean);

/// Returns the next session number. Records store only its lowest 16 bits, where 0 marks records of no
/// session.
constexpr std::uint64_t NextSessionNumber(std::uint64_t session) noexcept {
  return (session + 1) % (1 << 16) == 0 ? session + 2 : session + 1;
}

/// Returns where the retained part begins according to the newest slot of a `control` file; the
/// beginning if no slot is valid. Throws Error(kIo).
Begin ReadBegin(const File& control, const StoreId& id);

/// Writes `slot` to both places of a new `control` file, with the sequences 0 and 1.
void WriteFirstSlots(const File& control, Slot slot);

}  // namespace stream_store::internal
