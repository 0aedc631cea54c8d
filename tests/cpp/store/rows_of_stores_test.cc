// Batches of many stores, which are read in one pass, against reads of each window by itself.
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/error.h"
#include "stream_store/sampler.h"
#include "stream_store/store.h"

#include "support/scratch.h"

namespace stream_store::internal {
namespace {

enum ManyType : TypeId { kFixed, kList, kMaybe };

constexpr std::uint64_t kLength = 5;
constexpr std::uint64_t kMostItems = 6;

std::vector<Field> Fields() {
  return {{.name = "fixed", .dtype = DType::kFloat32, .shape = {3}},
          {.name = "list", .shape = {kRagged}},
          {.name = "maybe", .dtype = DType::kInt16}};
}

// Some stores have records of one layout only; in others lengths differ, fields are missing, and rows
// have two records.
StreamStore Filled(const std::filesystem::path& path, unsigned seed) {
  std::mt19937 random(seed);
  const bool regular = seed % 3 == 0;
  const std::int64_t rows = seed % 5 == 4 ? 0 : static_cast<std::int64_t>(random() % 200);
  StreamStore store = StreamStore::Open(path, {.fields = Fields()});
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::vector<float> fixed(3, static_cast<float>(random() % 1000));
    const std::vector<std::int64_t> ragged(regular ? 2 : random() % kMostItems, row);
    const auto maybe = static_cast<std::int64_t>(random() % 100);
    if (regular) {
      store.Append(row, {{kFixed, fixed}, {kList, ragged}, {kMaybe, maybe}});
      continue;
    }
    store.Append(row, {{kFixed, fixed}});
    if (random() % 4 != 0) {
      store.Append(row, {{kList, ragged}, {kMaybe, maybe}});
    }
  }
  return store;
}

// The columns of one read.
struct Rows {
  explicit Rows(std::uint64_t places)
      : fixed(places * 3, -1),
        ragged(places * kMostItems, -1),
        maybe(places, -1),
        lengths(places, -1),
        present(places, 9),
        steps(places, -1) {}

  std::vector<RowsColumn> Columns(std::uint64_t place = 0) {
    return {{.type = kFixed, .out = fixed.data() + place * 3},
            {.type = kList,
             .out = ragged.data() + place * kMostItems,
             .lengths = lengths.data() + place,
             .max_length = kMostItems},
            {.type = kMaybe, .out = maybe.data() + place, .present = present.data() + place}};
  }

  bool operator==(const Rows&) const = default;

  std::vector<float> fixed;
  std::vector<std::int64_t> ragged;
  std::vector<std::int16_t> maybe;
  std::vector<std::int64_t> lengths;
  std::vector<std::uint8_t> present;
  std::vector<Step> steps;
};

void CompareBatches(const std::vector<Reader>& readers, const SamplerOptions& options) {
  WindowSampler sampler(readers, options);
  WindowBatch batch;
  for (int i = 0; i < 20; ++i) {
    sampler.Sample(batch);
    const std::uint64_t places = batch.size() * kLength;
    Rows found(places);
    std::vector<std::uint8_t> valid(places);
    batch.ReadRows(found.Columns(), found.steps.data(), valid.data());
    Rows expected = found;  // places without a row are those of the batch
    for (std::size_t window = 0; window < batch.size(); ++window) {
      const std::uint64_t lead = batch.lead().empty() ? 0 : batch.lead()[window];
      const std::uint64_t count = batch.count().empty() ? kLength : batch.count()[window];
      const Row row = batch.starts()[window];
      const std::uint64_t place = window * kLength + lead;
      const auto store = static_cast<std::size_t>(batch.stores()[window]);
      readers[store].ReadRows({&row, 1}, count, expected.Columns(place),
                              expected.steps.data() + place);
    }
    EXPECT_EQ(found, expected);
  }
}

TEST(RowsOfStoresTest, AreThoseOfEachStore) {
  const ScratchDirectory scratch;
  std::vector<StreamStore> stores;
  std::vector<Reader> readers;
  for (unsigned seed = 0; seed < 36; ++seed) {
    stores.push_back(Filled(scratch.path() / std::to_string(seed), seed));
    readers.push_back(stores.back().reader());
  }
  SamplerOptions options;
  options.length = kLength;
  options.unit = SampleUnit::kRow;
  for (const std::uint64_t batch_size : {1U, 7U, 300U}) {
    for (const SamplePad pad : {SamplePad::kNone, SamplePad::kLeft, SamplePad::kRight}) {
      options.batch_size = batch_size;
      options.pad = pad;
      CompareBatches(readers, options);
    }
  }
  std::vector<Reader> safe;
  for (const StreamStore& store : stores) {
    safe.push_back(Reader::Open(store.path(), {.safe_reads = true}));
  }
  CompareBatches(safe, options);
}

// Each store has layouts of its own, more than a set of plans keeps at first.
TEST(RowsOfStoresTest, MayHaveManyLayouts) {
  std::vector<StreamStore> stores;
  std::vector<Reader> readers;
  for (std::int64_t which = 0; which < 8; ++which) {
    stores.push_back(StreamStore::Temporary({.fields = {{.name = "list", .shape = {kRagged}}}}));
    for (std::int64_t row = 0; row < 200; ++row) {
      const std::vector<std::int64_t> ragged(static_cast<std::size_t>((row * 7 + which) % 150),
                                             row + which);
      stores.back().Append(row, {{0, ragged}});
    }
    readers.push_back(stores.back().reader());
  }
  SamplerOptions options;
  options.length = 1;
  options.unit = SampleUnit::kRow;
  options.batch_size = 1600;
  options.replacement = false;
  WindowSampler sampler(readers, options);
  sampler.BeginEpoch();
  WindowBatch batch;
  ASSERT_TRUE(sampler.Next(batch));
  std::vector<std::int64_t> items(1600 * 150);
  std::vector<std::int64_t> lengths(1600);
  const RowsColumn column{
      .type = 0, .out = items.data(), .lengths = lengths.data(), .max_length = 150};
  batch.ReadRows({&column, 1});
  for (std::size_t i = 0; i < 1600; ++i) {
    const std::int64_t row = batch.starts()[i];
    const std::int64_t which = batch.stores()[i];
    ASSERT_EQ(lengths[i], (row * 7 + which) % 150);
    for (std::int64_t k = 0; k < lengths[i]; ++k) {
      ASSERT_EQ(items[i * 150 + static_cast<std::size_t>(k)], row + which);
    }
  }
}

}  // namespace
}  // namespace stream_store::internal
