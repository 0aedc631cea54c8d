// The arguments of an append: the field-writes of one step, and the columns of many steps.
//
//     store.Append(step, {{obs, state}, {action, 3}, {done, false}});
//
// These convert to a FieldWrite: numbers, bools and enums; std::string_view and everything that
// converts to it, as text; contiguous ranges, such as std::vector, std::span, std::array and C
// arrays, of numbers, bools, enums, std::byte or such arrays; and vectors and row-major matrices of
// Eigen, or of any library with the same interface. For other types the compiler says how to pass
// them.
//
// A FieldWrite or Column describes its items by type and address, and does not own them; the memory
// must stay valid until the call returns. The store converts the items to the field's own type:
// numbers are rounded to a float field's width, and refused if an integer field cannot hold them.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ranges>
#include <string_view>
#include <type_traits>
#include <utility>

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

template <class T>
inline constexpr bool kFalse = false;  // for a static_assert that depends on T

// Characters wider than a byte are text in an encoding that no field has.
template <class T>
inline constexpr bool kIsWideCharacter =
    std::is_same_v<T, wchar_t> || std::is_same_v<T, char16_t> || std::is_same_v<T, char32_t>;

// Items that SourceOf() takes. std::byte is an enum.
template <class T>
concept Item = std::is_arithmetic_v<T> || std::is_enum_v<T>;

// The items in one element of a range: the element, or those of an array.
template <class T>
struct Elements {
  using ItemType = T;
  static constexpr std::size_t kCount = 1;
};

template <class T, std::size_t kSize>
struct Elements<T[kSize]> {
  using ItemType = typename Elements<T>::ItemType;
  static constexpr std::size_t kCount = kSize * Elements<T>::kCount;
};

template <class T, std::size_t kSize>
struct Elements<std::array<T, kSize>> : Elements<T[kSize]> {
  static_assert(sizeof(std::array<T, kSize>) == sizeof(T[kSize]));
};

template <class T>
struct Elements<std::array<T, 0>> {
  using ItemType = typename Elements<T>::ItemType;
  static constexpr std::size_t kCount = 0;
};

// The dense matrices, arrays and expressions of Eigen, and of libraries with its interface.
template <class T>
concept EigenLike = requires {
  typename T::Scalar;
  { T::RowsAtCompileTime + T::ColsAtCompileTime } -> std::convertible_to<int>;
  { T::IsRowMajor && true } -> std::convertible_to<bool>;
};

// Expressions, such as a sum, have no memory.
template <class T>
concept EigenInMemory = EigenLike<T> && requires(const T& value) {
  { value.data() } -> std::convertible_to<const void*>;
  { T::InnerStrideAtCompileTime + T::OuterStrideAtCompileTime } -> std::convertible_to<int>;
  value.size();
};

template <class T>
inline constexpr bool kIsEigenVector = T::RowsAtCompileTime == 1 || T::ColsAtCompileTime == 1;

// Whether the type owns its memory, or is known to leave no gaps. A map of dynamic size can have
// them, and so can a block.
template <class T>
constexpr bool IsEigenContiguous() noexcept {
  if constexpr (kIsEigenVector<T>) {
    return T::InnerStrideAtCompileTime == 1;
  } else if constexpr (requires { typename T::PlainObject; }) {
    return std::is_same_v<T, typename T::PlainObject> ||
           (T::InnerStrideAtCompileTime == 1 && T::ColsAtCompileTime > 0 &&
            int{T::OuterStrideAtCompileTime} == int{T::ColsAtCompileTime});
  } else {
    return true;
  }
}

}  // namespace internal

