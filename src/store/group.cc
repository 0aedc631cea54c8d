#include "stream_store/group.h"

#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "base/directory.h"
#include "base/file.h"
#include "base/host.h"
#include "base/str_cat.h"
#include "storage/store_files.h"
#include "store/group_access.h"
#include "store/group_listing.h"
#include "store/schema_difference.h"

namespace stream_store {

using internal::GroupListing;
using internal::kGroupFieldsName;
using internal::PathText;
using internal::StrCat;

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kFieldsChunkBytes = 1 << 20;  // of a store without rows
constexpr std::size_t kMostNameBytes = 200;  // a hidden sibling needs 40 more of the 255 of a name

bool IsStore(const fs::path& path) {
  return internal::FindFileId((path / internal::kControlName).string()).has_value();
}

std::optional<Reader> TryOpen(const fs::path& path, const ReaderOptions& options) {
  try {
    return Reader::Open(path, options);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) {
      throw;
    }
  }
  return std::nullopt;
}

// The first store of a directory, by name.
std::optional<Reader> FindFirstStore(const fs::path& path, const ReaderOptions& options) {
  if (!internal::FindFileId(PathText(path))) {
    return std::nullopt;
  }
  for (const std::string& name : internal::Directory::Open(path).Entries()) {
    if (!name.starts_with('.') && IsStore(path / name)) {
      return TryOpen(path / name, options);
    }
  }
  return std::nullopt;
}

// A Reader of a store that has the fields of the group; nothing if the group has none yet.
std::optional<Reader> FindFields(const fs::path& path, const ReaderOptions& options) {
  std::optional<Reader> found = TryOpen(path / kGroupFieldsName, options);
  return found ? std::move(found) : FindFirstStore(path, options);
}

void RequireFields(const fs::path& path, bool same, const Schema& expected, const Schema& found) {
  if (!same) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat(PathText(path), ": the group was declared with other fields: ",
                       internal::DifferenceText(expected, found)));
  }
}

// Creates the store that holds the fields of a group. Another process may do the same at the same time.
void CreateFields(const fs::path& path, const std::vector<Field>& fields) {
  try {
    StreamStore::Open(path / kGroupFieldsName, {.mode = Mode::kCreate,
                                                .capacity_values = 1,
                                                .chunk_bytes = kFieldsChunkBytes,
                                                .fields = fields,
                                                .grow_ahead = false})
        .Close();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kAlreadyExists) {
      throw;
    }
  }
}

void DeclareFields(const fs::path& path, const std::vector<Field>& fields) {
  const Schema wanted(fields);
  if (IsStore(path)) {
    throw Error(ErrorCode::kAlreadyExists,
                StrCat(PathText(path), ": creating a group: expected no store but found one"));
  }
  if (!TryOpen(path / kGroupFieldsName, {})) {
    const std::optional<Reader> first = FindFirstStore(path, {});
    if (first) {
      RequireFields(path, first->schema().Extends(wanted), first->schema(), wanted);
    }
    CreateFields(path, fields);
  }
  const Reader holder = Reader::Open(path / kGroupFieldsName);
  RequireFields(path, holder.schema() == wanted, holder.schema(), wanted);
}

Reader AwaitFields(const fs::path& path, const GroupOptions& options) {
  constexpr auto kPause = std::chrono::milliseconds(2);
  const auto deadline = std::chrono::steady_clock::now() + options.wait;
  while (true) {
    if (std::optional<Reader> found = FindFields(path, {.safe_reads = options.safe_reads})) {
      return std::move(*found);
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      throw Error(ErrorCode::kNotFound,
                  StrCat(PathText(path),
                         ": opening a group: expected a directory of stores, or the "
                         "fields of a new group, but found ",
                         IsStore(path)            ? "a store"
                         : fs::is_directory(path) ? "no store in it"
                                                  : "no directory"));
    }
    std::this_thread::sleep_for(kPause);
  }
}

void CheckName(const std::string& name) {
  if (name.empty() || name[0] == '.' || name.find('/') != std::string::npos ||
      name.find('\0') != std::string::npos || name.size() > kMostNameBytes) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("the name of a store in a group: expected 1 to ", kMostNameBytes,
                       " bytes without a slash, not beginning with a dot, but found '", name, "'"));
  }
}

}  // namespace

StoreGroup StoreGroup::Open(const fs::path& path, const GroupOptions& options) {
  if (!options.fields.empty()) {
    DeclareFields(path, options.fields);
  }
  Reader fields = AwaitFields(path, options);
  return StoreGroup(std::make_shared<GroupListing>(path, std::move(fields), options));
}

StoreGroup::StoreGroup(std::shared_ptr<GroupListing> listing)
    : listing_(std::move(listing)), seen_(listing_->Last()) {}

StoreGroup::StoreGroup(const StoreGroup&) = default;
StoreGroup& StoreGroup::operator=(const StoreGroup&) = default;
StoreGroup::StoreGroup(StoreGroup&&) noexcept = default;
StoreGroup& StoreGroup::operator=(StoreGroup&&) noexcept = default;
StoreGroup::~StoreGroup() = default;

const fs::path& StoreGroup::path() const noexcept { return listing_->path(); }

const Schema& StoreGroup::schema() const noexcept { return listing_->fields().schema(); }

bool StoreGroup::Refresh() {
  std::shared_ptr<const internal::Listing> now = listing_->Look();
  const bool changed = now->version != seen_->version;
  seen_ = std::move(now);
  return changed;
}

const std::vector<GroupStore>& StoreGroup::stores() const noexcept { return seen_->stores; }

const std::vector<SkippedStore>& StoreGroup::skipped() const noexcept { return seen_->skipped; }

StreamStore StoreGroup::OpenWriter(const std::string& name, const Options& options) const {
  if (!options.fields.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat(PathText(path()),
                       ": opening a writer: the fields are those of the group, so "
                       "expected none in the options"));
  }
  const fs::path place = StorePath(name);
  Options all = options;
  if (name.empty()) {
    all.mode = Mode::kCreate;
  }
  StreamStore store = StreamStore::Open(place, all);
  if (!store.declared()) {
    store.DefineFields(schema().fields());
  } else if (!store.schema().Extends(schema())) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat(PathText(place), ": the store has other fields than the group: ",
                       internal::DifferenceText(schema(), store.schema())));
  }
  return store;
}

fs::path StoreGroup::StorePath(const std::string& name) const {
  if (!name.empty()) {
    CheckName(name);
  }
  return path() / (name.empty() ? internal::UniqueName() : name);
}

const fs::path& StoreGroup::fields_path() const noexcept { return listing_->fields().path(); }

namespace internal {

const Listing& GroupAccess::Follow(StoreGroup& group) {
  group.seen_ = group.listing_->LookNowAndThen();
  return *group.seen_;
}

const Reader& GroupAccess::FieldsOf(const StoreGroup& group) { return group.listing_->fields(); }

}  // namespace internal

}  // namespace stream_store
