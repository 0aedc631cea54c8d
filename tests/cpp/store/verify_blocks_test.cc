// Verify() checks the bytes of packed fields of varying length and of nested fields, although their
// checksums are right: a program may have stored words of its own.
#include <gtest/gtest.h>

#include "stream_store/store.h"
#include "stream_store/verify.h"

#include "base/directory.h"
#include "base/str_cat.h"
#include "storage/damaged_files.h"
#include "storage/record_verifier.h"
#include "store/packed_model.h"
#include "support/chunks.h"
#include "support/scratch.h"

namespace stream_store::internal {
namespace {

enum Type : TypeId { kNumber, kString, kPoints, kCell };

std::vector<Field> Fields() {
  return {{.name = "number"},
          {.name = "string", .dtype = DType::kString, .packed = true},
          {.name = "points", .dtype = DType::kFloat16, .shape = {kRagged, 3}, .packed = true},
          {.name = "cell", .dtype = DType::kNested, .nested = "list<int8>"}};
}

// The block of a list of int8: header and length of the list, header and items of its child.
std::string ListBlock(const std::string& items) {
  std::string block = {0, static_cast<char>(items.size()), 0};
  return block + items;
}

// The words of a field-write of `bytes`, padded with `padding`.
std::vector<Value> WordsOf(const std::string& bytes, char padding = 0) {
  std::string padded = bytes;
  padded.resize((bytes.size() + 7) / 8 * 8, padding);
  std::vector<Value> words(1 + padded.size() / 8);
  words[0] = static_cast<Value>(bytes.size());
  std::memcpy(words.data() + 1, padded.data(), padded.size());
  return words;
}

class VerifyBlocksTest : public ::testing::Test {
 protected:
  void AppendGood(std::size_t rows) {
    const std::vector<std::uint16_t> halves(6, 0x3c00);
    for (std::size_t i = 0; i < rows; ++i) {
      const Step step = NextStep();
      const std::string text(i % 20, 'x');
      const std::string block = ListBlock(std::string(i % 5, 'y'));
      store_.Append(step, {{kNumber, step},
                           {kString, text},
                           {kPoints, Source::kFloat16, halves.data(), 3 * (i % 3)},
                           {kCell, block}});
    }
  }

  // Appends stored words, which are not checked apart from their count. Returns the row.
  Row AppendWords(TypeId type, const std::vector<Value>& words) {
    const Step step = NextStep();
    return store_.Append(step,
                         {{kNumber, step}, {type, Source::kWords, words.data(), words.size()}});
  }

  Step NextStep() const { return static_cast<Step>(store_.reader().num_rows()); }

  // Closes the store, overwrites the value at a position, and gives its record a right checksum.
  void Forge(std::uint64_t record, std::uint64_t value_of_record, Value value) {
    store_.Close();
    const DamagedFiles files = DamagedFiles::Open(path_, [](const Finding&) {});
    const RecordVerifier::Parts parts = files.verifier_parts();
    Record stored = RecordVerifier(parts).record(record);
    const Directory directory = Directory::Open(path_);
    directory.OpenFile(FileOf("values").c_str(), true)
        .WriteAt(std::as_bytes(std::span(&value, 1)), (stored.start + value_of_record) * 8);
    stored.checksum = RecordVerifier(parts).VerifyRecord(record).checksum;
    directory.OpenFile(FileOf("records").c_str(), true)
        .WriteAt(std::as_bytes(std::span(&stored, 1)), record * sizeof(Record));
  }

  static std::string Texts(const VerifyReport& report) {
    std::string text;
    for (const Finding& finding : report.findings) text += FindingText(finding) + "\n";
    return text;
  }

  // The store has one damage, in `row`, with these words in its text.
  void ExpectOneFinding(Row row, const std::string& field, const std::string& expected,
                        const std::string& found) const {
    const VerifyReport report = store_.closed() ? Verify(path_) : Verify(store_.reader());
    ASSERT_EQ(report.damages, 1U) << Texts(report);
    EXPECT_EQ(report.notices, 0U) << Texts(report);
    const Finding& finding = report.findings.front();
    EXPECT_EQ(finding.file, FileOf("values"));
    EXPECT_EQ(finding.subject, StrCat("record ", row, ", row ", row, ", field '", field, "'"));
    EXPECT_EQ(finding.expected, expected);
    EXPECT_CONTAINS(finding.found, found);
    const std::vector<Row> rows = {row};
    std::vector<Position> start(1);
    store_.reader().PositionOf(rows, start);
    EXPECT_EQ(finding.offset, (static_cast<std::uint64_t>(start[0]) + 1) * 8) << "after `number`";
    EXPECT_EQ(report.good_rows, static_cast<std::uint64_t>(row));
    EXPECT_EQ(report.rows, store_.reader().num_rows()) << "the walk continues";
  }

