// The version of StreamStore, written in this one place.
//
// CMakeLists.txt and pyproject.toml read the three macros by pattern, so their form must stay.
#pragma once

#include <cstdint>

#include "stream_store/export.h"

#define STREAM_STORE_VERSION_MAJOR 0
#define STREAM_STORE_VERSION_MINOR 1
#define STREAM_STORE_VERSION_PATCH 0

#define STREAM_STORE_DETAIL_QUOTE(x) #x
#define STREAM_STORE_DETAIL_VERSION(major, minor, patch) \
  STREAM_STORE_DETAIL_QUOTE(major)                       \
  "." STREAM_STORE_DETAIL_QUOTE(minor) "." STREAM_STORE_DETAIL_QUOTE(patch)

namespace stream_store {

/// The version of the headers, as "major.minor.patch".
inline constexpr const char* kVersion = STREAM_STORE_DETAIL_VERSION(
    STREAM_STORE_VERSION_MAJOR, STREAM_STORE_VERSION_MINOR, STREAM_STORE_VERSION_PATCH);

/// The version of the format on disk that this build writes and reads; see docs/format.md.
inline constexpr std::uint32_t kFormatVersion = 2;

/// Returns the version of the linked library, as "major.minor.patch". It differs from kVersion if
/// headers and library come from different builds. The text lives as long as the program.
[[nodiscard]] STREAM_STORE_API const char* LibraryVersion() noexcept;

}  // namespace stream_store

#undef STREAM_STORE_DETAIL_VERSION
#undef STREAM_STORE_DETAIL_QUOTE
