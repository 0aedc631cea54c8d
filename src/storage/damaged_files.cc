#include "storage/damaged_files.h"

#include <array>
#include <cerrno>
#include <span>
#include <utility>

#include "base/str_cat.h"

namespace stream_store::internal {
namespace {

// The text of an error without the path it begins with.
std::string Reason(const Error& error, const std::string& path) {
  const std::string text = error.what();
  return text.starts_with(path + ": ") ? text.substr(path.size() + 2) : text;
}

}  // namespace

std::uint64_t DamagedFiles::Live(std::uint64_t LiveWords::* word) const {
  LiveWords live{};
  control->ReadAt(std::as_writable_bytes(std::span(&live, 1)), kLiveOffset);
  return live.*word;
}

DamagedFiles DamagedFiles::Open(const std::filesystem::path& path, const Report& report) {
  std::optional<Directory> opened;
  try {
    opened = Directory::Open(path);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kNotFound) {
      throw Error(ErrorCode::kNotFound, StrCat(PathText(path), ": no such store"), ENOENT);
    }
    throw;
  }
  const Directory& directory = *opened;
  if (!LooksLikeStore(directory)) {
    throw Error(ErrorCode::kNotFound,
                StrCat(PathText(path), ": no such store: the directory holds none"));
  }
  DamagedFiles set;
  set.path = PathText(path);
  for (const auto& [name, place] : {std::pair{kControlName, &DamagedFiles::control},
                                    {kValuesName, &DamagedFiles::values},
                                    {kRecordsName, &DamagedFiles::records},
                                    {kLayoutsName, &DamagedFiles::layouts},
                                    {kHintsName, &DamagedFiles::hints},
                                    {kLockName, &DamagedFiles::lock}}) {
    try {
      set.owned_.push_back(std::make_unique<File>(directory.OpenFile(name, /*writable=*/false)));
      set.*place = set.owned_.back().get();
    } catch (const Error& error) {
      report({.file = name,
              .subject = "the file",
              .expected = "a regular file",
              .found = error.code() == ErrorCode::kNotFound
                           ? "nothing"
                           : Reason(error, PathText(path / name))});
    }
  }
  if (set.control != nullptr) {
    set.ReadControl(report);
  }
  set.ReadSchemaFile(directory, report);
  return set;
}

void DamagedFiles::ReadControl(const Report& report) {
  std::array<std::byte, kIdentityBytes> bytes{};
  try {
    const std::size_t count = control->ReadAt(bytes, kIdentityOffset);
    identity = DecodeIdentity(std::span(bytes).first(count), control->path());
    published = Live(&LiveWords::published);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kVersion) {
      throw;
    }
    report({.file = kControlName,
            .subject = "identity",
            .expected = "what creation wrote",
            .found = Reason(error, control->path())});
  }
}

void DamagedFiles::ReadSchemaFile(const Directory& directory, const Report& report) {
  if (!identity) {
    return;
  }
  try {
    schema = ReadSchema(directory, identity->id);
    encodings = MakeEncodings(*schema);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kVersion) {
      throw;
    }
    report({.file = kSchemaName,
            .subject = "the file",
            .expected = "the fields of this store",
            .found = Reason(error, PathText(directory.path() / kSchemaName))});
  }
}

DamagedFiles DamagedFiles::FromOpenStore(const StoreFiles& files, const View& view) {
  DamagedFiles set;
  set.path = files.path_text();
  set.persistent = files.persistent();
  set.values = &files.values.file();
  set.records = &files.records.file();
  set.layouts = &files.layouts.file();
  set.hints = &files.hints.file();
  set.control = &files.control.file();
  set.lock = files.lock.is_open() ? &files.lock : nullptr;
  set.identity = files.identity();
  set.schema = view.store_schema->schema;
  set.encodings = view.store_schema->encodings;
  set.published = view.record_count;
  return set;
}

}  // namespace stream_store::internal
