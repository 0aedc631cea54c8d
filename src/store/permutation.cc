#include "store/permutation.h"

#include <cmath>

namespace stream_store::internal {

// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): one of list_ and keys_ is used
KeyedPermutation::KeyedPermutation(std::uint64_t size, std::uint64_t key) noexcept : size_(size) {
  if (size <= kListed) {
    // Fisher and Yates from an empty list: number i takes the place of a random one before it.
    for (std::uint64_t i = 0; i < size; ++i) {
      const std::uint64_t other = RandomBelow(key, i, i + 1);
      list_[i] = list_[other];
      list_[other] = static_cast<std::uint8_t>(i);
    }
    return;
  }
  // A width that is off by one through rounding is as good: the height is computed from it.
  width_ = static_cast<std::uint64_t>(std::ceil(std::sqrt(static_cast<double>(size))));
  height_ = (size + width_ - 1) / width_;
  inverse_ = ~std::uint64_t{0} / width_;
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    keys_[i] = MixKeys(key, i);
  }
}

namespace {

// Two thirds of MixBits(): the caller's ScaleDown() is the third multiplication.
inline std::uint64_t MixRound(std::uint64_t word, std::uint64_t key) noexcept {
  word = (word ^ key) * 0xbf58476d1ce4e5b9U;
  return (word ^ (word >> 32)) * 0x94d049bb133111ebU;
}

}  // namespace

// Applies the network to several places, round by round, so that their multiplications overlap: one
// place is a chain of kRounds of them.
template <std::size_t kTogether>
void KeyedPermutation::ApplyNetwork(std::uint64_t* places) const noexcept {
  std::uint64_t rows[kTogether];
  std::uint64_t columns[kTogether];
  for (std::size_t i = 0; i < kTogether; ++i) {
    const std::uint64_t row = ScaleDown(places[i], inverse_);  // the quotient, or one less
    const std::uint64_t column = places[i] - row * width_;
    const bool less = column >= width_;
    rows[i] = row + (less ? 1 : 0);
    columns[i] = column - (less ? width_ : 0);
  }
  for (int round = 0; round < kRounds; round += 2) {
    const std::uint64_t row_key = keys_[static_cast<std::size_t>(round)];
    const std::uint64_t column_key = keys_[static_cast<std::size_t>(round) + 1];
    for (std::size_t i = 0; i < kTogether; ++i) {
      const std::uint64_t row = rows[i] + ScaleDown(MixRound(columns[i], row_key), height_);
      rows[i] = row - (row >= height_ ? height_ : 0);
    }
    for (std::size_t i = 0; i < kTogether; ++i) {
      const std::uint64_t column = columns[i] + ScaleDown(MixRound(rows[i], column_key), width_);
      columns[i] = column - (column >= width_ ? width_ : 0);
    }
  }
  for (std::size_t i = 0; i < kTogether; ++i) {
    places[i] = rows[i] * width_ + columns[i];
  }
}

std::uint64_t KeyedPermutation::At(std::uint64_t place) const noexcept {
  STREAM_STORE_ASSERT(place < size_);
  if (size_ <= kListed) {
    return list_[place];
  }
  do {
    ApplyNetwork<1>(&place);
  } while (place >= size_);
  return place;
}

void KeyedPermutation::ReadStrided(std::uint64_t first, std::uint64_t stride,
                                   std::span<std::uint64_t> out) const noexcept {
  STREAM_STORE_ASSERT(out.empty() || first + (out.size() - 1) * stride < size_);
  constexpr std::size_t kTogether = 8;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::uint64_t place = first + i * stride;
    out[i] = size_ <= kListed ? list_[place] : place;
  }
  if (size_ <= kListed) {
    return;
  }
  std::size_t i = 0;
  for (; i + kTogether <= out.size(); i += kTogether) {
    ApplyNetwork<kTogether>(&out[i]);
  }
  for (; i < out.size(); ++i) {
    ApplyNetwork<1>(&out[i]);
  }
  // Results outside [0, size) are rare, so the network is applied to them again one by one.
  for (std::uint64_t& place : out) {
    while (place >= size_) {
      ApplyNetwork<1>(&place);
    }
  }
}

}  // namespace stream_store::internal
