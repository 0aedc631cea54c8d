// The arguments of an append: field-writes of one step, and columns of many steps.
//
// A FieldWrite or a Column names its items by type and address and does not own them; the store
// converts them to the field's own type as it appends them.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ranges>
#include <string_view>
#include <type_traits>

#include "stream_store/types.h"

namespace stream_store {

/// The type of the items a caller hands over; the field decides how they are stored.
enum class Source : std::uint8_t {
  kBool,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kUInt8,
  kUInt16,
  kUInt32,
  kUInt64,
  kFloat16,  ///< IEEE half bits in uint16
  kFloat32,
  kFloat64,
  kBytes,  ///< text or bytes, one value per byte
  kWords,  ///< stored words of this very field, taken as they are (copying between equal stores)
};

namespace internal {

constexpr Source IntegerSource(std::size_t bytes, bool is_signed) noexcept {
  constexpr Source kSigned[] = {Source::kInt8, Source::kInt16, Source::kInt32, Source::kInt64};
  constexpr Source kUnsigned[] = {Source::kUInt8, Source::kUInt16, Source::kUInt32,
                                  Source::kUInt64};
  const int power = std::countr_zero(bytes);
  return is_signed ? kSigned[power] : kUnsigned[power];
}

}  // namespace internal

/// The Source of an arithmetic C++ type.
template <class T>
  requires std::is_arithmetic_v<T>
constexpr Source SourceOf() noexcept {
  if constexpr (std::same_as<T, bool>) {
    return Source::kBool;
  } else if constexpr (std::floating_point<T>) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "float and double only");
    return sizeof(T) == 4 ? Source::kFloat32 : Source::kFloat64;
  } else {
    return internal::IntegerSource(sizeof(T), std::is_signed_v<T>);
  }
}

/// One field's values at one step. Scalars are held by value; spans must stay alive until the
/// append returns.
class FieldWrite {
 public:
  FieldWrite() = default;

  /// `count` items at `data`, in C order.
  FieldWrite(TypeId type, Source source, const void* data, std::uint64_t count) noexcept
      : type_(type), source_(source), count_(count) {
    where_.data = data;
  }

  /// One number or bool.
  template <class T>
    requires std::is_arithmetic_v<T>
  FieldWrite(TypeId type, T value) noexcept
      : type_(type), source_(SourceOf<T>()), scalar_(true), count_(1) {
    std::memcpy(&where_.bits, &value, sizeof(value));
  }

  /// A contiguous range of numbers: std::span, std::vector, std::array.
  template <std::ranges::contiguous_range R>
    requires std::is_arithmetic_v<std::ranges::range_value_t<R>> &&
             (!std::convertible_to<R, std::string_view>)
  FieldWrite(TypeId type, const R& values) noexcept
      : FieldWrite(type, SourceOf<std::ranges::range_value_t<R>>(), std::ranges::data(values),
                   std::ranges::size(values)) {}

  /// Text or bytes.
  FieldWrite(TypeId type, std::string_view text) noexcept
      : FieldWrite(type, Source::kBytes, text.data(), text.size()) {}

  TypeId type() const noexcept { return type_; }

  Source source() const noexcept { return source_; }

  bool scalar() const noexcept { return scalar_; }

  std::uint64_t count() const noexcept { return count_; }

  /// Type, source and kind in one word: equal shapes have equal words and counts.
  std::uint64_t shape_word() const noexcept {
    return static_cast<std::uint64_t>(type_) | static_cast<std::uint64_t>(source_) << 16 |
           static_cast<std::uint64_t>(scalar_) << 24;
  }

  /// The items; for a scalar they live inside this object.
  const void* data() const noexcept {
    return scalar_ ? static_cast<const void*>(&where_.bits) : where_.data;
  }

 private:
  union Where {
    std::uint64_t bits;
    const void* data;
  };

  TypeId type_ = 0;
  Source source_ = Source::kWords;
  bool scalar_ = false;
  std::uint64_t count_ = 0;
  Where where_{.bits = 0};
};

/// One field of many rows, for Extend(): row r has items [r * row_items, (r + 1) * row_items) of
/// `data`, or [offsets[r], offsets[r + 1]) where offsets are given.
struct Column {
  TypeId type = 0;
  Source source = Source::kInt64;
  const void* data = nullptr;
  std::uint64_t row_items = 1;            ///< items per row when `offsets` is null
  const std::int64_t* offsets = nullptr;  ///< rows + 1 item offsets, or null
  const std::uint8_t* present =
      nullptr;  ///< rows bytes, 0 where the field is left out; null: everywhere there
};

}  // namespace stream_store
