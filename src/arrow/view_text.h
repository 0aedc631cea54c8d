// The texts of string views: 16 bytes for each, which have the text itself or say where it is.
//
// Used by leaf_gather.cc and nested_writer.cc. Pure function.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "arrow/array_view.h"
#include "arrow/loads.h"
#include "base/str_cat.h"

namespace stream_store::arrow {

/// Returns the bytes of the view at index `at` of the buffers, or nothing if it refers to bytes
/// outside the text buffers.
inline std::optional<std::span<const std::byte>> FindViewText(const ArrayView& array,
                                                              std::uint64_t at) noexcept {
  constexpr std::int32_t kInline = 12;
  // The length, then the text itself or its first 4 bytes, the number of its buffer and its offset
  // there.
  const std::byte* view = array.first + at * 16;
  const auto bytes = ItemAt<std::int32_t>(view, 0);
  if (bytes >= 0 && bytes <= kInline) {
    return std::span(view + 4, static_cast<std::size_t>(bytes));
  }
  const auto buffer = ItemAt<std::int32_t>(view, 2);
  const auto offset = ItemAt<std::int32_t>(view, 3);
  const bool known = bytes >= 0 && buffer >= 0 && offset >= 0 &&
                     static_cast<std::uint64_t>(buffer) < array.text_count &&
                     array.texts[buffer] != nullptr;
  if (!known || std::int64_t{offset} + bytes >
                    ItemAt<std::int64_t>(array.text_sizes, static_cast<std::uint64_t>(buffer))) {
    return std::nullopt;
  }
  return std::span(static_cast<const std::byte*>(array.texts[buffer]) + offset,
                   static_cast<std::size_t>(bytes));
}

/// Describes a view for which FindViewText() returns nothing.
inline std::string BadViewText(const ArrayView& array, std::uint64_t at) {
  const std::byte* view = array.first + at * 16;
  return internal::StrCat("a view of ", ItemAt<std::int32_t>(view, 0), " bytes at ",
                          ItemAt<std::int32_t>(view, 3), " of buffer ",
                          ItemAt<std::int32_t>(view, 2), ", which is outside the buffers");
}

}  // namespace stream_store::arrow
