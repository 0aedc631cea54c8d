// Refusal: why an append was refused. Enough to build the message of the error, cheap to return.
//
// Made by the Appender, which must not spend time on texts: TryAppend() wants only the code.
// store/refusal_text turns one into an Error.
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
