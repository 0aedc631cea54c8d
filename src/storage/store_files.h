// Files: everything of one open store that lives in the file system, mapped.
//
// Used by the Writer, which changes them, and by readers: those of the same process share the
// writer's Files, those of other processes have their own, opened read-only.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/directory.h"
#include "base/fork_mutex.h"
#include "format/control.h"
#include "storage/data_file.h"
#include "storage/view.h"

namespace stream_store::internal {

inline constexpr const char* kValuesName = "values";
inline constexpr const char* kRecordsName = "records";
inline constexpr const char* kLayoutsName = "layouts";
inline constexpr const char* kHintsName = "hints";
inline constexpr const char* kSchemaName = "schema";
inline constexpr const char* kSchemaTemporaryName = "schema.tmp";
inline constexpr const char* kControlName = "control";
inline constexpr const char* kLockName = "lock";

/// The four mappings a View reads through. Immutable; replaced as a whole.
struct Maps {
  std::shared_ptr<const Mapping> values;
  std::shared_ptr<const Mapping> records;
  std::shared_ptr<const Mapping> layouts;
  std::shared_ptr<const Mapping> hints;
  std::uint64_t key = 0;  ///< unique in this process
};

/// The `control` file: mapped live words, slots by pread and pwrite.
class Control {
 public:
  /// `copies`: the live words are a copy, as they were at the last Refresh().
  Control(File file, bool writable, bool copies);

  /// Reads the live words anew where they are a copy. Throws Error(kIo).
  void Refresh() const {
    if (copies_) {
      ReadAgain();
    }
  }

  std::atomic_ref<std::uint64_t> published() const noexcept { return Word(&LiveWords::published); }

  std::atomic_ref<std::uint64_t> session() const noexcept { return Word(&LiveWords::session); }

  std::atomic_ref<std::uint64_t> truncations() const noexcept {
    return Word(&LiveWords::truncations);
  }

  std::atomic_ref<std::uint64_t> state() const noexcept { return Word(&LiveWords::state); }

  std::atomic_ref<std::uint64_t> durable() const noexcept { return Word(&LiveWords::durable); }

  std::optional<Slot> ReadSlot(int which, const StoreId& id) const;

  /// The valid slot with the higher sequence. Throws Error(kCorrupt) if there is none.
  Slot NewestSlot(const StoreId& id) const;
  void WriteSlot(const Slot& slot) const;  ///< into region sequence & 1

  const File& file() const noexcept { return file_; }

  File& file() noexcept { return file_; }

  const Mapping& mapping() const noexcept { return mapping_; }

 private:
  std::atomic_ref<std::uint64_t> Word(std::uint64_t LiveWords::* member) const noexcept;
  void ReadAgain() const;
  File file_;
  Mapping mapping_;
  bool copies_;
};

class StoreFiles {
 public:
  /// Opens the files of a persistent store inside `directory`, checking identity and schema.
  ///
  /// Throws Error(kCorrupt, kVersion, kIo), naming the file.
  static std::shared_ptr<StoreFiles> Open(Directory directory, bool writable, bool copies = false);

  /// Takes over files that were just created.
  struct Parts {
    std::optional<Directory> directory;  ///< nothing for a temporary store
    File values, records, layouts, hints, control, lock;
    Identity identity;
    Schema schema;
    bool writable = true;
    bool copies = false;  ///< for readers: load from no mapping, copy with pread()
  };

  explicit StoreFiles(Parts parts);

  bool persistent() const noexcept { return directory_.has_value(); }

  /// Nothing is to be loaded from the mappings: see SafeCopy.
  bool copies() const noexcept { return copies_; }

  const Directory& directory() const noexcept { return *directory_; }

  void MoveTo(std::filesystem::path path);  ///< after the directory was renamed

  /// Directory for messages, "temporary store" for one.
  const std::string& path_text() const noexcept { return path_text_; }

  const std::filesystem::path& path() const noexcept { return path_; }

  const Identity& identity() const noexcept { return identity_; }

  std::shared_ptr<const StoreSchema> store_schema() const;
  void SetSchema(Schema schema);

  /// Reads `schema` again (readers, while the store is empty).
  void ReloadSchema();

  std::shared_ptr<const Maps> maps() const;

  std::uint64_t maps_key() const noexcept { return maps_key_.load(std::memory_order_acquire); }

  /// Publishes the data files' mappings as they are now. Call after DataFile::Remap().
  void RefreshMaps();

  DataFile values, records, layouts, hints;
  Control control;
  File lock;

  /// True while a writer of this process appends through these Files.
  std::atomic<bool> writer_open{false};
  /// True in a forked child of the process that has, or had, the writer.
  std::atomic<bool> forked{false};
  /// Layout words that are final: set by this process's writer before it publishes records that use
  /// them.
  std::atomic<std::uint64_t> layout_words{0};

 private:
  std::optional<Directory> directory_;
  const bool copies_;
  std::filesystem::path path_;
  std::string path_text_;
  Identity identity_;
  mutable ForkMutex mutex_{ForkMutex::Rank::kInner};
  std::shared_ptr<const StoreSchema> store_schema_;
  std::shared_ptr<const Maps> maps_;
  std::atomic<std::uint64_t> maps_key_{0};
};

/// A key that no set of mappings had before.
std::uint64_t NewMapsKey() noexcept;

/// Reads and decodes the `schema` file of a store. Throws Error(kCorrupt, kVersion, kIo).
Schema ReadSchema(const Directory& directory, const StoreId& id);

/// Whether a directory looks like a store: it has at least one file with a store's name.
bool LooksLikeStore(const Directory& directory);

}  // namespace stream_store::internal
