// The arguments of an append: the field-writes of one step, and the columns of many steps.
//
//     store.Append(step, {{obs, state}, {action, 3}, {done, false}});
//
// A FieldWrite or Column describes its items by type and address, and does not own them; the memory
// must stay valid until the call returns. The store converts the items to the field's own type:
// numbers are rounded to a float field's width, and refused if an integer field cannot hold them.
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

/// The type of the items that a caller passes. The field, not the Source, decides how they are
/// stored. Dates, times and durations are passed as integers in the unit of the field, decimals as
/// kWords.
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
  kFloat16,  ///< the bits of an IEEE half in a uint16
  kFloat32,
  kFloat64,
  kBytes,  ///< text or bytes, one item per byte
  kWords,  ///< stored words (see Value), such as those read from a store of equal fields
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

/// Returns the Source of an arithmetic C++ type.
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

/// The items of one field at one step. A scalar is held by value; other items are referred to, and
/// must stay alive until the append returns.
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

  /// The numbers of a contiguous range, such as std::span, std::vector or std::array.
  template <std::ranges::contiguous_range R>
    requires std::is_arithmetic_v<std::ranges::range_value_t<R>> &&
             (!std::convertible_to<R, std::string_view>)
  FieldWrite(TypeId type, const R& values) noexcept
      : FieldWrite(type, SourceOf<std::ranges::range_value_t<R>>(), std::ranges::data(values),
                   std::ranges::size(values)) {}

  /// Text or bytes.
  FieldWrite(TypeId type, std::string_view text) noexcept
      : FieldWrite(type, Source::kBytes, text.data(), text.size()) {}

  /// The field, by its type id.
  TypeId type() const noexcept { return type_; }

  /// The type of the items.
  Source source() const noexcept { return source_; }

  /// Whether the item is held inside this object.
  bool scalar() const noexcept { return scalar_; }

  /// The number of items.
  std::uint64_t count() const noexcept { return count_; }

  /// The items. Those of a scalar are inside this object and valid as long as it is.
  const void* data() const noexcept {
    return scalar_ ? static_cast<const void*>(&where_.bits) : where_.data;
  }

  /// Type id, source and scalar() of this field-write in one word. The store uses it: appends of
  /// equal shape have equal words and counts, so one comparison replaces all checks.
  std::uint64_t shape_word() const noexcept {
    return static_cast<std::uint64_t>(type_) | static_cast<std::uint64_t>(source_) << 16 |
           static_cast<std::uint64_t>(scalar_) << 24;
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

/// One field of many rows, for StreamStore::Extend(). The memory is the caller's and must stay
/// valid until the call returns.
struct Column {
  /// The field, by its type id.
  TypeId type = 0;

  /// The type of the items.
  Source source = Source::kInt64;

  /// The items of all rows, in row order and C order.
  const void* data = nullptr;

  /// Items in each row, if `offsets` is null: row r has items [r * row_items, (r + 1) * row_items).
  std::uint64_t row_items = 1;

  /// For rows of unequal length: rows + 1 offsets, counted in items from `data`; row r has items
  /// [offsets[r], offsets[r + 1]). Null otherwise.
  const std::int64_t* offsets = nullptr;

  /// One byte for each row, 0 where the field is left out; null if every row has it.
  const std::uint8_t* present = nullptr;
};

}  // namespace stream_store
