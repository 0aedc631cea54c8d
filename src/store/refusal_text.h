// Words for a refused append: which field, which value, what was expected and what was found.
#pragma once

#include <span>
#include <string>

#include "stream_store/store.h"

#include "storage/writer.h"

namespace stream_store::internal {

/// Throws the Error of a refused Append(); `before` is the step that `step` comes after.
[[noreturn]] void ThrowVerdict(const Refusal& verdict, Writer& writer, Step step,
                               std::span<const FieldWrite> writes, Step before);

/// Throws the Error of refused rows; the first of them is row `rows_before` of the caller's call.
[[noreturn]] void ThrowVerdict(const Refusal& verdict, Writer& writer, std::span<const Step> steps,
                               std::span<const Column> columns, std::uint64_t rows_before);

}  // namespace stream_store::internal
