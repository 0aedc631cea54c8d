// WindowIndex: the number that identifies a window for the life of its store.
#pragma once

#include <cstddef>
#include <cstdint>

#include "stream_store/types.h"

namespace stream_store::internal {

/// The number of the store in the list of the sampler, times 2^48, plus the row of the anchor.
class WindowIndex {
 public:
  static constexpr unsigned kRowBits = 48;
  static constexpr std::size_t kMostStores = std::size_t{1} << (63 - kRowBits);

  explicit constexpr WindowIndex(std::int64_t index) noexcept
      : index_(static_cast<std::uint64_t>(index)) {}

  constexpr WindowIndex(std::size_t store, Row anchor) noexcept
      : index_(std::uint64_t{store} << kRowBits | static_cast<std::uint64_t>(anchor)) {}

  constexpr std::int64_t number() const noexcept { return static_cast<std::int64_t>(index_); }

  /// For a negative number, more than any sampler has.
  constexpr std::uint64_t store() const noexcept { return index_ >> kRowBits; }

  constexpr std::uint64_t row() const noexcept {
    return index_ & ((std::uint64_t{1} << kRowBits) - 1);
  }

 private:
  std::uint64_t index_;
};

}  // namespace stream_store::internal
