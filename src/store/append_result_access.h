// Makes the results of TryAppend() from the refusals of the Appender.
//
// Used by store.cc. Thread rules: pure functions; none of them allocates or throws.
#pragma once

#include <span>

#include "stream_store/append_result.h"
#include "stream_store/field_write.h"

#include "storage/refusal.h"

namespace stream_store::internal {

struct AppendResultAccess {
  static AppendResult Stored(Row row) noexcept {
    AppendResult result;
    result.reason_ = AppendReason::kOk;
    result.first_ = row;
    return result;
  }

  static AppendResult Because(AppendReason reason) noexcept {
    AppendResult result;
    result.reason_ = reason;
    return result;
  }

  /// For an Error that was thrown where the files had to grow.
  static AppendResult Because(ErrorCode code) noexcept;

  /// `writes` and `step` are those of the call that was refused.
  static AppendResult Of(const Refusal& refusal, Step step,
                         std::span<const FieldWrite> writes) noexcept;

 private:
  static void SetItem(const FieldWrite& write, std::uint64_t item, AppendResult& result) noexcept;
};

}  // namespace stream_store::internal
