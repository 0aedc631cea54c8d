// CreateUnlinkedFile(): files for temporary stores, which disappear with the process.

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

#include <fcntl.h>

#include "base/directory.h"
#include "base/random.h"
#include "base/retry.h"
#include "base/str_cat.h"
#include "base/syscalls.h"

namespace stream_store::internal {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> CandidatePlaces(const fs::path& preferred) {
  if (!preferred.empty()) {
    return {preferred};
  }
  std::vector<fs::path> places;
  if (const char* named = std::getenv("TMPDIR"); named != nullptr && *named != '\0') {
    places.emplace_back(named);
  }
  places.emplace_back("/var/tmp");
  places.emplace_back("/tmp");
  return places;
}

// Uses O_TMPFILE. Where the file system does not have it, creates a file with a random name and
// unlinks it at once.
File OpenUnlinked(const Directory& directory, const std::string& name) {
  const std::string path = StrCat(PathText(directory.path() / name), " (unlinked)");
  const int fd = RetryInterrupted(
      [&] { return sys().open_at(directory.fd(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600); });
  if (fd >= 0) {
    File file(fd, path);
    if (sys().fchmod(fd, 0600) != 0) {
      ThrowErrno(path, "setting mode 0600", errno);
    }
    return file;
  }
  const bool unsupported = errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL;
  if (!unsupported) {
    ThrowErrno(path, "creating", errno);
  }

  const std::string random_name = StrCat(".", name, "-", RandomHex());
  File named = directory.CreateFile(random_name.c_str());
  directory.Unlink(random_name.c_str());
  return {named.Release(), path};
}

}  // namespace

File CreateUnlinkedFile(const fs::path& preferred, const std::string& name) {
  std::vector<Directory> places;
  std::string refused;
  const auto refuse = [&](const Error& error) {
    const bool no_descriptor = error.system_errno() == EMFILE || error.system_errno() == ENFILE;
    if (!preferred.empty() || no_descriptor) {  // the latter is no better in another directory
      throw error;
    }
    refused += StrCat(refused.empty() ? "" : "; ", error.what());
  };
  for (const fs::path& place : CandidatePlaces(preferred)) {
    try {
      places.push_back(Directory::Open(place));
    } catch (const Error& error) {
      refuse(error);
    }
  }
  // Disks first: pages of a memory-backed file system count against the memory limit, and exceeding
  // that kills the process where a full disk returns an error.
  std::stable_partition(places.begin(), places.end(),  // clang 14 rejects the ranges:: version
                        [](const Directory& place) { return !place.InMemory(); });
  for (const Directory& place : places) {
    try {
      return OpenUnlinked(place, name);
    } catch (const Error& error) {
      refuse(error);
    }
  }
  throw Error(
      ErrorCode::kIo,
      StrCat(name, ": creating a temporary file: expected one of these directories to accept it: ",
             refused));
}

}  // namespace stream_store::internal
