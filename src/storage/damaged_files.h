// DamagedFiles: the files of a store as far as they can be opened, for those who look at damaged stores.
//
// Files::Open() refuses a store of which anything is missing; here what is missing is a Finding.
// Used by verify and repair. Reads only, with pread().
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "stream_store/verify.h"

#include "format/control.h"
#include "format/encoding.h"
#include "storage/store_files.h"

namespace stream_store::internal {

struct DamagedFiles {
  using Report = std::function<void(Finding)>;

  /// Opens what is there, telling what is not. Throws Error(kNotFound, kVersion, kIo).
  static DamagedFiles Open(const std::filesystem::path& path, const Report& report);

  /// The files of an open store, as far as `view` sees it.
  static DamagedFiles FromOpenStore(const StoreFiles& files, const View& view);

  /// Whether records can be proved: the data files, the seed of their checks and what they mean.
  bool verifiable() const noexcept {
    return values != nullptr && records != nullptr && layouts != nullptr && identity && schema;
  }

  /// A word of the live words, read once.
  std::uint64_t Live(std::uint64_t LiveWords::* word) const;

  std::string path;  ///< for messages
  bool persistent = true;
  const File* values = nullptr;
  const File* records = nullptr;
  const File* layouts = nullptr;
  const File* hints = nullptr;
  const File* control = nullptr;
  const File* lock = nullptr;
  std::optional<Identity> identity;
  std::optional<Schema> schema;
  std::vector<Encoding> encodings;
  std::uint64_t published = 0;  ///< looked at before the schema, which then is that of its records

 private:
  void ReadControl(const Report& report);
  void ReadSchemaFile(const Directory& directory, const Report& report);
  std::vector<std::unique_ptr<File>> owned_;
};

}  // namespace stream_store::internal
