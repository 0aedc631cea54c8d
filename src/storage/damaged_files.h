// DamagedFiles: the files of a store as far as they can be opened.
//
// StoreFiles::Open() refuses a store if any file is missing or invalid. Here every problem is
// reported as a Finding and the rest stays usable. Used by verify, repair and CopyStore(). Files
// are opened read-only and read with pread(). Thread rules: an object belongs to one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "stream_store/verify.h"

#include "base/assert.h"
#include "format/control.h"
#include "format/encoding.h"
#include "storage/chunk_set.h"
#include "storage/record_verifier.h"
#include "storage/store_files.h"

namespace stream_store::internal {

struct DamagedFiles {
  /// Receives the findings, one at a time.
  using Report = std::function<void(Finding)>;

  /// Opens the files that exist and reports the missing or invalid ones. Throws Error(kNotFound) if
  /// there is no store, Error(kVersion) if its format has another version, or Error(kIo).
  static DamagedFiles Open(const std::filesystem::path& path, const Report& report);

  /// Refers to the files of an open store, which must outlive the result, up to the end of `view`.
  static DamagedFiles FromOpenStore(const StoreFiles& open, const View& view);

  /// Whether records can be verified. That needs the data files, the identity (which has the seed
  /// of the checksums) and the schema.
  bool verifiable() const noexcept { return values && records && layouts && identity && schema; }

  /// The arguments of a RecordVerifier of these files. REQUIRES: verifiable().
  RecordVerifier::Parts verifier_parts() const {
    STREAM_STORE_ASSERT(verifiable());
    return {.values = *values,
            .records = *records,
            .layouts = *layouts,
            .seed = identity->checksum_seed,
            .encodings = encodings,
            .layout_begin = begin.layout_words};
  }

  /// Whether a writer has dropped rows since `begin` was read, so that files before the newest begin
  /// may be gone. False for files whose mappings keep what was dropped. Throws Error(kIo).
  bool RowsWereDropped() const;

  /// If rows were dropped since `begin` was read, moves `begin` to that of the newest slot, opens the
  /// files of the kinds from there on, and returns true. Then all RecordVerifiers and KindReaders of
  /// before must be replaced, and verifiable() may be false. Reports files that are missing or
  /// invalid. Throws Error(kIo).
  bool FollowDrop(const Report& report);

  /// How many bytes of a kind there are now: a writer may have made more since the files were opened.
  /// Throws Error(kIo).
  /// REQUIRES: identity.
  std::uint64_t EndNow(Kind kind) const;

  /// Reads one of the live words. Throws Error(kIo).
  /// REQUIRES: control != nullptr.
  std::uint64_t Live(std::uint64_t LiveWords::* word) const;

  /// Where a live word is in `control`.
  static std::uint64_t LiveOffset(std::uint64_t LiveWords::* word) noexcept;

  std::string path;  ///< for messages
  bool persistent = true;
  /// Nothing for kinds whose first file could not be opened.
  std::optional<KindReader> values;
  std::optional<KindReader> records;
  std::optional<KindReader> layouts;
  std::optional<KindReader> position_hints;
  std::optional<KindReader> row_hints;
  /// The files, or null if they could not be opened.
  const File* control = nullptr;
  const File* lock = nullptr;
  std::optional<Identity> identity;
  Begin begin;  ///< of the newest slot, or of the View
  std::optional<Schema> schema;
  std::vector<Encoding> encodings;  ///< of the schema
  /// Read before the schema, which therefore has all fields that these records can have.
  std::uint64_t published = 0;
  std::uint64_t session = 0;  ///< the live word, read before everything else

 private:
  void ReadControl(const Report& report);
  Begin NewestBegin() const;
  void OpenKinds(const Report& report);
  std::vector<Finding> OpenKindsOnce();
  void ReadSchemaFile(const Directory& directory, const Report& report);
  std::vector<std::unique_ptr<File>> owned_;
  std::unique_ptr<Directory> directory_;
  const Directory* place_ = nullptr;  // directory_, or that of the open store
  std::unique_ptr<ChunkSet> chunks_;
  std::shared_ptr<const void> mappings_;
};

}  // namespace stream_store::internal
