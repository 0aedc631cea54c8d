#include "store/row_times.h"

#include <bit>
#include <cmath>

#include "stream_store/error.h"

#include "base/assert.h"
#include "base/str_cat.h"
#include "format/float_bits.h"

namespace stream_store::internal {
namespace {

constexpr std::int64_t kMostTime = std::int64_t{1} << 62;

// The nanoseconds of one unit of a timestamp or duration; 0 for other types.
std::int64_t UnitOf(DType dtype) noexcept {
  switch (dtype) {
    case DType::kTimestampS:
    case DType::kDurationS:
      return 1'000'000'000;
    case DType::kTimestampMs:
    case DType::kDurationMs:
      return 1'000'000;
    case DType::kTimestampUs:
    case DType::kDurationUs:
      return 1'000;
    case DType::kTimestampNs:
    case DType::kDurationNs:
      return 1;
    default:
      return 0;
  }
}

// The bits of the float64 that is equal to what a reader gets.
std::uint64_t AsRead(DType dtype, std::uint64_t bits) noexcept {
  return dtype == DType::kFloat32   ? WidenFloat32(NarrowToFloat32(bits))
         : dtype == DType::kFloat16 ? WidenFloat16(NarrowToFloat16(bits))
                                    : bits;
}

}  // namespace

double FloatAsRead(DType dtype, Value value) noexcept {
  STREAM_STORE_ASSERT(IsFloat(dtype));
  return std::bit_cast<double>(AsRead(dtype, static_cast<std::uint64_t>(value)));
}

void CheckTimeField(const Schema& schema, TypeId type) {
  constexpr const char* kExpected =
      "time_field: expected a field of one float in seconds, timestamp or duration, but ";
  if (type >= schema.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat(kExpected, "type id ", type, " is outside [0, ", schema.size(), ")"));
  }
  const Field& field = schema[type];
  const bool fits = IsFloat(field.dtype) || UnitOf(field.dtype) != 0;
  if (!fits || !field.shape.empty() || field.packed) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat(kExpected, "field '", field.name, "' is ", field.packed ? "packed " : "",
                       DTypeName(field.dtype), field.shape.empty() ? "" : " with a shape"));
  }
}

std::optional<std::int64_t> NanosecondsOf(DType dtype, Value value) noexcept {
  STREAM_STORE_ASSERT(IsFloat(dtype) || UnitOf(dtype) != 0);
  if (const std::int64_t unit = UnitOf(dtype); unit != 0) {
    std::int64_t time = 0;
    const bool too_large = __builtin_mul_overflow(value, unit, &time);
    return too_large || time > kMostTime || time < -kMostTime ? std::nullopt : std::optional(time);
  }
  const double seconds = FloatAsRead(dtype, value);
  const double time = seconds * 1e9;
  if (!(std::abs(time) <= static_cast<double>(kMostTime))) {
    return std::nullopt;
  }
  return std::llround(time);
}

void ThrowWrongTime(const WrongTime& wrong) {
  const std::string reason =
      wrong.missing ? std::string("has no time")
      : wrong.fell_by > 0
          ? StrCat("is ", wrong.fell_by, " ns before row ", wrong.before, " of its segment")
          : std::string("has a time that is not finite or beyond 2^62 ns, which is 146 years");
  throw Error(
      ErrorCode::kInvalidArgument,
      StrCat("time_field: expected finite times that do not fall within a segment, but row ",
             wrong.row, " ", reason));
}

}  // namespace stream_store::internal
