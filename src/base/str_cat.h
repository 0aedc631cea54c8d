// StrCat(a, b, …): builds the text of a message. Used by all folders.
//
// std::format would be the standard way, but g++ 12 does not have it. StrCat() is slow, so it is
// for error paths only.
#pragma once

#include <filesystem>
#include <sstream>
#include <string>

namespace stream_store::internal {

/// Returns the parts as text, one after the other, as operator<< prints them.
template <class... Parts>
std::string StrCat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return std::move(out).str();
}

/// Returns a path as text, without the quotation marks that operator<< adds.
inline std::string PathText(const std::filesystem::path& path) { return path.string(); }

}  // namespace stream_store::internal
