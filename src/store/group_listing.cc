#include "store/group_listing.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <utility>

#include "base/clock.h"
#include "base/directory.h"
#include "base/str_cat.h"
#include "storage/read_source.h"
#include "storage/store_files.h"
#include "store/read_functions.h"
#include "store/schema_difference.h"

namespace stream_store::internal {
namespace {

// How often a sampler looks at the directory, and how often at every store in it.
constexpr auto kPause = std::chrono::milliseconds(100);
constexpr auto kThorough = std::chrono::seconds(5);

// Later than this after a change of the directory, another one gets another time of modification.
constexpr std::int64_t kSettled = 1'000'000'000;

// Whether an entry without a control file was a store.
bool IsRestOfStore(const std::filesystem::path& entry) {
  return FindFileId((entry / kSchemaName).string()).has_value();
}

// An error of this process, not of the store.
bool IsShortage(const Error& error) {
  const int number = error.system_errno();
  return number == EMFILE || number == ENFILE || number == ENOMEM;
}

const ReadSource* SourceOf(const GroupStore& store) {
  return ReaderAccess::SourceOf(store.reader).get();
}

bool IsSame(const Listing& one, const Listing& other) {
  return std::ranges::equal(one.stores, other.stores,
                            [](const GroupStore& a, const GroupStore& b) {
                              return a.name == b.name && SourceOf(a) == SourceOf(b);
                            }) &&
         std::ranges::equal(one.skipped, other.skipped,
                            [](const SkippedStore& a, const SkippedStore& b) {
                              return a.name == b.name && a.reason == b.reason;
                            });
}

// Whether the rows that a Reader sees are still there. Throws the error if the store is damaged.
bool IsCurrent(const Reader& reader) {
  Reader copy = reader;
  try {
    copy.Refresh();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCutBack) {
      return false;
    }
    throw;
  }
  return true;
}

}  // namespace

GroupListing::GroupListing(std::filesystem::path path, Reader fields, const GroupOptions& options)
    : path_(std::move(path)),
      fields_(std::move(fields)),
      skip_damaged_(options.skip_damaged),
      safe_reads_(options.safe_reads),
      listing_(std::make_shared<const Listing>()) {
  Look();
}

std::shared_ptr<const Listing> GroupListing::Last() const {
  const ForkMutexLock lock(mutex_);
  return listing_;
}

std::shared_ptr<const Listing> GroupListing::Look() {
  const std::shared_ptr<const Listing> known = Last();
  const Glance look = BeginLook();
  return Publish(known, Scan(*known), look);
}

std::shared_ptr<const Listing> GroupListing::LookNowAndThen() {
  std::shared_ptr<const Listing> known;
  Glance last;
  {
    const ForkMutexLock lock(mutex_);
    known = listing_;
    last = last_look_;
  }
  if (Clock::now() - last.began < kPause) {
    RequireAll(*known);
    return known;
  }
  const Glance look = BeginLook();
  const bool thorough = look.began - last.began >= kThorough;
  if (!thorough && last.settled && look.stamp == last.stamp) {
    return known;
  }
  return Publish(known, Scan(*known), look);
}

GroupListing::Glance GroupListing::BeginLook() const {
  Glance look{.began = Clock::now(), .stamp = FindFileStamp(PathText(path_))};
  if (!look.stamp) {
    throw Error(
        ErrorCode::kNotFound,
        StrCat(PathText(path_), ": looking for stores: the directory of the group is gone"));
  }
  const auto now = static_cast<std::int64_t>(UnixNanoseconds());
  look.settled = now - look.stamp->modified > kSettled;
  return look;
}

// Keeps what another thread has published meanwhile.
std::shared_ptr<const Listing> GroupListing::Publish(const std::shared_ptr<const Listing>& known,
                                                     std::shared_ptr<const Listing> found,
                                                     const Glance& look) {
  {
    const ForkMutexLock lock(mutex_);
    if (listing_ == known) {
      listing_ = found;
      last_look_ = look;
    } else {
      found = listing_;  // the one that was found is destroyed by the caller
    }
  }
  RequireAll(*found);
  return found;
}

void GroupListing::RequireAll(const Listing& listing) const {
  if (!skip_damaged_ && !listing.skipped.empty()) {
    const SkippedStore& first = listing.skipped[0];
    throw Error(first.code,
                StrCat("group ", PathText(path_), ": store ", first.name, ": ", first.reason));
  }
}

std::shared_ptr<const Listing> GroupListing::Scan(const Listing& known) const {
  auto found = std::make_shared<Listing>();
  for (const std::string& name : Directory::Open(path_).Entries()) {
    if (!name.starts_with('.')) {
      Add(name, known, *found);
    }
  }
  RefuseSecond(*found);
  found->version = known.version + (IsSame(known, *found) ? 0 : 1);
  return found;
}

void GroupListing::Add(const std::string& name, const Listing& known, Listing& found) const {
  const std::filesystem::path place = path_ / name;
  const auto skip = [&](const Error& error) {
    found.skipped.push_back({.name = name, .code = error.code(), .reason = error.what()});
  };
  try {
    const std::optional<FileId> control = FindFileId((place / kControlName).string());
    if (!control) {
      if (IsRestOfStore(place)) {
        skip(Error(ErrorCode::kCorrupt,
                   StrCat(PathText(place), ": the store has no file '", kControlName, "'")));
      }
      return;
    }
    const auto before = std::ranges::lower_bound(known.stores, name, {}, &GroupStore::name);
    if (before != known.stores.end() && before->name == name &&
        SourceOf(*before)->files().control_id() == *control && IsCurrent(before->reader)) {
      found.stores.push_back(*before);
      return;
    }
    Reader reader = Reader::Open(place, {.safe_reads = safe_reads_});
    if (!reader.schema().Extends(fields_.schema())) {
      throw Error(ErrorCode::kInvalidArgument,
                  StrCat(PathText(place), ": the store has other fields than the group: ",
                         DifferenceText(fields_.schema(), reader.schema())));
    }
    found.stores.push_back({.name = name, .reader = std::move(reader)});
  } catch (const Error& error) {
    if (IsShortage(error)) {
      throw;
    }
    if (error.code() != ErrorCode::kNotFound) {  // else it has gone meanwhile
      skip(error);
    }
  }
}

// Skips stores that are copies of another one file by file: their rows would count twice.
void GroupListing::RefuseSecond(Listing& found) const {
  std::vector<std::pair<std::array<std::uint8_t, 16>, std::size_t>> ids;
  ids.reserve(found.stores.size());
  for (std::size_t i = 0; i < found.stores.size(); ++i) {
    ids.emplace_back(found.stores[i].reader.id(), i);
  }
  std::ranges::sort(ids);
  std::vector<std::size_t> second;
  for (std::size_t k = 1; k < ids.size(); ++k) {
    if (ids[k].first == ids[k - 1].first) {
      const std::size_t i = ids[k].second;
      found.skipped.push_back(
          {.name = found.stores[i].name,
           .code = ErrorCode::kInvalidArgument,
           .reason = StrCat(PathText(path_ / found.stores[i].name), ": the store is a copy of ",
                            found.stores[ids[k - 1].second].name, ": both have id ",
                            IdText(ids[k].first), "; make copies with checkpoint()")});
      second.push_back(i);
    }
  }
  std::ranges::sort(second, std::greater<>());
  for (const std::size_t i : second) {
    found.stores.erase(found.stores.begin() + static_cast<std::ptrdiff_t>(i));
  }
  std::ranges::sort(found.skipped, {}, &SkippedStore::name);
}

}  // namespace stream_store::internal
