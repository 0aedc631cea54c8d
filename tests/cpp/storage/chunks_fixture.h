// Shared by the tests of stores with many chunks: a chunk is as small as a page, so that it holds 128
// records, or 512 values, or 512 words of layouts.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "stream_store/verify.h"

#include "storage/chunk_set.h"
#include "storage/fixture.h"

namespace stream_store::internal {

inline constexpr std::uint64_t kSmallChunk = 4096;
inline constexpr std::uint64_t kChunkRecords = kSmallChunk / sizeof(Record);

class ChunksTest : public StoreTest {
 protected:
  explicit ChunksTest(bool on_disk = false) : StoreTest(on_disk) {
    SmallestChunkBytes() = kSmallChunk;
    options_.chunk_bytes = kSmallChunk;
  }

  ~ChunksTest() override { SmallestChunkBytes() = kMinChunkBytes; }

  /// The list in a row: its length differs from row to row, so that there are many layouts.
  static List ListOf(Step row) { return List(static_cast<std::size_t>(row * 7 % 13), row); }

  /// Appends rows up to `end`, each with its number, its list, and a flag in a second call for every
  /// third one.
  static void Fill(StreamStore& store, Step end) {
    for (Step row = static_cast<Step>(store.reader().num_rows()); row < end; ++row) {
      store.Append(row, {{0, row}, {1, ListOf(row)}});
      if (row % 3 == 0) store.Append(row, {{2, row % 2 == 0}});
    }
  }

  /// What Show() says of one row that Fill() appends.
  static std::string RowText(Step row) {
    std::string text = StrCat(row, "{0:", row, " 1:");
    const List list = ListOf(row);
    for (std::size_t i = 0; i < list.size(); ++i) text += StrCat(i == 0 ? "" : ",", list[i]);
    return text + (row % 3 != 0 ? "}" : row % 2 == 0 ? " 2:1}" : " 2:0}");
  }

  static std::string Filled(Step end) {
    std::string text;
    for (Step row = 0; row < end; ++row) text += (row == 0 ? "" : " ") + RowText(row);
    return text;
  }

  /// The numbers of the chunk files of a kind.
  std::vector<std::uint64_t> Chunks(const char* kind) const {
    const Directory directory = Directory::Open(path_);
    return ChunkFiles(directory, kind, kSmallChunk, 0).Numbers();
  }

  static std::vector<std::uint64_t> UpTo(std::uint64_t end) {
    std::vector<std::uint64_t> numbers(end);
    std::iota(numbers.begin(), numbers.end(), std::uint64_t{0});
    return numbers;
  }

  std::uint64_t ChunkSize(const char* kind, std::uint64_t chunk) const {
    return std::filesystem::file_size(path_ / FileOf(kind, chunk));
  }

  void MakeFile(const char* kind, std::uint64_t chunk, std::size_t bytes,
                char content = 'x') const {
    std::ofstream(path_ / FileOf(kind, chunk)) << std::string(bytes, content);
  }

  std::vector<Record> Records() const {
    const std::uint64_t count = Reader::Open(path_).records();
    std::vector<Record> records(count);
    const Directory directory = Directory::Open(path_);
    ChunkFiles files(directory, "records", kSmallChunk, 0);
    files.Refresh();
    const auto bytes = std::as_writable_bytes(std::span(records));
    EXPECT_EQ(files.ReadAt(bytes, 0), bytes.size());
    return records;
  }

  /// A drop forgets the layouts of whole chunks of records, so a record may only use a layout that
  /// lies after all those of earlier chunks.
  void ExpectLayoutsRule() const {
    const std::vector<Record> records = Records();
    std::uint32_t highest_before = 0;
    std::uint32_t highest = 0;
    for (std::size_t i = 0; i < records.size(); ++i) {
      if (i % kChunkRecords == 0) highest_before = highest;
      if (records[i].layout == 0) continue;
      ASSERT_GT(records[i].layout, highest_before) << "record " << i;
      highest = std::max(highest, records[i].layout);
    }
  }

  /// The store is whole on disk, for readers and writers that open it now.
  void ExpectStored(const std::string& content) const {
    const Reader reader = Reader::Open(path_);
    EXPECT_EQ(Show(reader), content);
    EXPECT_EQ(Show(Reader::Open(path_, {.safe_reads = true})), content);
    const VerifyReport report = Verify(path_);
    EXPECT_TRUE(report.ok());
    for (const Finding& finding : report.findings) ADD_FAILURE() << FindingText(finding);
    ExpectLayoutsRule();
  }

  /// Rows of one shape.
  static void ExtendRegular(StreamStore& store, std::size_t rows) {
    const auto [steps, numbers] = StepsFrom(store, rows);
    const Column column{.type = 0, .data = numbers.data()};
    store.Extend(steps, std::span(&column, 1));
  }

  /// The rows that Fill() appends, without flags.
  template <class Target>
  static void ExtendLists(Target& target, Step begin, Step end) {
    std::vector<Step> steps;
    List items;
    std::vector<std::int64_t> offsets{0};
    for (Step row = begin; row < end; ++row) {
      steps.push_back(row);
      const List list = ListOf(row);
      items.insert(items.end(), list.begin(), list.end());
      offsets.push_back(static_cast<std::int64_t>(items.size()));
    }
    const std::vector<Column> columns = {
        {.type = 0, .data = steps.data()},
        {.type = 1, .data = items.data(), .offsets = offsets.data()}};
    target.Extend(steps, columns);
  }

  static std::string Lists(Step end) {
    std::string text;
    for (Step row = 0; row < end; ++row) {
      const std::string whole = RowText(row);
      const std::size_t flag = whole.find(" 2:");
      text += (row == 0 ? "" : " ") + (flag == whole.npos ? whole : whole.substr(0, flag) + "}");
    }
    return text;
  }

  static std::pair<std::vector<Step>, List> StepsFrom(const StreamStore& store, std::size_t rows) {
    std::vector<Step> steps(rows);
    std::iota(steps.begin(), steps.end(), static_cast<Step>(store.reader().num_rows()));
    return {steps, List(steps.begin(), steps.end())};
  }

  static std::string Numbers(Step end) {
    std::string text;
    for (Step row = 0; row < end; ++row) text += StrCat(row == 0 ? "" : " ", row, "{0:", row, "}");
    return text;
  }
};

}  // namespace stream_store::internal
