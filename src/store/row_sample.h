// RowSample: a uniform random sample of rows that arrive one after the other.
//
// Algorithm L of Kim-Hung Li, "Reservoir-sampling algorithms of time complexity
// O(n(1 + log(N/n)))", ACM Transactions on Mathematical Software 20 (1994): the number of rows to
// skip is drawn, so that most rows cost nothing.
//
// Used by item_moments.h. Thread rules: an object belongs to one thread at a time.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace stream_store::internal {

/// Keeps up to `most_rows` rows of `width` items of type T.
template <class T>
class RowSample {
 public:
  RowSample(std::uint64_t width, std::uint64_t most_rows) : width_(width), most_(most_rows) {}

  /// Offers `rows` rows of width() items each.
  void Add(const T* items, std::uint64_t rows) {
    std::uint64_t done = 0;
    if (kept() < most_) {
      done = std::min(rows, most_ - kept());
      kept_.insert(kept_.end(), items, items + done * width_);
      seen_ += done;
      if (kept() == most_) {
        next_ = seen_;
        Skip();
      }
    }
    const std::uint64_t end = seen_ + rows - done;
    while (kept() == most_ && next_ < end) {
      const T* row = items + (next_ - seen_ + done) * width_;
      const std::uint64_t slot =
          std::uniform_int_distribution<std::uint64_t>(0, most_ - 1)(random_);
      std::copy_n(row, width_, kept_.data() + slot * width_);
      next_ += 1;
      Skip();
    }
    seen_ = end;
  }

  /// The number of rows that were kept.
  std::uint64_t kept() const { return width_ == 0 ? most_ : kept_.size() / width_; }

  /// Item `item` of the kept row `row`.
  T At(std::uint64_t row, std::uint64_t item) const { return kept_[row * width_ + item]; }

 private:
  double Uniform() {
    // Never 0, whose logarithm is infinite.
    return 1 - std::uniform_real_distribution<double>(0, 1)(random_);
  }

  void Skip() {
    threshold_ *= std::exp(std::log(Uniform()) / static_cast<double>(most_));
    const double skipped = std::floor(std::log(Uniform()) / std::log1p(-threshold_));
    constexpr double kFar = 0x1p62;  // beyond the number of rows of any store
    next_ += static_cast<std::uint64_t>(std::min(skipped, kFar));
  }

  std::uint64_t width_;
  std::uint64_t most_;
  std::vector<T> kept_;
  std::uint64_t seen_ = 0;
  std::uint64_t next_ = 0;  // the number of the next row that is kept, once the sample is full
  double threshold_ = 1;
  std::mt19937_64 random_{20240229};  // NOLINT(bugprone-random-generator-seed): equal in every run
};

}  // namespace stream_store::internal
