// Tests of Repair() on damaged stores. A model in this file knows the rows of the store, so each
// test names the rows that the damage touches and expects exactly the others.

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "stream_store/verify.h"

#include "format/record.h"
#include "storage/fixture.h"

namespace stream_store::internal {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kHead = sizeof(Record);

class SalvageTest : public StoreTest {
 protected:
  // Row r has step 10 * r, and the fields `number` and `list`. Every third row has a second record
  // with the field `flag`.
  void Fill(StreamStore& store, Step first, Step last) {
    for (Step row = first; row < last; ++row) {
      rows_of_records_.push_back(row);
      store.Append(10 * row, {{0, row}, {1, List(static_cast<std::size_t>(row % 7), row)}});
      if (row % 3 == 0) {
        rows_of_records_.push_back(row);
        store.Append(10 * row, {{2, true}});
      }
    }
  }

  void Make(Step rows) {
    StreamStore store = Open();
    Fill(store, 0, rows);
    texts_ = TextsOf(store.reader());
  }

  // Each row as a line of its own, so that rows can be compared one by one.
  static std::vector<std::string> TextsOf(const Reader& reader) {
    std::vector<std::string> texts;
    const std::string shown = Show(reader);
    for (std::size_t at = 0; at < shown.size();) {
      const std::size_t end = std::min(shown.find("} ", at), shown.size() - 1);
      texts.push_back(shown.substr(at, end + 1 - at));
      at = end + 2;
    }
    return texts;
  }

  std::uint64_t FirstRecordOf(Step row) const {
    return static_cast<std::uint64_t>(std::ranges::find(rows_of_records_, row) -
                                      rows_of_records_.begin());
  }

  std::uint64_t StartOf(std::uint64_t record) const {
    std::uint64_t start = 0;
    Directory::Open(path_)
        .OpenFile(FileOf("records").c_str(), false)
        .ReadAt(std::as_writable_bytes(std::span(&start, 1)), record * kHead);
    return start;
  }

  void Zero(const char* name, std::uint64_t at, std::uint64_t bytes) const {
    Directory::Open(path_)
        .OpenFile(FileOf(name).c_str(), true)
        .WriteAt(std::vector<std::byte>(bytes), at);
  }

  // Repairs, and compares all rows with the model: exactly the rows `lost` are missing.
  RepairReport ExpectLost(const std::set<Step>& lost) const {
    fs::remove_all(Scratch("new"));
    const RepairReport report = Repair(path_, Scratch("new"));
    std::vector<std::string> expected;
    for (std::size_t row = 0; row < texts_.size(); ++row)
      if (!lost.contains(static_cast<Step>(row))) expected.push_back(texts_[row]);
    EXPECT_EQ(TextsOf(Reader::Open(Scratch("new"))), expected);
    EXPECT_EQ(report.rows, expected.size());
    EXPECT_EQ(report.rows_lost, lost.size());
    std::set<Step> told;
    for (const Gap& gap : report.gaps) {
      EXPECT_NE(gap.reason, "");
      EXPECT_EQ(gap.new_row + told.size(), gap.first_row);
      for (std::uint64_t i = 0; i < gap.rows; ++i)
        told.insert(static_cast<Step>(gap.first_row + i));
    }
    EXPECT_EQ(told, lost);
    EXPECT_EQ(report.gap_count, report.gaps.size());
    ExpectWhole(Scratch("new"));
    return report;
  }

  static void ExpectWhole(const fs::path& path) {
    std::string text;
    for (const Finding& finding : Verify(path).findings) text += FindingText(finding) + "\n";
    EXPECT_EQ(text, "");
    EXPECT_EQ(Reader::Open(path).recovery().state, Recovery::State::kClean);
  }

