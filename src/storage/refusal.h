// Refusal: why an append was refused. It is enough to build the message of the error, and cheap to
// return.
//
// The Appender makes it without a text, because TryAppend() returns only the code.
// store/refusal_text turns a Refusal into an Error.
#pragma once

#include <cstdint>

#include "stream_store/error.h"

namespace stream_store::internal {

struct Refusal {
  ErrorCode code = ErrorCode::kOk;  ///< kOk: not refused
  enum class Rule : std::uint8_t {
    kNone,
    kUnknownType,
    kOrder,
    kLength,
    kValue,
    kStepDecreases,
    kStepNotAfter,
    kTooManyRows,
  } rule = Rule::kNone;
  std::uint64_t write = 0;  ///< which field-write (Append) or column (Extend)
  std::uint64_t row = 0;    ///< which row of the call (Extend)
  std::uint64_t item = 0;   ///< which item of it
};

}  // namespace stream_store::internal
