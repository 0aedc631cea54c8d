// Require(): a promise that does not hold ends the process, so that every driver sees it.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

namespace stream_store::fuzz {

inline void Require(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: broken promise: %s\n", what.c_str());
  std::abort();
}

}  // namespace stream_store::fuzz
