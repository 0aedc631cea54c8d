// Refusal: why an append was refused. It is enough to build the message of the error, and cheap to
// return.
//
// The Appender makes it without a text, because TryAppend() must not allocate.
// store/refusal_text turns a Refusal into an Error, and store/append_result_access into an
// AppendResult.
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
    kClosed,
    kForked,
    kSyncFailed,
    kStaging,
  } rule = Rule::kNone;
  std::uint64_t write = 0;  ///< which field-write (Append) or column (Extend)
  std::uint64_t row = 0;    ///< which row of the call (Extend)
  /// Which item of it. Of an Append() that broke another rule than kValue, the number it was compared
  /// with: the type id before (kOrder), the number of items that were expected (kLength, with a `row`
  /// of 1 if multiples are accepted), or the last step (kStepDecreases).
  std::uint64_t item = 0;
};

}  // namespace stream_store::internal
