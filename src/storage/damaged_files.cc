#include "storage/damaged_files.h"

#include <array>
#include <span>
#include <utility>

#include "base/assert.h"
#include "base/str_cat.h"

namespace stream_store::internal {
namespace {

// The text of an error without the path at its beginning: a Finding names the file itself.
std::string Reason(const Error& error, const std::string& path) {
  const std::string text = error.what();
  return text.starts_with(path + ": ") ? text.substr(path.size() + 2) : text;
}

}  // namespace

std::uint64_t DamagedFiles::Live(std::uint64_t LiveWords::* word) const {
  STREAM_STORE_ASSERT(control != nullptr);
  LiveWords live{};
  control->ReadAt(std::as_writable_bytes(std::span(&live, 1)), kLiveOffset);
  return live.*word;
}

std::uint64_t DamagedFiles::LiveOffset(std::uint64_t LiveWords::* word) noexcept {
  const LiveWords live{};
  const auto* base = reinterpret_cast<const std::byte*>(&live);
  return kLiveOffset +
         static_cast<std::uint64_t>(reinterpret_cast<const std::byte*>(&(live.*word)) - base);
}

DamagedFiles DamagedFiles::Open(const std::filesystem::path& path, const Report& report) {
  const Directory directory = OpenStoreDirectory(path);
  DamagedFiles files;
  files.path = PathText(path);
  for (const auto& [name, place] : {std::pair{kControlName, &DamagedFiles::control},
                                    {kValuesName, &DamagedFiles::values},
                                    {kRecordsName, &DamagedFiles::records},
                                    {kLayoutsName, &DamagedFiles::layouts},
                                    {kHintsName, &DamagedFiles::hints},
                                    {kLockName, &DamagedFiles::lock}}) {
    try {
      files.owned_.push_back(std::make_unique<File>(directory.OpenFile(name, /*writable=*/false)));
      files.*place = files.owned_.back().get();
    } catch (const Error& error) {
      report({.file = name,
              .subject = "the file",
              .expected = "a regular file",
              .found = error.code() == ErrorCode::kNotFound
                           ? "nothing"
                           : Reason(error, PathText(path / name))});
    }
  }
  if (files.control != nullptr) {
    files.ReadControl(report);
  }
  files.ReadSchemaFile(directory, report);
  return files;
}

void DamagedFiles::ReadControl(const Report& report) {
  std::array<std::byte, kIdentityBytes> bytes{};
  try {
    const std::size_t count = control->ReadAt(bytes, kIdentityOffset);
    identity = DecodeIdentity(std::span(bytes).first(count), control->path());
    published = Live(&LiveWords::published);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kVersion) {
      throw;  // a store of another version is not damaged, but its files cannot be interpreted
    }
    report({.file = kControlName,
            .subject = "identity",
            .expected = "the identity of the store",
            .found = Reason(error, control->path())});
  }
}

void DamagedFiles::ReadSchemaFile(const Directory& directory, const Report& report) {
  if (!identity) {  // without the store id, the schema cannot be checked to be of this store
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

DamagedFiles DamagedFiles::FromOpenStore(const StoreFiles& open, const View& view) {
  DamagedFiles files;
  files.path = open.path_text();
  files.persistent = open.persistent();
  files.values = &open.values.file();
  files.records = &open.records.file();
  files.layouts = &open.layouts.file();
  files.hints = &open.hints.file();
  files.control = &open.control.file();
  files.lock = open.lock.is_open() ? &open.lock : nullptr;
  files.identity = open.identity();
  files.schema = view.store_schema->schema;
  files.encodings = view.store_schema->encodings;
  files.published = view.record_count;
  return files;
}

}  // namespace stream_store::internal
