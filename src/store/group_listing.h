// GroupListing: the stores that a group has, as all copies of a StoreGroup share them.
//
// It looks at the directory when it is asked to, and makes a new Listing if anything has changed. A
// directory whose time of modification has not changed has the same entries, so mostly it is not read.
// A store that is copied into the directory file by file, or damaged later, does not change that time:
// therefore everything is looked at again now and then.
//
// Used by group.cc. Thread rules: all functions may be called from any thread. No Reader is opened or
// destroyed under the mutex: Readers have mutexes of their own.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "stream_store/group.h"

#include "base/file.h"
#include "base/fork_mutex.h"

namespace stream_store::internal {

/// The name of the store that holds the fields of a group.
inline constexpr const char* kGroupFieldsName = ".group";

/// What was found in the directory of a group. Immutable.
struct Listing {
  std::uint64_t version = 0;  ///< rises when `stores` or `skipped` change
  std::vector<GroupStore> stores;
  std::vector<SkippedStore> skipped;
};

class GroupListing {
 public:
  using Clock = std::chrono::steady_clock;

  /// Finds the stores of a group. `fields` has its fields. Throws as Look().
  GroupListing(std::filesystem::path path, Reader fields, const GroupOptions& options);

  const std::filesystem::path& path() const noexcept { return path_; }

  /// A Reader of a store with the fields of the group, which may have rows.
  const Reader& fields() const noexcept { return fields_; }

  /// Returns what is known.
  std::shared_ptr<const Listing> Last() const EXCLUDES(mutex_);

  /// Looks at the directory, and returns what there is.
  ///
  /// Throws Error: kNotFound if the directory is gone, kIo; and without skip_damaged the error of the
  /// first store that cannot be read.
  std::shared_ptr<const Listing> Look() EXCLUDES(mutex_);

  /// As Look(), but returns what is known if the last look was a moment ago, or if the directory has not
  /// changed since.
  std::shared_ptr<const Listing> LookNowAndThen() EXCLUDES(mutex_);

 private:
  // What a look at the directory found out about the directory itself.
  struct Glance {
    Clock::time_point began;
    std::optional<FileStamp> stamp;
    bool settled = false;  // it had not changed for a while, so another change changes the stamp
  };

  bool IsDue(const Glance& last) const;
  Glance BeginLook() const;
  std::shared_ptr<const Listing> Scan(const Listing& known) const;
  std::shared_ptr<const Listing> Publish(const std::shared_ptr<const Listing>& known,
                                         std::shared_ptr<const Listing> found, const Glance& look)
      EXCLUDES(mutex_);
  void Add(const std::string& name, const Listing& known, Listing& found) const;
  void RefuseSecond(Listing& found) const;
  void RequireAll(const Listing& listing) const;

  const std::filesystem::path path_;
  const Reader fields_;
  const bool skip_damaged_;
  const bool safe_reads_;
  mutable ForkMutex mutex_{ForkMutex::Rank::kOuter};
  std::shared_ptr<const Listing> listing_ GUARDED_BY(mutex_);
  Glance last_look_ GUARDED_BY(mutex_);
};

}  // namespace stream_store::internal
