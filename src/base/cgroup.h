// CgroupHeadroomBytes(): how much more memory the control group of this process may use.
//
// DataFile calls it before a store grows on a memory-backed file system. On a disk a growth beyond
// the limit fails with ENOSPC; in memory the kernel kills the process instead, so the limit must be
// checked first. The result is an estimate: other processes of the group allocate at the same time.
// Thread rules: any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace stream_store::internal {

/// Returns the limit of the control group minus its use, in bytes, or UINT64_MAX if no limit is
/// found. Page cache that the kernel can drop does not count as use. The smallest headroom of the
/// group and all its parents is returned; versions 1 and 2 of the interface are understood.
///
/// root  a directory that is put before /proc and /sys. Tests pass a tree of their own.
/// Cost  a few reads of small files, so it is for slow paths only. Never throws.
std::uint64_t CgroupHeadroomBytes(const std::string& root = {}) noexcept;

/// The headroom of the control group, read at most every 100 ms. Reading it opens about 14 files,
/// and a store that nears a limit asks for each append.
///
/// What Take() grants is subtracted until the next reading. It grants by figures of up to 100 ms
/// ago, but refuses only by figures of the last 10 ms, so that memory that was freed is soon found.
/// Thread rules: any thread. In a forked child it works as in the parent.
class CgroupBudget {
 public:
  constexpr CgroupBudget() = default;

  /// Whether the control group has `bytes` left. `headroom` is set to what it has, for messages.
  bool Take(std::uint64_t bytes, std::uint64_t* headroom, const std::string& root = {}) noexcept;

 private:
  // Two threads may read at once, which costs time, but is no fault.
  std::atomic<std::uint64_t> headroom_{0};
  std::atomic<std::int64_t> read_at_{0};  // milliseconds of the steady clock; 0: never
};

}  // namespace stream_store::internal
