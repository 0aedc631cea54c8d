// Statistics of the items of one type. Blocks without NaN and infinities, nearly all, are added by
// loops that compilers vectorise; the others item by item.
#include "store/item_moments.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "base/assert.h"
#include "format/float_bits.h"
#include "store/row_sample.h"

namespace stream_store::internal {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Rows that are kept for quantiles: fewer of wide rows, because all items of a row are kept.
constexpr std::uint64_t kMostSampled = std::uint64_t{1} << 16U;
constexpr std::uint64_t kLeastSampled = std::uint64_t{1} << 8U;
constexpr std::uint64_t kMostSampledItems = std::uint64_t{1} << 20U;

std::uint64_t SampledRows(std::uint64_t width) {
  return std::clamp(kMostSampledItems / std::max<std::uint64_t>(width, 1), kLeastSampled,
                    kMostSampled);
}

// Rows of few items are added several at a time, as one row of at least this many.
constexpr std::uint64_t kLanes = 32;

// The moments of one item of the rows so far. Infinities are counted apart, because no mean can
// take them back.
struct Moments {
  std::uint64_t count = 0;  // finite numbers
  std::uint64_t nan = 0;
  std::uint64_t positive_infinities = 0;
  std::uint64_t negative_infinities = 0;
  double mean = 0;
  double squares = 0;  // of the distances from the mean

  void Join(std::uint64_t more, double mean_of_more, double squares_of_more) {
    const double distance = mean_of_more - mean;
    const double share = static_cast<double>(more) / static_cast<double>(count + more);
    squares += squares_of_more + distance * distance * static_cast<double>(count) * share;
    mean = std::isfinite(distance) ? mean + distance * share
                                   : mean * (1 - share) + mean_of_more * share;
    count += more;
  }

  void AddOne(double item) {
    if (std::isnan(item)) {
      nan += 1;
    } else if (std::isinf(item)) {
      (item > 0 ? positive_infinities : negative_infinities) += 1;
    } else {
      Join(1, item, 0);
    }
  }
};

double InterpolatedQuantile(const std::vector<double>& sorted, double quantile) {
  if (sorted.empty()) {
    return kNaN;
  }
  const double place = quantile * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double share = place - static_cast<double>(below);
  // An infinity times 0 is NaN, so the ends of an interval are returned as they are.
  return share == 0 || sorted[below] == sorted[above]
             ? sorted[below]
             : sorted[below] + (sorted[above] - sorted[below]) * share;
}

template <class T>
class MomentsOf final : public ItemMoments {
 public:
  explicit MomentsOf(std::uint64_t width)
      : width_(width),
        lanes_(width == 0 ? 0 : width * ((kLanes + width - 1) / width)),
        moments_(width),
        least_(lanes_, Limits::has_infinity ? Limits::infinity() : Limits::max()),
        greatest_(lanes_, Limits::has_infinity ? -Limits::infinity() : Limits::lowest()),
        shift_(lanes_),
        sum_(lanes_),
        squares_(lanes_),
        sample_(width, SampledRows(width)) {}

  void Add(const void* given, std::uint64_t rows) override {
    if (width_ == 0 || rows == 0) {
      return;
    }
    const T* items = static_cast<const T*>(given);
    sample_.Add(items, rows);
    SetShift(items);
    std::fill(sum_.begin(), sum_.end(), 0.0);
    std::fill(squares_.begin(), squares_.end(), 0.0);
    const std::uint64_t total = rows * width_;
    std::uint64_t done = 0;
    for (; total - done >= lanes_; done += lanes_) {
      AddLanes(items + done, lanes_);
    }
    AddLanes(items + done, total - done);
    for (std::uint64_t item = 0; item < width_; ++item) {
      Close(items, rows, item);
    }
  }

  std::unique_ptr<ItemMoments> Clone() const override { return std::make_unique<MomentsOf>(*this); }

  std::vector<ItemStatistics> Results(std::span<const double> quantiles) const override {
    std::vector<ItemStatistics> results(width_);
    for (std::uint64_t item = 0; item < width_; ++item) {
      results[item] = ResultOf(item, quantiles);
    }
    return results;
  }

 private:
  using Limits = std::numeric_limits<T>;

  // The sums of this block are relative to the mean of the blocks before it, or to its first row.
  void SetShift(const T* items) {
    for (std::uint64_t lane = 0; lane < lanes_; ++lane) {
      const Moments& so_far = moments_[lane % width_];
      const auto first = static_cast<double>(items[lane % width_]);
      shift_[lane] = so_far.count > 0 ? so_far.mean : std::isfinite(first) ? first : 0;
    }
  }

  void AddLanes(const T* __restrict items, std::uint64_t count) {
    const double* __restrict shift = shift_.data();
    double* __restrict sum = sum_.data();
    double* __restrict squares = squares_.data();
    T* __restrict least = least_.data();
    T* __restrict greatest = greatest_.data();
    for (std::uint64_t i = 0; i < count; ++i) {
      const T item = items[i];
      const double distance = static_cast<double>(item) - shift[i];
      sum[i] += distance;
      squares[i] += distance * distance;
      least[i] = item < least[i] ? item : least[i];  // false for NaN
      greatest[i] = item > greatest[i] ? item : greatest[i];
    }
  }

