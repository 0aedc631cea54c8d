// StrCat(a, b, …): builds the text of a message. Used by every room; std::format is not in g++ 12.
#pragma once

#include <filesystem>
#include <sstream>
#include <string>

namespace stream_store::internal {

template <class... Parts>
std::string StrCat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return std::move(out).str();
}

/// Text form of a path, without the quotes of operator<<.
inline std::string PathText(const std::filesystem::path& path) { return path.string(); }

}  // namespace stream_store::internal
