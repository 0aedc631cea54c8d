// Creates a directory that appears complete or not at all: it is built under a hidden name next to
// its final name and then renamed.
//
// The sibling of `runs/a` is `runs/.a.tmp-<32 hex digits>`. Its creator holds a lock on a file
// inside, so that a later open can distinguish a leftover from a directory that is being built.

#include <array>
#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>

#include "base/directory.h"
#include "base/random.h"
#include "base/retry.h"
#include "base/str_cat.h"
#include "base/syscalls.h"

namespace stream_store::internal {
namespace {

namespace fs = std::filesystem;

// ".<name>.tmp-<32 digits>" must stay within NAME_MAX (255).
constexpr std::size_t kMaxNameInSibling = 200;
constexpr std::size_t kRandomDigits = 32;

// Resolves a final path: absolute, without a trailing slash, with a link at its end followed. A
// rename would otherwise replace the link instead of creating the directory it points to.
fs::path Place(const fs::path& final_path) {
  fs::path path = fs::absolute(final_path);
  if (!path.has_filename()) {
    path = path.parent_path();
  }
  std::error_code ignored;
  const bool moves = path.filename() == "." || path.filename() == "..";
  if (moves || fs::is_symlink(path, ignored)) {
    const fs::path resolved = fs::weakly_canonical(path, ignored);
    if (!ignored) {
      path = resolved;
    }
  }
  return path;
}

std::string SiblingPrefix(const fs::path& place) {
  return StrCat(".", place.filename().string().substr(0, kMaxNameInSibling), ".tmp-");
}

bool IsSiblingName(const std::string& name, const std::string& prefix) {
  return name.size() == prefix.size() + kRandomDigits && name.starts_with(prefix) &&
         name.find_first_not_of("0123456789abcdef", prefix.size()) == std::string::npos;
}

[[noreturn]] void ThrowNoParent(const fs::path& path, const fs::path& parent) {
  throw Error(ErrorCode::kNotFound, StrCat(PathText(path), ": creating: expected its parent ",
                                           PathText(parent), " to be a directory"));
}

int Rename(const fs::path& from, const fs::path& to, unsigned flags) {
  return sys().rename_at2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags);
}

}  // namespace

Directory Directory::CreateSibling(const fs::path& final_path) {
  const fs::path place = Place(final_path);
  const fs::path sibling = place.parent_path() / (SiblingPrefix(place) + RandomHex());
  if (sys().mkdir_at(AT_FDCWD, sibling.c_str(), 0700) != 0) {
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR) {
      ThrowNoParent(final_path, place.parent_path());
    }
    ThrowErrno(PathText(sibling), "creating the directory", error);
  }
  try {
    return Open(sibling);
  } catch (...) {
    sys().unlink_at(AT_FDCWD, sibling.c_str(), AT_REMOVEDIR);
    throw;
  }
}

void PublishDirectory(const Directory& sibling, const fs::path& final_path) {
  const fs::path place = Place(final_path);
  if (Rename(sibling.path(), place, RENAME_NOREPLACE) == 0) {
    return;
  }
  const bool taken_or_unsupported = errno == EEXIST || errno == EINVAL || errno == ENOSYS;
  // A plain rename is as safe here, because the kernel lets a directory replace an empty directory
  // and nothing else. It covers file systems without RENAME_NOREPLACE, and an empty target.
  if (taken_or_unsupported && Rename(sibling.path(), place, 0) == 0) {
    return;
  }
  const int error = errno;
  if (error == EEXIST || error == ENOTEMPTY || error == ENOTDIR) {
    throw Error(ErrorCode::kAlreadyExists,
                StrCat(PathText(final_path),
                       ": creating: expected nothing or an empty directory but found ",
                       error == ENOTDIR ? "something else" : "a directory with content"));
  }
  ThrowErrno(PathText(final_path), "renaming the finished directory into place", error);
}

// Another process may create the same directories at the same time, so one that exists by now is as
// good; but it is not ours to remove.
std::vector<fs::path> CreateParents(const fs::path& path) {
  std::vector<fs::path> missing;
  std::error_code ignored;
  for (fs::path parent = Place(path).parent_path(); !fs::exists(parent, ignored);
       parent = parent.parent_path()) {
    missing.push_back(parent);
  }
  std::vector<fs::path> created;
  try {
    for (; !missing.empty(); missing.pop_back()) {
      const fs::path& parent = missing.back();
      if (sys().mkdir_at(AT_FDCWD, parent.c_str(), 0777) == 0) {
        created.push_back(parent);
        Directory::Open(parent.parent_path()).Sync();
      } else if (errno == ENOTDIR || (errno == EEXIST && !fs::is_directory(parent, ignored))) {
        ThrowNoParent(path, parent);
      } else if (errno != EEXIST) {
        ThrowErrno(PathText(parent), StrCat("creating the directory for ", PathText(path)), errno);
      }
    }
  } catch (...) {
    RemoveParents(created);
    throw;
  }
  return created;
}

void RemoveParents(const std::vector<fs::path>& created) noexcept {
  for (std::size_t i = created.size(); i > 0; --i) {
    sys().unlink_at(AT_FDCWD, created[i - 1].c_str(), AT_REMOVEDIR);
  }
}

void SyncParent(const fs::path& path) { Directory::Open(Place(path).parent_path()).Sync(); }

void RemoveTree(const fs::path& sibling) noexcept {
  try {
    const Directory directory = Directory::OpenItself(sibling);
    for (const std::string& name : directory.Entries()) {
      directory.Unlink(name.c_str());
    }
    sys().unlink_at(AT_FDCWD, sibling.c_str(), AT_REMOVEDIR);
  } catch (...) {  // the next open finds the leftover and tries again
  }
}

std::vector<fs::path> FindSiblings(const fs::path& final_path) {
  std::vector<fs::path> found;
  const fs::path place = Place(final_path);
  try {
    const std::string prefix = SiblingPrefix(place);
    for (const std::string& name : Directory::Open(place.parent_path()).Entries()) {
      if (IsSiblingName(name, prefix)) {
        found.push_back(place.parent_path() / name);
      }
    }
  } catch (const Error&) {  // nothing in a directory that cannot be listed can be cleaned up
  }
  return found;
}

bool HasSiblingName(const fs::path& path, const std::string& name) {
  const fs::path last = path.has_filename() ? path.filename() : path.parent_path().filename();
  return IsSiblingName(last.string(), SiblingPrefix(name));
}

}  // namespace stream_store::internal
