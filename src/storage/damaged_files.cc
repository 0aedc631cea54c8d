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

// The name of the chunk that an error of ChunkFiles is about, or `otherwise`.
std::string ChunkOf(const Error& error, const char* kind, const std::string& otherwise) {
  const std::string text = error.what();
  const std::size_t slash = text.rfind(StrCat("/", kind, "."));
  if (slash == std::string::npos) {
    return otherwise;
  }
  const std::string name = text.substr(slash + 1, otherwise.size());
  return ChunkNumber(kind, name) ? name : otherwise;
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
  files.place_ = &directory;
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

// The begin that a process would use that opens the store now. The slot of a drop is written before
// its files are unlinked, so a file that is missing because of a drop lies before it.
Begin DamagedFiles::NewestBegin() const {
  return control == nullptr || !identity ? begin : ReadBegin(*control, identity->id);
}

bool DamagedFiles::RowsWereDropped() const {
  return mappings_ == nullptr && NewestBegin().records > begin.records;
}

bool DamagedFiles::FollowDrop(const Report& report) {
  if (!RowsWereDropped()) {
    return false;
  }
  begin = NewestBegin();
  OpenKinds(report);
  return true;
}

// Files that are dropped while they are listed end the list, or are missing at its begin.
std::uint64_t DamagedFiles::EndNow(Kind kind) const {
  STREAM_STORE_ASSERT(identity.has_value());
  for (;;) {
    const Begin newest = NewestBegin();
    ChunkSet chunks(*place_, identity->chunk_bytes, newest);
    try {
      chunks[kind].Refresh();
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kCorrupt) {
        throw;
      }
    }
    if (NewestBegin().records <= newest.records) {
      return chunks[kind].end();
    }
  }
}

// A writer may drop files while they are opened. Then the newest slot says where the rest begins.
void DamagedFiles::OpenKinds(const Report& report) {
  std::vector<Finding> findings = OpenKindsOnce();
  while (RowsWereDropped()) {
    begin = NewestBegin();
    findings = OpenKindsOnce();
  }
  std::ranges::for_each(findings, report);
}

// Files after a short or missing one do not count; the code that needs their bytes reports that.
std::vector<Finding> DamagedFiles::OpenKindsOnce() {
  std::vector<Finding> findings;
  const std::uint64_t chunk_bytes = identity ? identity->chunk_bytes : kDefaultChunkBytes;
  chunks_ = std::make_unique<ChunkSet>(*place_, chunk_bytes, begin);
  for (const auto& [kind, place] : {std::pair{Kind::kValues, &DamagedFiles::values},
                                    {Kind::kRecords, &DamagedFiles::records},
                                    {Kind::kLayouts, &DamagedFiles::layouts},
                                    {Kind::kPositionHints, &DamagedFiles::position_hints},
                                    {Kind::kRowHints, &DamagedFiles::row_hints}}) {
    ChunkFiles& files = (*chunks_)[kind];
    (this->*place).reset();
    try {
      files.Refresh();
      this->*place = KindReader(files);
    } catch (const Error& error) {
      const std::uint64_t first = files.begin() / chunk_bytes;
      const std::string name = ChunkOf(error, KindName(kind), ChunkName(KindName(kind), first));
      const bool missing = !place_->Contains(name.c_str());
      findings.push_back(
          {.file = name,
           .subject = "the file",
           .expected = "a regular file of at most one chunk",
           .found = missing ? "nothing" : Reason(error, PathText(place_->path() / name))});
    }
  }
  return findings;
}

void DamagedFiles::ReadControl(const Report& report) {
  std::array<std::byte, kIdentityBytes> bytes{};
  try {
    const std::size_t count = control->ReadAt(bytes, kIdentityOffset);
    identity = DecodeIdentity(std::span(bytes).first(count), control->path());
    session = Live(&LiveWords::session);
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
  if (!open.copies()) {
    files.mappings_ = maps;
  }
  files.place_ = &open.directory();
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
