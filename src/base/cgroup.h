// How much memory the control group of this process may still take.
//
// Used before a store grows on a memory-backed file system: there the kernel does not say ENOSPC at
// the limit, it kills. Advice, not a promise: other processes of the group take memory meanwhile.
#pragma once

#include <cstdint>
#include <string>

namespace stream_store::internal {

/// Limit minus use, page cache that can be dropped not counted as use; the smallest over the group
/// and its parents, versions 1 and 2. UINT64_MAX where no limit is found.
///
/// root  put before /proc and /sys: a test's own tree.
/// Cost  a handful of small file reads; slow path only. Never throws.
std::uint64_t CgroupHeadroomBytes(const std::string& root = {}) noexcept;

}  // namespace stream_store::internal