  // Joins the sums of one item to its moments.
  void Close(const T* items, std::uint64_t rows, std::uint64_t item) {
    double sum = 0;
    double squares = 0;
    for (std::uint64_t lane = item; lane < lanes_; lane += width_) {
      sum += sum_[lane];
      squares += squares_[lane];
    }
    Moments& moments = moments_[item];
    if (std::isfinite(sum) && std::isfinite(squares)) [[likely]] {
      const auto count = static_cast<double>(rows);
      moments.Join(rows, shift_[item] + sum / count, std::max(squares - sum * sum / count, 0.0));
      return;
    }
    for (std::uint64_t row = 0; row < rows; ++row) {
      moments.AddOne(static_cast<double>(items[row * width_ + item]));
    }
  }

  ItemStatistics ResultOf(std::uint64_t item, std::span<const double> quantiles) const {
    const Moments& moments = moments_[item];
    const std::uint64_t infinities = moments.positive_infinities + moments.negative_infinities;
    ItemStatistics result{.count = moments.count + infinities, .nan = moments.nan};
    if (result.count == 0) {
      result.min = result.max = result.mean = result.std = kNaN;
      result.quantiles.assign(quantiles.size(), kNaN);
      return result;
    }
    T least = least_[item];
    T greatest = greatest_[item];
    for (std::uint64_t lane = item; lane < lanes_; lane += width_) {
      least = std::min(least, least_[lane]);
      greatest = std::max(greatest, greatest_[lane]);
    }
    result.min = static_cast<double>(least);
    result.max = static_cast<double>(greatest);
    if constexpr (std::is_integral_v<T>) {
      result.integer_min = static_cast<std::int64_t>(least);
      result.integer_max = static_cast<std::int64_t>(greatest);
    }
    result.mean = infinities == 0                    ? moments.mean
                  : moments.negative_infinities == 0 ? std::numeric_limits<double>::infinity()
                  : moments.positive_infinities == 0 ? -std::numeric_limits<double>::infinity()
                                                     : kNaN;
    result.std =
        infinities == 0 ? std::sqrt(moments.squares / static_cast<double>(moments.count)) : kNaN;
    AddQuantiles(item, quantiles, result);
    return result;
  }

  void AddQuantiles(std::uint64_t item, std::span<const double> quantiles,
                    ItemStatistics& result) const {
    if (quantiles.empty()) {
      return;
    }
    std::vector<double> sorted;
    sorted.reserve(sample_.kept());
    for (std::uint64_t row = 0; row < sample_.kept(); ++row) {
      if (const auto value = static_cast<double>(sample_.At(row, item)); !std::isnan(value)) {
        sorted.push_back(value);
      }
    }
    std::sort(sorted.begin(), sorted.end());
    for (const double quantile : quantiles) {
      result.quantiles.push_back(InterpolatedQuantile(sorted, quantile));
    }
  }

  std::uint64_t width_;
  std::uint64_t lanes_;
  std::vector<Moments> moments_;  // by item
  // By lane: lane l belongs to item l % width_.
  std::vector<T> least_;
  std::vector<T> greatest_;
  std::vector<double> shift_;
  std::vector<double> sum_;
  std::vector<double> squares_;
  RowSample<T> sample_;
};

// The bits of float16 items, widened block by block.
class HalfMoments final : public ItemMoments {
 public:
  explicit HalfMoments(std::uint64_t width) : width_(width), moments_(width) {}

  void Add(const void* given, std::uint64_t rows) override {
    const auto* bits = static_cast<const std::uint16_t*>(given);
    wide_.resize(rows * width_);
    std::transform(bits, bits + wide_.size(), wide_.begin(),
                   [](std::uint16_t half) { return std::bit_cast<double>(WidenFloat16(half)); });
    moments_.Add(wide_.data(), rows);
  }

  std::unique_ptr<ItemMoments> Clone() const override {
    return std::make_unique<HalfMoments>(*this);
  }

  std::vector<ItemStatistics> Results(std::span<const double> quantiles) const override {
    return moments_.Results(quantiles);
  }

 private:
  std::uint64_t width_;
  MomentsOf<double> moments_;
  std::vector<double> wide_;
};

}  // namespace

bool HasMoments(DType dtype) noexcept {
  switch (InfoOf(dtype).kind) {
    case DTypeKind::kNull:
    case DTypeKind::kDecimal:
    case DTypeKind::kBytes:
    case DTypeKind::kNested:
      return false;
    default:
      return true;
  }
}

std::unique_ptr<ItemMoments> MakeMoments(DType dtype, std::uint64_t width) {
  STREAM_STORE_ASSERT(HasMoments(dtype));
  switch (dtype) {
    case DType::kBool:
    case DType::kUInt8:
      return std::make_unique<MomentsOf<std::uint8_t>>(width);
    case DType::kInt8:
      return std::make_unique<MomentsOf<std::int8_t>>(width);
    case DType::kInt16:
      return std::make_unique<MomentsOf<std::int16_t>>(width);
    case DType::kInt32:
      return std::make_unique<MomentsOf<std::int32_t>>(width);
    case DType::kUInt16:
      return std::make_unique<MomentsOf<std::uint16_t>>(width);
    case DType::kUInt32:
      return std::make_unique<MomentsOf<std::uint32_t>>(width);
    case DType::kUInt64:
      return std::make_unique<MomentsOf<std::uint64_t>>(width);
    case DType::kFloat16:
      return std::make_unique<HalfMoments>(width);
    case DType::kFloat32:
      return std::make_unique<MomentsOf<float>>(width);
    case DType::kFloat64:
      return std::make_unique<MomentsOf<double>>(width);
    default:  // int64, and dates and times, which are int64s in their unit
      return std::make_unique<MomentsOf<std::int64_t>>(width);
  }
}

}  // namespace stream_store::internal
