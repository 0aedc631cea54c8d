// The message of a call that refuses its arguments, for the tests of nested types and cells.
#pragma once

#include <functional>
#include <string>

#include <gtest/gtest.h>

#include "stream_store/error.h"

namespace stream_store::testing {

/// The message of the Error that a call throws; "none" if it throws nothing.
inline std::string ProblemOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "none";
}

}  // namespace stream_store::testing
