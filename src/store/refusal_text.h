// The errors of refused appends. They name the field, the value and the reason.
//
// Used by store.cc and staged_rows.cc once the Appender has returned a Refusal.
#pragma once

#include <span>
#include <string>

#include "stream_store/field_write.h"
#include "stream_store/schema.h"
#include "stream_store/types.h"

#include "storage/refusal.h"

namespace stream_store::internal {

class Writer;

/// Throws the Error of a refused Append(). `before` is the step that `step` was to follow.
[[noreturn]] void ThrowRefusal(const Refusal& refusal, Writer& writer, Step step,
                               std::span<const FieldWrite> writes, Step before);

/// Throws the Error of refused rows. `rows_before` is the number of rows that the caller's call had
/// stored before these `steps`, so that the message counts rows as the caller does.
[[noreturn]] void ThrowRefusal(const Refusal& refusal, Writer& writer, std::span<const Step> steps,
                               std::span<const Column> columns, std::uint64_t rows_before);

}  // namespace stream_store::internal
