// CgroupHeadroomBytes(): how much more memory the control group of this process may use.
//
// DataFile calls it before a store grows on a memory-backed file system. On a disk a growth beyond
// the limit fails with ENOSPC; in memory the kernel kills the process instead, so the limit must be
// checked first. The result is an estimate: other processes of the group allocate at the same time.
// Thread rules: any thread.
#pragma once

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

}  // namespace stream_store::internal
