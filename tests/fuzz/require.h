// Require(): aborts the process if a promise is broken, so that every driver notices it.
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
