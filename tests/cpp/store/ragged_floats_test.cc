// Short lists of floats have a loop of their own. It is right for each length, cut and NaN, and
// writes no byte beyond its output.
#include <bit>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/store.h"

#include "store/vector_copy.h"

namespace stream_store::internal {
namespace {

std::uint32_t BitsOf(float number) { return std::bit_cast<std::uint32_t>(number); }

// Lists of up to 20 floats, including NaNs and infinities, in rows of different layouts.
struct Lists {
  Lists() {
    std::mt19937_64 random(1);
    const float odd[] = {std::numeric_limits<float>::quiet_NaN(),
                         std::bit_cast<float>(0x7fa00001U),  // a signalling NaN with a payload
                         -0.0F, std::numeric_limits<float>::infinity(),
                         std::numeric_limits<float>::denorm_min()};
    for (Step step = 0; step < 400; ++step) {
      std::vector<float> list(random() % 21);
      for (float& item : list) {
        item = random() % 9 == 0 ? odd[random() % 5] : static_cast<float>(random() % 1000) / 7;
      }
      std::vector<FieldWrite> writes;
      present.push_back(random() % 4 != 0);
      if (present.back()) {
        writes.emplace_back(TypeId{0}, list);
      } else {
        list.clear();
      }
      writes.emplace_back(TypeId{1}, step);
      store.Append(step, writes);
      lists.push_back(list);
    }
  }

  StreamStore store = StreamStore::Temporary(
      {.fields = {{.name = "list", .dtype = DType::kFloat32, .shape = {kRagged}},
                  {.name = "number", .dtype = DType::kInt64}}});
  std::vector<std::vector<float>> lists;
  std::vector<bool> present;
};

class RaggedFloatsTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override { Avx2InUse() = before_ && GetParam(); }

  void TearDown() override { Avx2InUse() = before_; }

 private:
  bool before_ = Avx2InUse();
};

INSTANTIATE_TEST_SUITE_P(Copies, RaggedFloatsTest, testing::Bool());

TEST_P(RaggedFloatsTest, EqualTheirListsAtEveryLengthAndCut) {
  const Lists expected;
  const Reader reader = expected.store.reader();
  for (std::uint64_t most = 0; most <= 20; ++most) {
    for (const std::uint64_t length : {1U, 3U, 33U}) {
      const std::vector<Row> rows = {0, 7, 400 - static_cast<Row>(length), 101};
      const std::uint64_t places = rows.size() * length;
      // No larger than needed, so that a sanitizer sees the first byte beyond.
      const std::unique_ptr<std::uint32_t[]> out(new std::uint32_t[places * most + 1]);
      std::vector<std::uint8_t> there(places);
      std::vector<std::int64_t> lengths(places);
      const std::uint32_t guard = 0xdeadbeef;
      out[places * most] = guard;
      const RowsColumn column{0, out.get(), there.data(), lengths.data(), most};
      reader.ReadRows(rows, length, {&column, 1});
      ASSERT_EQ(out[places * most], guard);
      for (std::uint64_t place = 0; place < places; ++place) {
        const auto row = static_cast<std::size_t>(rows[place / length]) + place % length;
        const std::vector<float>& list = expected.lists[row];
        ASSERT_EQ(there[place], expected.present[row] ? 1 : 0);
        ASSERT_EQ(lengths[place], static_cast<std::int64_t>(list.size()));
        for (std::uint64_t i = 0; i < most; ++i) {
          ASSERT_EQ(out[place * most + i], i < list.size() ? BitsOf(list[i]) : 0U)
              << "row " << row << " item " << i << " of " << most;
        }
      }
    }
  }
}

}  // namespace
}  // namespace stream_store::internal
