// Windows of rows by their times, through the C++ API. The Python tests compare random options with
// a model.
#include <bit>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/error.h"
#include "stream_store/sampler.h"
#include "stream_store/store.h"

#include "store/row_times.h"
#include "support/scratch.h"

namespace stream_store {
namespace {

enum TimedType : TypeId { kTime, kNumber };

StreamStore Timed(DType dtype, const std::vector<std::int64_t>& times) {
  StreamStore store = StreamStore::Temporary(
      {.fields = {{.name = "time", .dtype = dtype}, {.name = "number", .dtype = DType::kInt64}}});
  for (std::size_t row = 0; row < times.size(); ++row) {
    const auto number = static_cast<std::int64_t>(row);
    store.Append(number, {{kTime, times[row]}, {kNumber, number}});
  }
  return store;
}

SamplerOptions ByTime(std::vector<std::int64_t> nanoseconds) {
  SamplerOptions options;
  options.unit = SampleUnit::kRow;
  options.replacement = false;
  options.batch_size = 1000;
  options.offsets = {{.type = kNumber, .offsets = std::move(nanoseconds)}};
  options.time_field = kTime;
  return options;
}

// The rows of each window, by its anchor.
std::map<Row, std::vector<std::int64_t>> WindowsOf(const StreamStore& store,
                                                   const SamplerOptions& options) {
  WindowSampler sampler({store.reader()}, options);
  sampler.BeginEpoch();
  WindowBatch batch;
  EXPECT_TRUE(sampler.Next(batch));
  const std::uint64_t length = batch.length(kNumber);
  std::vector<std::int64_t> numbers(batch.size() * length);
  const RowsColumn column{.type = kNumber, .out = numbers.data()};
  batch.ReadRows({&column, 1});
  std::map<Row, std::vector<std::int64_t>> windows;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const auto begin = numbers.begin() + static_cast<std::ptrdiff_t>(i * length);
    windows[batch.anchors()[i]] = {begin, begin + static_cast<std::ptrdiff_t>(length)};
  }
  return windows;
}

TEST(SamplerTimesTest, TakesTheNearestRowsWithinTheTolerance) {
  const StreamStore store = Timed(DType::kTimestampMs, {0, 100, 300, 410, 500});
  SamplerOptions options = ByTime({-100'000'000, 0});
  options.tolerance_ns = 20'000'000;
  const std::map<Row, std::vector<std::int64_t>> expected = {{1, {0, 1}}, {3, {2, 3}}, {4, {3, 4}}};
  EXPECT_EQ(WindowsOf(store, options), expected);
  options.outside = SampleOutside::kEdge;
  const std::map<Row, std::vector<std::int64_t>> all = {
      {0, {0, 0}}, {1, {0, 1}}, {2, {1, 2}}, {3, {2, 3}}, {4, {3, 4}}};
  EXPECT_EQ(WindowsOf(store, options), all);
}

TEST(SamplerTimesTest, NanosecondsFollowFromTheType) {
  using internal::NanosecondsOf;
  EXPECT_EQ(NanosecondsOf(DType::kDurationS, 3), 3'000'000'000);
  EXPECT_EQ(NanosecondsOf(DType::kDurationMs, -3), -3'000'000);
  EXPECT_EQ(NanosecondsOf(DType::kTimestampUs, 3), 3'000);
  EXPECT_EQ(NanosecondsOf(DType::kTimestampNs, 3), 3);
  const auto of_float = [](double seconds) {
    return NanosecondsOf(DType::kFloat32, std::bit_cast<Value>(seconds));
  };
  EXPECT_EQ(of_float(0.25), 250'000'000);
  EXPECT_EQ(of_float(-1e-9), -1);
  EXPECT_EQ(of_float(std::numeric_limits<double>::quiet_NaN()), std::nullopt);
  EXPECT_EQ(of_float(std::numeric_limits<double>::infinity()), std::nullopt);
  EXPECT_EQ(of_float(5e9), std::nullopt);
  EXPECT_EQ(of_float(0.1), 100'000'001);  // as a float32
  EXPECT_EQ(NanosecondsOf(DType::kTimestampS, std::int64_t{1} << 60), std::nullopt);
  EXPECT_EQ(NanosecondsOf(DType::kTimestampNs, std::numeric_limits<Value>::min()), std::nullopt);
}

TEST(SamplerTimesTest, RefusesOptionsThatDoNotFit) {
  const StreamStore store = Timed(DType::kTimestampMs, {0, 100});
  const auto refusal = [&store](auto change) {
    SamplerOptions options = ByTime({0});
    change(options);
    const Error error =
        internal::ErrorOf([&] { const WindowSampler sampler({store.reader()}, options); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return std::string(error.what());
  };
  EXPECT_NE(refusal([](SamplerOptions& options) {
              options.time_field = kNumber;
            }).find("but field 'number' is int64"),
            std::string::npos);
  EXPECT_NE(refusal([](SamplerOptions& options) { options.time_field = 7; }).find("type id 7"),
            std::string::npos);
  EXPECT_NE(refusal([](SamplerOptions& options) {
              options.offsets.clear();
            }).find("time_field: expected offsets"),
            std::string::npos);
  EXPECT_NE(refusal([](SamplerOptions& options) {
              options.outside = SampleOutside::kShift;
            }).find("time_field or outside 'shift'"),
            std::string::npos);
  EXPECT_NE(refusal([](SamplerOptions& options) {
              options.tolerance_ns = -1;
            }).find("tolerance: expected nanoseconds"),
            std::string::npos);
  EXPECT_NE(refusal([](SamplerOptions& options) {
              options.offsets[0].offsets = {(std::int64_t{1} << 61) + 1};
            }).find("expected offsets of field 'number' in ["),
            std::string::npos);
}

}  // namespace
}  // namespace stream_store
