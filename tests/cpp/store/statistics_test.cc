// Statistics equal plain loops over the rows that were appended; the tests in Python compare every
// item type with NumPy.
#include "stream_store/statistics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/error.h"
#include "stream_store/store.h"

#include "store/row_sample.h"

namespace stream_store {
namespace {

const Schema& Fields() {
  static const Schema schema({{.name = "x", .dtype = DType::kFloat64},
                              {.name = "tokens", .dtype = DType::kInt32, .shape = {kRagged}},
                              {.name = "text", .dtype = DType::kString}});
  return schema;
}

void Append(StreamStore& store, double x, const std::vector<std::int32_t>& tokens) {
  store.Append(static_cast<Step>(store.reader().num_rows()), {{0, x}, {1, tokens}});
}

TEST(StatisticsTest, EqualALoopAfterEveryPart) {
  StreamStore store = StreamStore::Temporary({.fields = Fields().fields()});
  Statistics statistics(Fields());
  std::mt19937_64 random(3);
  std::vector<double> seen;
  std::uint64_t items = 0;
  for (int part = 0; part < 20; ++part) {
    for (std::uint64_t rows = random() % 3000; rows > 0; --rows) {
      seen.push_back(std::normal_distribution<double>(1e6, 2)(random));
      const std::vector<std::int32_t> tokens(seen.size() % 4, 7);
      items += tokens.size();
      Append(store, seen.back(), tokens);
    }
    if (seen.empty()) {
      continue;
    }
    const auto fields = statistics.Read(store.reader());
    ASSERT_EQ(fields.size(), 3U);
    double mean = 0;
    for (const double x : seen) {
      mean += x / static_cast<double>(seen.size());
    }
    double variance = 0;
    for (const double x : seen) {
      variance += (x - mean) * (x - mean) / static_cast<double>(seen.size());
    }
    const ItemStatistics& x = fields[0].items.at(0);
    EXPECT_EQ(x.count, seen.size());
    EXPECT_EQ(x.min, *std::min_element(seen.begin(), seen.end()));
    EXPECT_EQ(x.max, *std::max_element(seen.begin(), seen.end()));
    EXPECT_NEAR(x.mean, mean, 1e-6);
    EXPECT_NEAR(x.std, std::sqrt(variance), 1e-6);
    EXPECT_EQ(fields[1].total_length, items);
    EXPECT_EQ(fields[1].items.at(0).count, items);
    EXPECT_EQ(fields[2].missing, seen.size());
    EXPECT_TRUE(fields[2].items.empty());
  }
}

TEST(StatisticsTest, AdvanceReadsTheRowsInParts) {
  StreamStore store = StreamStore::Temporary({.fields = Fields().fields()});
  for (int row = 0; row < 1000; ++row) {
    Append(store, row, {});
  }
  Statistics statistics(Fields(), std::array<TypeId, 1>{0});
  const Reader reader = store.reader();
  EXPECT_TRUE(statistics.Advance(reader, 300));
  EXPECT_EQ(statistics.end_row(), 300);
  EXPECT_FALSE(statistics.Advance(reader, 699));  // the last row may still grow
  EXPECT_EQ(statistics.Read(reader).at(0).items.at(0).count, 1000U);
}

TEST(StatisticsTest, QuantilesOfFewRowsAreExact) {
  StreamStore store = StreamStore::Temporary({.fields = Fields().fields()});
  for (int row = 0; row < 101; ++row) {
    Append(store, 100 - row, {});
  }
  Statistics statistics(Fields());
  const auto fields = statistics.Read(store.reader(), std::array{0.0, 0.5, 0.995, 1.0});
  EXPECT_EQ(fields[0].items.at(0).quantiles, (std::vector<double>{0, 50, 99.5, 100}));
  EXPECT_TRUE(std::isnan(fields[1].items.at(0).quantiles.at(0)));  // no token was appended
}

TEST(StatisticsTest, EveryTypeOfNumberHasThem) {
  std::vector<Field> fields;
  for (int number = 1; number <= static_cast<int>(DType::kDurationNs); ++number) {
    fields.push_back({.name = std::to_string(number), .dtype = static_cast<DType>(number)});
  }
  StreamStore store = StreamStore::Temporary({.fields = fields});
  const double one = 1;
  std::vector<FieldWrite> writes;
  for (std::size_t type = 0; type < fields.size(); ++type) {
    writes.emplace_back(static_cast<TypeId>(type), one);
  }
  store.Append(0, writes);
  store.Append(1, std::span(writes).first(1));
  Statistics statistics{Schema(fields)};
  for (const FieldStatistics& field : statistics.Read(store.reader())) {
    const ItemStatistics& item = field.items.at(0);
    EXPECT_EQ(item.count, field.type == 0 ? 2U : 1U);
    EXPECT_EQ(item.mean, 1);
    EXPECT_EQ(item.min, 1);
    EXPECT_EQ(field.missing, 2 - item.count);
  }
}

TEST(StatisticsTest, InfinitiesAndNaNAreCountedApart) {
  StreamStore store = StreamStore::Temporary({.fields = Fields().fields()});
  Statistics statistics(Fields());
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double x : {1.0, infinity, std::nan("")}) {
    Append(store, x, {});
  }
  const ItemStatistics up = statistics.Read(store.reader()).at(0).items.at(0);
  EXPECT_EQ(up.count, 2U);
  EXPECT_EQ(up.nan, 1U);
  EXPECT_EQ(up.mean, infinity);
  Append(store, -infinity, {});
  const ItemStatistics both = statistics.Read(store.reader()).at(0).items.at(0);
  EXPECT_TRUE(std::isnan(both.mean));
  EXPECT_EQ(both.min, -infinity);
}

TEST(StatisticsTest, RefusesOtherFieldsAndQuantiles) {
  StreamStore store = StreamStore::Temporary({.fields = Fields().fields()});
  Append(store, 1, {});
  Statistics statistics(Fields());
  EXPECT_THROW(statistics.Read(store.reader(), std::array{1.5}), Error);
  EXPECT_THROW(statistics.Read(store.reader(), std::array{std::nan("")}), Error);
  EXPECT_THROW(Statistics(Fields(), std::array<TypeId, 1>{3}), Error);
  Statistics others(Schema({{.name = "y"}}));
  EXPECT_THROW(others.Read(store.reader()), Error);
  EXPECT_EQ(statistics.Read(store.reader()).at(0).rows, 1U);
}

// Every place of the stream has the same chance of being kept: a sample of 20,000 out of 200,000 rows,
// whose numbers are counted in ten parts.
TEST(RowSampleTest, IsUniform) {
  internal::RowSample<std::int64_t> sample(1, 20'000);
  std::mt19937_64 random(1);
  std::vector<std::int64_t> rows;
  for (std::int64_t row = 0; row < 200'000;) {
    rows.resize(
        std::min<std::uint64_t>(random() % 5000, static_cast<std::uint64_t>(200'000 - row)));
    for (std::int64_t& item : rows) {
      item = row++;
    }
    sample.Add(rows.data(), rows.size());
  }
  ASSERT_EQ(sample.kept(), 20'000U);
  std::array<int, 10> parts{};
  std::vector<std::int64_t> kept;
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    kept.push_back(sample.At(i, 0));
    parts[static_cast<std::size_t>(kept.back() / 20'000)] += 1;
  }
  for (const int count : parts) {
    EXPECT_NEAR(count, 2000, 200);  // nearly five standard deviations
  }
  std::sort(kept.begin(), kept.end());
  EXPECT_EQ(std::unique(kept.begin(), kept.end()), kept.end());  // no row is kept twice
}

}  // namespace
}  // namespace stream_store