  ScratchDirectory scratch_;
  std::filesystem::path path_ = scratch_ / "store";
  StreamStore store_ = StreamStore::Open(path_, {.fields = Fields()});
};

TEST_F(VerifyBlocksTest, GoodBlocksHaveNoFindings) {
  AppendGood(200);
  EXPECT_EQ(Texts(Verify(store_.reader())), "");
  store_.Close();
  const VerifyReport report = Verify(path_);
  EXPECT_EQ(Texts(report), "");
  EXPECT_EQ(report.good_rows, 200U);
}

TEST_F(VerifyBlocksTest, PaddingMustBeZero) {
  AppendGood(5);
  const Row row = AppendWords(kString, WordsOf("hello", 'x'));
  AppendGood(3);
  ExpectOneFinding(row, "string", "packed string", "bytes after the last item that are not zero");
  store_.Close();
  ExpectOneFinding(row, "string", "packed string", "bytes after the last item that are not zero");
}

TEST_F(VerifyBlocksTest, TextMustBeUtf8) {
  AppendGood(5);
  const Row row = AppendWords(kString, WordsOf("caf\xc3\xa9 caf\xc3"));
  AppendGood(3);
  ExpectOneFinding(row, "string", "packed string", "text that is not UTF-8 at byte 9");
}

// A long text is checked in parts, and a character may lie across the end of a part.
TEST_F(VerifyBlocksTest, LongTextsAreCheckedToTheEnd) {
  constexpr std::size_t kBytes = 400'000;
  for (std::size_t shift = 0; shift < 4; ++shift) {
    std::string text(shift, 'x');
    while (text.size() < kBytes) text += "\xf0\x9f\x98\x80";
    AppendWords(kString, WordsOf(text));
  }
  EXPECT_EQ(Texts(Verify(store_.reader())), "");
  std::string text(kBytes, 'x');
  text[kBytes - 1] = '\xff';
  const Row row = AppendWords(kString, WordsOf(text));
  AppendGood(1);
  ExpectOneFinding(row, "string", "packed string", "text that is not UTF-8 at byte 399999");
}

TEST_F(VerifyBlocksTest, BadTextAnywhereInALongOneIsFound) {
  constexpr std::size_t kPart = 128 << 10;
  for (const std::size_t at : {kPart - 9, kPart - 8, kPart - 5, kPart - 4, kPart - 2, kPart - 1,
                               kPart, kPart + 1, 2 * kPart - 3}) {
    store_ = StreamStore::Temporary({.fields = Fields()});
    std::string text(3 * kPart, 'x');
    text.replace(at, 3, "\xe2\x82x");  // the start of a character of three bytes
    const Row row = AppendWords(kString, WordsOf(text));
    ExpectOneFinding(row, "string", "packed string", StrCat("not UTF-8 at byte ", at));
  }
}

TEST_F(VerifyBlocksTest, NestedCellsMustBeBlocksOfTheirType) {
  AppendGood(5);
  const std::string good = ListBlock("abc");
  EXPECT_EQ(AppendWords(kCell, WordsOf(good)), 5);
  AppendGood(3);
  EXPECT_EQ(Texts(Verify(store_.reader())), "");
  const Row row = AppendWords(kCell, WordsOf(good.substr(0, good.size() - 1)));
  AppendGood(3);
  ExpectOneFinding(row, "cell", "nested list<int8>", "");
}

TEST_F(VerifyBlocksTest, CountsMustAgreeWithTheWords) {
  AppendGood(5);
  const Row row = AppendWords(kString, WordsOf("hello"));
  AppendGood(3);
  Forge(static_cast<std::uint64_t>(row), 1, 9);
  ExpectOneFinding(row, "string", "packed string",
                   "9 items in 2 words, the one with their number included");
  Forge(static_cast<std::uint64_t>(row), 1, -1);
  ExpectOneFinding(row, "string", "packed string", "18446744073709551615 items in 2 words");
}

TEST_F(VerifyBlocksTest, CountsMustBeWholeItems) {
  AppendGood(5);
  const Row row = AppendWords(kPoints, {3, 0});
  Forge(static_cast<std::uint64_t>(row), 1, 4);
  ExpectOneFinding(row, "points", "packed float16[None,3]",
                   "4 items, which are not a multiple of 3");
}

TEST_F(VerifyBlocksTest, RepairDropsTheRowOfABadBlock) {
  AppendGood(5);
  AppendWords(kString, WordsOf("hello", 'x'));
  AppendGood(3);
  store_.Close();
  const RepairReport report = Repair(path_, scratch_ / "new");
  EXPECT_EQ(report.rows, 8U);
  EXPECT_EQ(report.rows_lost, 1U);
  EXPECT_EQ(report.gaps.at(0).first_row, 5U);
  EXPECT_EQ(report.gaps.at(0).reason.substr(0, 22), "row 5: field 'string':");
  EXPECT_EQ(Texts(Verify(scratch_ / "new")), "");
}

// Opening, recovery and copies rely on the checksums, so a bad block does not end them.
TEST_F(VerifyBlocksTest, OpeningAndCheckpointsKeepBadBlocks) {
  AppendGood(5);
  AppendWords(kString, WordsOf("hello", 'x'));
  AppendGood(3);
  EXPECT_EQ(store_.reader().Checkpoint(scratch_ / "copy"), 9U);
  store_.Close();
  const StreamStore again = StreamStore::Open(path_);
  EXPECT_EQ(again.recovery().state, Recovery::State::kClean);
  EXPECT_EQ(again.reader().num_rows(), 9U);
}

// Records of more than 64 KiB are verified one by one, those below in runs.
TEST_F(VerifyBlocksTest, RandomBlocksOfEveryDTypeAreGood) {
  const std::vector<PackedField> packed = PackedFields();
  std::vector<Field> fields;
  for (const PackedField& field : packed) fields.push_back(field.field);
  StreamStore store = StreamStore::Temporary({.fields = fields});
  PackedMaker random(3);
  for (Step step = 0; step < 60; ++step) {
    std::vector<PackedItems> items(packed.size());
    std::vector<FieldWrite> writes;
    for (std::size_t f = 0; f < packed.size(); ++f) {
      const std::uint64_t length = step % 20 == 7 ? 9000 : random.Below(30);
      AddItems(packed[f], random.Cell(packed[f], length), PackedFrom::kOwnItems, items[f]);
      writes.emplace_back(static_cast<TypeId>(f), items[f].source, items[f].bytes.data(),
                          items[f].count);
    }
    store.Append(step, writes);
  }
  EXPECT_EQ(Texts(Verify(store.reader())), "");
}

}  // namespace
}  // namespace stream_store::internal
