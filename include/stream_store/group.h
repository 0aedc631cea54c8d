// Groups: the stores of several writers in one directory, read as one.
//
//     StoreGroup group = StoreGroup::Open("runs/a", {.fields = {{.name = "obs", .dtype = DType::kFloat32}}});
//     StreamStore store = group.OpenWriter();           // each writer process has a store of its own
//     WindowSampler sampler(group, {.length = 16, .unit = SampleUnit::kRow, .batch_size = 256});
//     sampler.Sample(batch);                            // from the stores that exist now
//
// A group is a directory. Each sub-directory that is a store belongs to it, unless its name begins with
// a dot. All stores have the fields of the group; fields that a store has added after them are not read
// through the group. A store without rows, `.group`, holds the fields, so a group has fields before it
// has stores. In a directory of stores without `.group`, the fields are those of the first store by
// name.
//
// Writers come and go: their stores appear complete, in one rename. A store leaves the group when its
// directory is deleted or moved away; what was read from it stays valid.
//
// Thread rules: a StoreGroup may be used by one thread at a time. It is cheap to copy, so give each
// thread its own copy: copies share what they have found. The group of a forked child works.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "stream_store/error.h"
#include "stream_store/export.h"
#include "stream_store/options.h"
#include "stream_store/reader.h"
#include "stream_store/schema.h"
#include "stream_store/store.h"

namespace stream_store {

namespace internal {
struct GroupAccess;
class GroupListing;
struct Listing;
}  // namespace internal

/// How a group is opened.
struct GroupOptions {
  /// The fields of a new group. If the group exists, they must equal its own. Left empty, the group
  /// must exist.
  std::vector<Field> fields = {};

  /// Whether stores that are damaged, or that have other fields, are left out and listed by
  /// StoreGroup::skipped(). Otherwise they are errors.
  bool skip_damaged = true;

  /// How long to wait for the group to have fields, before StoreGroup::Open() throws
  /// Error(kNotFound).
  std::chrono::nanoseconds wait{0};

  /// As ReaderOptions::safe_reads, for all stores.
  bool safe_reads = false;
};

/// A store of a group.
struct GroupStore {
  std::string name;  ///< of its directory
  Reader reader;     ///< the rows that it had when it was found; copy it, and refresh the copy
};

/// A store that is left out of a group.
struct SkippedStore {
  std::string name;
  ErrorCode code = ErrorCode::kCorrupt;
  std::string reason;  ///< the message of the error that it would be
};

/// A directory of stores with equal fields. See the top of this file.
class STREAM_STORE_API StoreGroup {
 public:
  /// Opens the group at `path`. With options.fields it is created if it does not exist, and its missing
  /// parents with it.
  ///
  /// Cost    that of opening each store.
  /// Throws  Error: kNotFound (there is no directory, or nothing in it that has fields, even after
  ///         `options.wait`), kInvalidArgument (options.fields differ from those of the group),
  ///         kAlreadyExists (the path is not a directory), kCorrupt, kVersion, kNoSpace, kIo; without
  ///         skip_damaged, the error of the first store that cannot be read.
  static StoreGroup Open(const std::filesystem::path& path, const GroupOptions& options = {});

  /// A copy shows the same stores.
  StoreGroup(const StoreGroup&);
  StoreGroup& operator=(const StoreGroup&);
  StoreGroup(StoreGroup&&) noexcept;
  StoreGroup& operator=(StoreGroup&&) noexcept;
  ~StoreGroup();

  /// The directory.
  const std::filesystem::path& path() const noexcept;

  /// The fields that all stores have.
  const Schema& schema() const noexcept;

  /// Looks for stores that have come or gone, and returns whether there were any.
  ///
  /// Cost    two system calls for each entry of the directory, and the opening of new stores.
  /// Throws  Error: kNotFound if the directory is gone, kIo; without skip_damaged, the error of the first
  ///         store that cannot be read. The group shows the same stores as before then.
  bool Refresh();

  /// The stores, by name. The reference is valid until the next Refresh().
  const std::vector<GroupStore>& stores() const noexcept;

  /// The stores that are left out, by name. The reference is valid until the next Refresh().
  const std::vector<SkippedStore>& skipped() const noexcept;

  /// Opens a store of the group for writing; creates it with the fields of the group if it does not
  /// exist.
  ///
  /// name     of its directory: not empty, without slashes, and not beginning with a dot. If left out,
  ///          the store is a new one, whose name no other writer on any host has: time, host, process
  ///          and a random number.
  /// options  as for StreamStore::Open(). `fields` are left out: they are those of the group.
  /// Throws   Error: kInvalidArgument (a name or an option that is not valid, fields that are given, or
  ///          an existing store with other fields), and as StreamStore::Open().
  StreamStore OpenWriter(const std::string& name = {}, const Options& options = {}) const;

  /// Returns where OpenWriter() puts a store: below path(), under `name` or a new name. Throws
  /// Error(kInvalidArgument) for a name that is not valid.
  std::filesystem::path StorePath(const std::string& name = {}) const;

  /// Returns the path of the store that holds the fields of the group.
  const std::filesystem::path& fields_path() const noexcept;

 private:
  friend struct internal::GroupAccess;
  explicit StoreGroup(std::shared_ptr<internal::GroupListing> listing);

  std::shared_ptr<internal::GroupListing> listing_;  // shared by all copies
  std::shared_ptr<const internal::Listing> seen_;
};

}  // namespace stream_store