/// Returns the Source of an arithmetic C++ type, of an enum, which is its underlying integer, or of
/// std::byte, which every field of bytes and every uint8 field takes.
template <internal::Item T>
constexpr Source SourceOf() noexcept {
  static_assert(!internal::kIsWideCharacter<T>,
                "Text is stored as UTF-8: convert it to a std::string or std::u8string.");
  if constexpr (std::same_as<T, bool>) {
    return Source::kBool;
  } else if constexpr (std::same_as<T, char8_t>) {
    return Source::kBytes;
  } else if constexpr (std::is_enum_v<T>) {
    return SourceOf<std::underlying_type_t<T>>();
  } else if constexpr (std::floating_point<T>) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8,
                  "A field holds float16, float32 or float64: convert a long double to double.");
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

  /// One number, bool or enum.
  template <internal::Item T>
  FieldWrite(TypeId type, T value) noexcept
      : type_(type), source_(SourceOf<T>()), scalar_(true), count_(1) {
    std::memcpy(&where_.bits, &value, sizeof(value));
  }

  /// Text or bytes.
  FieldWrite(TypeId type, std::string_view text) noexcept
      : FieldWrite(type, Source::kBytes, text.data(), text.size()) {}

  /// The items of a contiguous range or of an Eigen object; see the top of this file.
  ///
  /// Nothing is transposed. A column-major matrix is refused where it is compiled, because its memory
  /// is not in C order, unless its type says that it has one row or column.
  template <class T>
    requires(!internal::Item<T>)
  FieldWrite(TypeId type, const T& values) noexcept : FieldWrite(Refer(type, values)) {}

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

  // Of a literal, or of a buffer that text may fill to its end.
  static std::size_t TextLength(const char* text, std::size_t most) noexcept {
    const void* end = std::memchr(text, 0, most);
    return end == nullptr ? most : static_cast<std::size_t>(static_cast<const char*>(end) - text);
  }

  template <class T>
  static FieldWrite Refer(TypeId type, const T& values) noexcept {
    if constexpr (internal::EigenLike<T>) {
      return ReferToEigen(type, values);
    } else if constexpr (std::is_same_v<T, std::nullptr_t>) {
      static_assert(internal::kFalse<T>,
                    "A field-write needs items. Leave a missing field out of the call.");
    } else if constexpr (std::is_array_v<T> && std::is_same_v<std::remove_extent_t<T>, char>) {
      return {type, Source::kBytes, values, TextLength(values, std::extent_v<T>)};
    } else if constexpr (std::convertible_to<const T&, std::string_view>) {
      return {type, std::string_view(values)};
    } else if constexpr (std::convertible_to<const T&, std::u8string_view>) {
      const std::u8string_view text(values);
      return {type, Source::kBytes, text.data(), text.size()};
    } else if constexpr (std::ranges::contiguous_range<const T>) {
      return ReferToRange(type, values);
    } else {
      static_assert(
          internal::kFalse<T>,
          "This type does not convert to a FieldWrite. Pass a number, an enum, text, or a "
          "contiguous "
          "range: std::span(pointer, count) for a pointer, std::vector<std::uint8_t> or "
          "std::array<bool, n> instead of std::vector<bool> and std::bitset, value.count() in the "
          "unit of the field for a std::chrono type, path.native() for a path. Copy other ranges "
          "into a std::vector, and leave a missing std::optional out of the call.");
    }
  }

  template <class R>
  static FieldWrite ReferToRange(TypeId type, const R& values) noexcept {
    using Elements = internal::Elements<std::ranges::range_value_t<const R>>;
    using ItemType = typename Elements::ItemType;
    if constexpr (internal::Item<ItemType>) {
      return FieldWrite(type, SourceOf<ItemType>(), std::ranges::data(values),
                        std::ranges::size(values) * Elements::kCount);
    } else {
      static_assert(
          internal::kFalse<R>,
          "The elements of this range do not convert to items. They must be numbers, bools, "
          "enums, std::byte, or C arrays or std::arrays of these. Copy the items of other "
          "elements into one std::vector, in C order.");
    }
  }

  template <class T>
  static FieldWrite ReferToEigen(TypeId type, const T& values) noexcept {
    using Scalar = std::remove_cv_t<typename T::Scalar>;
    if constexpr (!internal::Item<Scalar>) {
      static_assert(
          internal::kFalse<T>,
          "The coefficients do not convert to items. They must be numbers, bools or enums: "
          "store the real and imaginary parts of complex numbers as two fields, and Eigen's "
          "half with FieldWrite(type, Source::kFloat16, value.data(), value.size()).");
    } else if constexpr (!internal::EigenInMemory<T>) {
      static_assert(internal::kFalse<T>,
                    "This Eigen expression has no memory of its own. Pass value.eval().");
    } else if constexpr (!internal::kIsEigenVector<T> && !T::IsRowMajor) {
      static_assert(
          internal::kFalse<T>,
          "This Eigen matrix is column-major, but items are stored in C order, so it would "
          "be transposed. Declare it with Eigen::RowMajor, or pass a copy: "
          "Eigen::Matrix<Scalar, rows, columns, Eigen::RowMajor>(value).");
    } else if constexpr (!internal::IsEigenContiguous<T>()) {
      static_assert(
          internal::kFalse<T>,
          "This Eigen object may have gaps between its coefficients. Pass value.eval(), or "
          "std::span(value.data(), value.size()) if you know that it has none.");
    } else {
      return FieldWrite(type, SourceOf<Scalar>(), values.data(),
                        static_cast<std::uint64_t>(values.size()));
    }
  }

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
