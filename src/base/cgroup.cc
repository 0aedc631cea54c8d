// Reads memory limits of control groups from /proc/self/cgroup and /sys/fs/cgroup.
//
// A machine may mount version 1, version 2 or both, and the limit that binds may be that of any
// parent group, so the smallest headroom of all is used.

#include "base/cgroup.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <optional>
#include <string_view>

#include "base/str_cat.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};

// Where one version of the interface is mounted, and its names for the same figures.
struct Interface {
  std::string_view mount;
  std::string_view limit;
  std::string_view used;
  std::string_view inactive_cache;
  std::string_view active_cache;
};

constexpr Interface kVersion1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes",
                                 "memory.usage_in_bytes", "total_inactive_file",
                                 "total_active_file"};
constexpr Interface kVersion2 = {"/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file",
                                 "active_file"};

std::optional<std::uint64_t> ReadNumber(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t number = 0;
  if (file >> number) {
    return number;
  }
  return std::nullopt;  // missing, or "max"
}

// Page cache of files counts as used memory, but the kernel drops it before it kills a process.
std::uint64_t DroppableCache(const std::string& group, const Interface& interface) {
  std::ifstream file(group + "/memory.stat");
  std::uint64_t total = 0;
  std::string name;
  for (std::uint64_t bytes = 0; file >> name >> bytes;) {
    if (name == interface.inactive_cache || name == interface.active_cache) {
      total += bytes;
    }
  }
  return total;
}

std::uint64_t HeadroomOf(const std::string& group, const Interface& interface) {
  const auto limit = ReadNumber(group + "/" + std::string(interface.limit));
  const auto used = ReadNumber(group + "/" + std::string(interface.used));
  if (!limit || !used) {
    return kNoLimit;
  }
  const std::uint64_t kept = *used - std::min(*used, DroppableCache(group, interface));
  return *limit - std::min(*limit, kept);
}

// The smallest headroom of `group` and its parents, up to the mount point.
std::uint64_t HeadroomUpwards(const std::string& root, std::string group,
                              const Interface& interface) {
  std::uint64_t least = kNoLimit;
  for (;;) {
    least = std::min(least, HeadroomOf(StrCat(root, interface.mount, group), interface));
    const std::size_t slash = group.rfind('/');
    if (group.empty() || slash == std::string::npos) {
      return least;
    }
    group.resize(slash);
  }
}

}  // namespace

std::uint64_t CgroupHeadroomBytes(const std::string& root) noexcept try {
  std::uint64_t least = kNoLimit;
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // "id:controllers:/group"
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) {
      continue;
    }
    const std::string controllers = StrCat(",", line.substr(first + 1, second - first - 1), ",");
    const std::string group = line.substr(second + 1);
    if (controllers == ",,") {
      least = std::min(least, HeadroomUpwards(root, group, kVersion2));
    } else if (controllers.find(",memory,") != std::string::npos) {
      least = std::min(least, HeadroomUpwards(root, group, kVersion1));
    }
  }
  return least;
} catch (...) {  // the result is an estimate, and an unreadable file must not stop an append
  return kNoLimit;
}

bool CgroupBudget::Take(std::uint64_t bytes, std::uint64_t* headroom,
                        const std::string& root) noexcept {
  constexpr std::int64_t kGrantMilliseconds = 100;
  constexpr std::int64_t kRefuseMilliseconds = 10;
  const std::int64_t now = std::chrono::duration_cast<std::chrono::milliseconds>(
                               std::chrono::steady_clock::now().time_since_epoch())
                               .count();
  const std::int64_t read_at = read_at_.load(std::memory_order_acquire);
  const std::int64_t age = read_at == 0 ? kGrantMilliseconds : now - read_at;
  std::uint64_t left = headroom_.load(std::memory_order_relaxed);
  if (age >= kGrantMilliseconds || (bytes > left && age >= kRefuseMilliseconds)) {
    left = CgroupHeadroomBytes(root);
    headroom_.store(left, std::memory_order_relaxed);
    read_at_.store(now, std::memory_order_release);
  }
  *headroom = left;
  if (bytes > left) {
    return false;
  }
  if (left != kNoLimit) {
    headroom_.store(left - bytes, std::memory_order_relaxed);
  }
  return true;
}

}  // namespace stream_store::internal