  std::vector<Step> rows_of_records_;
  std::vector<std::string> texts_;
};

TEST_F(SalvageTest, AnIntactStoreLosesNothing) {
  Make(300);
  const RepairReport report = ExpectLost({});
  EXPECT_TRUE(report.findings.empty());
}

// Every bit of one record, for a row with one record, both records of a row with two, and the rows
// beside it: it costs that row, and never a neighbour.
TEST_F(SalvageTest, AFlippedBitOfARecordCostsItsRow) {
  Make(60);
  for (const Step row : {Step{30}, Step{31}, Step{32}}) {
    const std::uint64_t records = row % 3 == 0 ? 2 : 1;
    for (std::uint64_t record = 0; record < records; ++record) {
      for (int bit = 0; bit < 256; bit += 3) {
        SCOPED_TRACE(StrCat("row ", row, ", record ", record, ", bit ", bit));
        const std::uint64_t at =
            (FirstRecordOf(row) + record) * kHead + static_cast<std::uint64_t>(bit / 8);
        Flip("records", at, bit % 8);
        ExpectLost({row});
        Flip("records", at, bit % 8);
      }
    }
  }
}

TEST_F(SalvageTest, AFlippedBitOfAValueCostsItsRow) {
  Make(200);
  for (const Step row : {0, 1, 2, 3, 99, 100, 101, 197, 198, 199}) {
    SCOPED_TRACE(row);
    const std::uint64_t at = StartOf(FirstRecordOf(row)) * 8;
    Flip("values", at);
    const RepairReport report = ExpectLost({row});
    EXPECT_CONTAINS(report.gaps.at(0).reason,
                    StrCat("record ", FirstRecordOf(row), ": its checksum"));
    Flip("values", at);
  }
}

TEST_F(SalvageTest, TheSecondRecordOfARowIsNotMissedAlone) {
  Make(100);
  const std::uint64_t record = FirstRecordOf(33) + 1;
  Flip("values", StartOf(record) * 8);
  ExpectLost({33});
  Flip("records", record * kHead + 28);
  ExpectLost({33});
}

TEST_F(SalvageTest, ARowIsLostIfOnlyItsMiddleRecordIsDamaged) {
  {
    StreamStore store = Open();
    for (Step row = 0; row < 20; ++row) {
      store.Append(row, {{0, row}});
      store.Append(row, {{1, List(3, row)}});
      store.Append(row, {{2, true}});
    }
    texts_ = TextsOf(store.reader());
  }
  Flip("records", (3 * 7 + 1) * kHead + 28);
  ExpectLost({7});
}

// Records of a session that a recovery removed may lie after the end of the store.
TEST_F(SalvageTest, RecordsOfAnAbandonedSessionAreNotSalvaged) {
  WriteAndDie([](StreamStore& store) {
    for (Step step = 0; step < 10; ++step) store.Append(step, {{0, step}});
  });
  LiveWords live = Live();
  live.published = 4;  // a power failure lost the later value of `published` …
  SetLive(live);
  WriteAndDie([](StreamStore& store) { store.Append(4, {{0, 100}}); });
  live = Live();
  live.published = 10;  // … and here an old page of it reappears
  SetLive(live);
  EXPECT_EQ(Repair(path_, Scratch("new")).rows, 5U);
  EXPECT_EQ(Show(Reader::Open(Scratch("new"))), "0{0:0} 1{0:1} 2{0:2} 3{0:3} 4{0:100}");
}

TEST_F(SalvageTest, SeveralDamagedRowsAreSeveralGaps) {
  Make(200);
  for (const Step row : {5, 6, 7, 50, 120, 121}) Flip("values", StartOf(FirstRecordOf(row)) * 8);
  const RepairReport report = ExpectLost({5, 6, 7, 50, 120, 121});
  ASSERT_EQ(report.gaps.size(), 3U);
  EXPECT_EQ(report.gaps[0].rows, 3U);
  EXPECT_EQ(report.gaps[1].first_row, 50U);
  EXPECT_EQ(report.gaps[1].new_row, 47U);
  EXPECT_EQ(report.gaps[2].rows, 2U);
  const RepairReport one = Repair(path_, Scratch("one"), {.max_gaps = 1});
  EXPECT_EQ(one.gaps.size(), 1U);
  EXPECT_EQ(one.gaps[0].rows, 3U) << "a gap that is not listed must not extend the last one";
  EXPECT_EQ(one.gap_count, 3U);
  EXPECT_EQ(one.rows_lost, 6U);
}

TEST_F(SalvageTest, ADamagedLayoutCostsTheRowsThatUseIt) {
  Make(100);
  std::uint32_t layout = 0;
  Directory::Open(path_)
      .OpenFile(FileOf("records").c_str(), false)
      .ReadAt(std::as_writable_bytes(std::span(&layout, 1)),
              FirstRecordOf(10) * kHead + offsetof(Record, layout));
  Flip("layouts", std::uint64_t{layout} * 8);
  std::set<Step> lost;
  for (Step row = 3; row < 100; row += 7) lost.insert(row);
  ExpectLost(lost);
}

// A lost sector of the records. The rows at its ends may have had a second record in it.
TEST_F(SalvageTest, AZeroedPageOfRecordsCostsItsRowsAndAtMostTheTwoBeside) {
  Make(1000);
  Zero("records", 4096, 4096);
  std::set<Step> lost;
  for (std::uint64_t record = 128; record < 256; ++record) lost.insert(rows_of_records_[record]);
  lost.insert(rows_of_records_[127]);
  lost.insert(rows_of_records_[256]);
  ExpectLost(lost);
}

TEST_F(SalvageTest, AZeroedPageOfOneRecordRowsCostsNoNeighbour) {
  {
    StreamStore store = Open();
    for (Step row = 0; row < 1000; ++row) store.Append(row, {{0, 5 * row}});
    texts_ = TextsOf(store.reader());
  }
  Zero("records", 4096, 4096);
  std::set<Step> lost;
  for (Step row = 128; row < 256; ++row) lost.insert(row);
  ExpectLost(lost);
}

TEST_F(SalvageTest, AZeroedPageOfValuesCostsTheRowsInIt) {
  Make(1000);
  Zero("values", 4096, 4096);
  std::set<Step> lost;
  for (std::uint64_t i = 0; i < rows_of_records_.size(); ++i) {
    const std::uint64_t end = StartOf(i + 1);
    if (StartOf(i) < 1024 && end > 512) lost.insert(rows_of_records_[i]);
  }
  EXPECT_GT(lost.size(), 50U);
  ExpectLost(lost);
}

TEST_F(SalvageTest, DamageAtTheEndsOfTheStore) {
  Make(100);
  Zero("records", 0, 3 * kHead);                          // rows 0 (two records) and 1
  Zero("records", FirstRecordOf(98) * kHead, 3 * kHead);  // rows 98 and 99 (two records)
  // Row 2 follows three zeroed records of two rows, so it might lack one; row 97 likewise.
  const RepairReport report = ExpectLost({0, 1, 2, 97, 98, 99});
  EXPECT_EQ(report.gaps.size(), 2U);
}

TEST_F(SalvageTest, ARecordsFileThatEndsEarlyCostsTheRest) {
  {
    StreamStore store = Open();
    for (Step row = 0; row < 100; ++row) store.Append(row, {{0, row}});
    texts_ = TextsOf(store.reader());
  }
  fs::resize_file(path_ / FileOf("records"), 81 * kHead);
  std::set<Step> lost;
  for (Step row = 80; row < 100; ++row) lost.insert(row);
  const RepairReport report = ExpectLost(lost);
  EXPECT_CONTAINS(report.gaps.at(0).reason, "the records file ends");
}

TEST_F(SalvageTest, RowsOfTheUnsyncedTailAreSalvagedToo) {
  WriteAndDie([this](StreamStore& store) {
    Fill(store, 0, 100);
    store.Sync();
    Fill(store, 100, 200);
  });
  for (Step row = 0; row < 200; ++row) {  // the child's model died with it
    rows_of_records_.push_back(row);
    if (row % 3 == 0) rows_of_records_.push_back(row);
  }
  texts_ = TextsOf(Reader::Open(path_));
  ASSERT_EQ(texts_.size(), 200U);
  Flip("values", StartOf(FirstRecordOf(50)) * 8);
  Flip("values", StartOf(FirstRecordOf(150)) * 8);
  ExpectLost({50, 150});
}

// After the last sync, a bad record at the end is an append that was interrupted.
TEST_F(SalvageTest, TheUnsyncedEndIsNoGap) {
  WriteAndDie([](StreamStore& store) {
    for (Step row = 0; row < 100; ++row) store.Append(row, {{0, row}});
    store.Sync();
    for (Step row = 100; row < 120; ++row) store.Append(row, {{0, row}});
  });
  texts_ = TextsOf(Reader::Open(path_));
  Zero("records", 110 * kHead, 10 * kHead);
  texts_.resize(110);
  ExpectLost({});
}

TEST_F(SalvageTest, WithoutSlotsAllRowsAreSalvaged) {
  Make(100);
  Flip("control", kSlotOffset[0] + 9);
  Flip("control", kSlotOffset[1] + 9);
  Flip("values", StartOf(FirstRecordOf(40)) * 8);
  ExpectLost({40});
  Flip("values", StartOf(FirstRecordOf(98)) * 8);
  ExpectLost({40, 98});
}

TEST_F(SalvageTest, TruncateAtDamageKeepsOnlyThePrefix) {
  Make(100);
  Flip("values", StartOf(FirstRecordOf(40)) * 8);
  const RepairReport report = Repair(path_, Scratch("prefix"), {.truncate_at_damage = true});
  EXPECT_EQ(report.rows, 40U);
  EXPECT_EQ(report.rows_lost, 60U);
  ASSERT_EQ(report.gaps.size(), 1U);
  EXPECT_EQ(report.gaps[0].first_row, 40U);
  EXPECT_EQ(report.gaps[0].rows, 60U);
  EXPECT_CONTAINS(report.gaps[0].reason, "record 54");
  ExpectWhole(Scratch("prefix"));
}

TEST_F(SalvageTest, ARepairedStoreIsAStoreLikeAnyOther) {
  Make(600);
  Flip("values", StartOf(FirstRecordOf(40)) * 8);
  const StoreId damaged = Reader::Open(path_).id();
  Repair(path_, Scratch("new"));
  {
    StreamStore store = StreamStore::Open(Scratch("new"), options_);
    EXPECT_NE(store.reader().id(), damaged);
    EXPECT_EQ(store.reader().RowAt(390), 39);
    EXPECT_EQ(store.reader().RowAt(410), 40);
    Fill(store, 600, 700);
  }
  ExpectWhole(Scratch("new"));
  EXPECT_EQ(Reader::Open(Scratch("new")).num_rows(), 699U);
}

TEST_F(SalvageTest, ACopyInsideItsSourceIsRefused) {
  Make(10);
  fs::create_directory_symlink(path_, Scratch("link"));
  for (const fs::path& into : {path_ / "copy", path_ / "a" / "b", Scratch("link") / "copy",
                               path_ / ".." / "store" / "copy"}) {
    SCOPED_TRACE(into);
    Error error = ErrorOf([&] { Repair(path_, into); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_CONTAINS(error.what(), "inside");
    error = ErrorOf([&] { Reader::Open(path_).Checkpoint(into); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  }
  ExpectWhole(path_);
  EXPECT_EQ(Repair(path_, Scratch("store2")).rows, 10U) << "a sibling is not inside";
}

// Many flipped bits anywhere in the data files. Whatever is lost, each row that comes back is one
// that was written, complete and with its own step.
TEST_F(SalvageTest, RandomDamageNeverGivesAWrongRow) {
  std::mt19937_64 random(7);
  Make(400);
  const std::vector<std::string> originals = texts_;
  const std::set<std::string> known(originals.begin(), originals.end());
  fs::copy(path_, Scratch("intact"));
  std::uint64_t kept = 0;
  for (int round = 0; round < 150; ++round) {
    SCOPED_TRACE(round);
    fs::remove_all(path_);
    fs::copy(Scratch("intact"), path_);
    const std::uint64_t flips = 1 + random() % 40;
    for (std::uint64_t i = 0; i < flips; ++i) {
      const char* name = i % 8 == 7 ? "layouts" : i % 2 == 0 ? "records" : "values";
      const std::uint64_t bytes = std::string_view(name) == "records"
                                      ? rows_of_records_.size() * kHead
                                      : fs::file_size(path_ / FileOf(name));
      Flip(name, random() % bytes, static_cast<int>(random() % 8));
    }
    fs::remove_all(Scratch("new"));
    const RepairReport report = Repair(path_, Scratch("new"));
    const std::vector<std::string> texts = TextsOf(Reader::Open(Scratch("new")));
    for (const std::string& text : texts) ASSERT_TRUE(known.contains(text)) << text;
    ASSERT_EQ(texts.size() + report.rows_lost, 400U);
    ExpectWhole(Scratch("new"));
    kept += texts.size();
  }
  EXPECT_GT(kept, 150U * 200) << "damage costs far more than the rows that it touches";
}

}  // namespace
}  // namespace stream_store::internal
