// Reads of a store whose bytes were chosen by a hostile process: they return some values or throw
// Error(kCorrupt), in bounded time, and access no memory outside the store.
//
// Most useful under AddressSanitizer: the arrays of a FakeStore have exactly the sizes that the
// View states.
#include <gtest/gtest.h>

#include "stream_store/error.h"

#include "format/layout.h"
#include "storage/locate.h"
#include "store/fake_rows.h"
#include "store/read_functions.h"

namespace stream_store::internal {
namespace {

// Runs a read; fails the test unless it succeeds or throws kCorrupt.
template <class Read>
void Survives(const Read& read) {
  try {
    read();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCorrupt) << error.what();
  }
}

void ReadEverything(const View& view, RowMaker& random) {
  const std::uint64_t there = view.value_count - view.first_position;
  const std::uint64_t width = 1 + random.Below(std::min<std::uint64_t>(there, 700));
  std::vector<Position> starts;
  std::vector<Row> rows;
  for (int i = 0; i < 20; ++i) {
    starts.push_back(static_cast<Position>(view.first_position + random.Below(there - width + 1)));
    rows.push_back(
        static_cast<Row>(view.first_row + random.Below(view.row_count - view.first_row - 5)));
  }
  std::vector<std::int64_t> out(starts.size() * width * 5);
  std::vector<float> numbers(starts.size() * width);
  const auto column = [&](std::size_t i) { return out.data() + i * starts.size() * width; };
  const WindowsOut columns{column(0), column(1), column(2), numbers.data(), column(3), column(4)};
  Survives([&] { ReadWindows(view, starts, width, columns); });
  Survives([&] { ReadWindows(view, starts, width, {column(0), column(1), column(2)}); });
  Survives([&] { Gather(view, starts, columns); });
  std::vector<std::byte> decoded(rows.size() * 5 * 32 * 13);
  std::vector<RowsColumn> asks;
  for (TypeId type = 0; type <= kMarker; ++type) {
    asks.push_back({type, decoded.data() + type * rows.size() * 5 * 32, nullptr, nullptr, 2});
  }
  std::vector<Step> steps(rows.size() * 5);
  Survives([&] { ReadRows(view, rows, 5, asks, steps.data()); });
  Survives([&] { EXPECT_LE(LongestInRows(view, rows, 5, kLong), view.value_count); });
  std::vector<Position> places(rows.size());
  Survives([&] { PositionOf(view, rows, places); });
  Survives([&] { Segments(view, std::vector<TypeId>{kDone}); });
  Survives([&] { RowAtStep(view, static_cast<Step>(random.Below(1000)), true); });
  Survives([&] { ReadRow(view, rows[0]); });
  Survives([&] {
    std::vector<IndexEntry> index(
        std::min<std::uint64_t>(CountIndex(view, rows[0], rows[0] + 5), 100'000));
    ReadIndex(view, rows[0], rows[0] + 5, index);
  });
}

// A wrong word of a kind that matters: small, huge, near the right one, or random.
std::uint64_t Damage(std::uint64_t word, RowMaker& random) {
  switch (random.Below(6)) {
    case 0:
      return random.Below(20);
    case 1:
      return ~std::uint64_t{0} - random.Below(20);
    case 2:
      return word + random.Below(5) - 2;
    case 3:
      return word ^ std::uint64_t{1} << random.Below(64);
    case 4:
      return LayoutHead(random.Below(16), random.Below(1200));
    default:
      return random.Below(std::uint64_t{1} << 63) * 2;
  }
}

void DamageRecord(Record& record, RowMaker& random) {
  switch (random.Below(4)) {
    case 0:
      record.start = Damage(record.start, random);
      break;
    case 1:
      record.row_session = Damage(record.row_session, random);
      break;
    case 2:
      record.layout = static_cast<std::uint32_t>(Damage(record.layout, random));
      break;
    default:
      record.step = static_cast<Step>(Damage(static_cast<std::uint64_t>(record.step), random));
  }
}

TEST(HostileTest, SurvivesAFewWrongWords) {
  for (std::uint64_t seed = 0; seed < 120; ++seed) {
    RowMaker random(seed);
    FakeStore store(MixedFields(), seed % 2 == 0 ? random.Wild(300) : random.Steady(300, 9),
                    FakeHints::kRight, seed, seed % 3 == 0 ? 0 : 150);
    const View& view = store.view();
    for (std::uint64_t i = 0; i <= seed % 9; ++i) {
      const std::uint64_t kept = store.records.size() - view.begin_record;
      DamageRecord(store.records[view.begin_record + random.Below(kept)], random);
      const std::uint64_t words = store.layouts.size() - view.layout_begin;
      std::uint64_t& word = store.layouts[view.layout_begin + random.Below(words)];
      word = Damage(word, random);
      for (auto* hints : {&store.position_hints, &store.row_hints}) {
        std::uint64_t& hint = (*hints)[random.Below(hints->size())];
        hint = Damage(hint, random);
      }
    }
    store.Freeze();
    for (int i = 0; i < 3; ++i) {
      ReadEverything(store.view(), random);
    }
  }
}

TEST(HostileTest, SurvivesRandomBytesEverywhere) {
  for (std::uint64_t seed = 0; seed < 120; ++seed) {
    RowMaker random(seed);
    FakeStore store(MixedFields(), random.Wild(100), FakeHints::kRandom, seed,
                    seed % 2 == 0 ? 0 : 50);
    for (Record& record : store.records) {
      for (int i = 0; i < 4; ++i) {
        DamageRecord(record, random);
      }
    }
    for (std::uint64_t& word : store.layouts) {
      word = Damage(word, random);
    }
    store.Freeze();
    for (int i = 0; i < 3; ++i) {
      ReadEverything(store.view(), random);
    }
  }
}

TEST(HostileTest, SurvivesEqualRecords) {
  FakeStore store(MixedFields(), RowMaker(1).Steady(200, 0));
  for (int kind = 0; kind < 3; ++kind) {
    for (Record& record : store.records) {
      if (kind == 0) {
        record = store.records[0];
      }
      if (kind == 1) {
        record = {0, 0, 0, 0, 0};
      }
      if (kind == 2) {
        record = {~std::uint64_t{0}, -1, ~std::uint64_t{0}, ~std::uint32_t{0}, 0};
      }
    }
    store.Freeze();
    RowMaker random(3);
    ReadEverything(store.view(), random);
  }
}

TEST(HostileTest, SurvivesAViewWithoutRecordsOrLayouts) {
  for (const Row first : {0, 100}) {
    FakeStore store(MixedFields(), RowMaker(1).Steady(200, 0), FakeHints::kRight, 1, first);
    RowMaker random(3);
    store.layouts.clear();
    store.Freeze();
    ReadEverything(store.view(), random);
    store.records.clear();
    store.position_hints.clear();
    store.row_hints.clear();
    store.Freeze();
    ReadEverything(store.view(), random);
  }
}

}  // namespace
}  // namespace stream_store::internal
