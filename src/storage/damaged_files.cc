#include "storage/damaged_files.h"

#include <algorithm>
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
  DamagedFiles files;
  files.directory_ = std::make_unique<Directory>(OpenStoreDirectory(path));
  const Directory& directory = *files.directory_;
  files.path = PathText(path);
  for (const auto& [name, place] :
       {std::pair{kControlName, &DamagedFiles::control}, {kLockName, &DamagedFiles::lock}}) {
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
  files.OpenKinds(report);
  files.ReadSchemaFile(directory, report);
  return files;
}

// Files after a short or missing one do not count; the code that needs their bytes reports that.
void DamagedFiles::OpenKinds(const Report& report) {
  const std::uint64_t chunk_bytes = identity ? identity->chunk_bytes : kDefaultChunkBytes;
  chunks_ = std::make_unique<ChunkSet>(*directory_, chunk_bytes, begin);
  for (const auto& [kind, place] : {std::pair{Kind::kValues, &DamagedFiles::values},
                                    {Kind::kRecords, &DamagedFiles::records},
                                    {Kind::kLayouts, &DamagedFiles::layouts},
                                    {Kind::kPositionHints, &DamagedFiles::position_hints},
                                    {Kind::kRowHints, &DamagedFiles::row_hints}}) {
    ChunkFiles& files = (*chunks_)[kind];
    try {
      files.Refresh();
      this->*place = KindReader(files);
    } catch (const Error& error) {
      const std::uint64_t first = files.begin() / chunk_bytes;
      const std::string name = ChunkName(KindName(kind), first);
      const bool missing = !directory_->FileSize(name.c_str());
      report({.file = name,
              .subject = "the file",
              .expected = "a regular file of at most one chunk",
              .found = missing ? "nothing" : Reason(error, PathText(directory_->path() / name))});
    }
  }
}

void DamagedFiles::ReadControl(const Report& report) {
  std::array<std::byte, kIdentityBytes> bytes{};
  try {
    const std::size_t count = control->ReadAt(bytes, kIdentityOffset);
    identity = DecodeIdentity(std::span(bytes).first(count), control->path());
    published = Live(&LiveWords::published);
    begin = ReadBegin(*control, identity->id);
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
  const auto maps =
      view.mappings == nullptr ? open.maps() : std::static_pointer_cast<const Maps>(view.mappings);
  files.begin = maps->begin;
  files.mappings_ = maps;
  files.chunks_ =
      std::make_unique<ChunkSet>(open.directory(), open.identity().chunk_bytes, maps->begin);
  const auto reader = [&](Kind kind) {
    // With safe reads, mappings must not be loaded from.
    const ChunkRange& range = *maps->parts[Index(kind)].range;
    const ChunkFiles& chunks = (*files.chunks_)[kind];
    return KindReader(chunks, open.copies() ? nullptr : maps->data<std::byte>(kind), chunks.begin(),
                      std::min(open.data(kind).bytes(), range.end_byte()));
  };
  files.values = reader(Kind::kValues);
  files.records = reader(Kind::kRecords);
  files.layouts = reader(Kind::kLayouts);
  files.position_hints = reader(Kind::kPositionHints);
  files.row_hints = reader(Kind::kRowHints);
  if (open.parked()) {
    files.owned_.push_back(std::make_unique<File>(open.control.Reopen()));
    files.control = files.owned_.back().get();
  } else {
    files.control = &open.control.file();
  }
  files.lock = open.lock.is_open() ? &open.lock : nullptr;
  files.identity = open.identity();
  files.schema = view.store_schema->schema;
  files.encodings = view.store_schema->encodings;
  files.published = view.record_count;
  return files;
}

}  // namespace stream_store::internal
