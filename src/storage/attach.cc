// ReadSource: attaching to a store by its path.
#include <atomic>
#include <cerrno>
#include <utility>

#include "base/str_cat.h"
#include "storage/read_source.h"

namespace stream_store::internal {

namespace {

// As with writers, the first ones of a process keep their descriptors, which saves a few system calls
// when a store grows. Those that come later keep none, so that a process can read thousands of stores.
constexpr int kSourcesWithDescriptors = 16;

std::atomic<int> attached_sources{0};  // of this process

bool Gone(const std::filesystem::path& path) {
  try {
    return !LooksLikeStore(Directory::Open(path));
  } catch (const Error&) {
    return true;
  }
}

}  // namespace

void ReadSource::CountAttached(int change) noexcept { attached_sources += change; }

// FindPrefix(), or false if a writer has dropped chunks meanwhile that this needed.
bool ReadSource::TryFindPrefix() {
  const std::uint64_t begin = files_->control.begin().load(std::memory_order_acquire);
  try {
    return FindPrefix();
  } catch (const Error& error) {
    const bool missing =
        error.code() == ErrorCode::kCorrupt || error.code() == ErrorCode::kNotFound;
    files_->control.Refresh();
    if (!missing || begin == files_->control.begin().load(std::memory_order_acquire)) {
      throw;
    }
  }
  return false;
}

std::shared_ptr<ReadSource> ReadSource::AttachTo(Directory directory, bool copies, bool temporary) {
  std::shared_ptr<ReadSource> source(new ReadSource(
      StoreFiles::Open(std::move(directory), /*writable=*/false, copies, temporary)));
  while (!source->TryFindPrefix()) {
  }
  if (!copies && !temporary && attached_sources.load() > kSourcesWithDescriptors) {
    source->files_->Park();
  }
  return source;
}

std::shared_ptr<ReadSource> ReadSource::Attach(const std::filesystem::path& path, bool copies) {
  Directory directory = OpenStoreDirectory(path);
  try {
    return AttachTo(std::move(directory), copies, /*temporary=*/false);
  } catch (const Error& error) {
    // A missing file looks like corruption. If the whole store is gone by now, it is being deleted.
    if (error.code() == ErrorCode::kCorrupt && Gone(path)) {
      throw Error(ErrorCode::kNotFound, StrCat(PathText(path), ": no such store: it was deleted"),
                  ENOENT);
    }
    throw;
  }
}

std::shared_ptr<ReadSource> ReadSource::TakeOver(const std::filesystem::path& directory) {
  try {
    return AttachTo(OpenStoreDirectory(directory), /*copies=*/false, /*temporary=*/true);
  } catch (const Error& error) {
    const bool missing =
        error.code() == ErrorCode::kNotFound || error.code() == ErrorCode::kCorrupt;
    if (!missing || !Gone(directory)) {
      throw;
    }
    throw Error(ErrorCode::kNotFound,
                "temporary store: reading it in another process: it was deleted, because the "
                "process that created it has closed it or has ended",
                ENOENT);
  }
}

}  // namespace stream_store::internal
