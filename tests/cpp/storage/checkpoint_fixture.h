// Shared by the tests of Reader::UpdateCheckpoint(): a store in small chunks, the path of a checkpoint
// of it, and what such a checkpoint must be.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "stream_store/verify.h"

#include "format/control.h"
#include "format/record.h"
#include "storage/fixture.h"

namespace stream_store::internal {

namespace fs = std::filesystem;

class CheckpointUpdateTest : public StoreTest {
 protected:
  CheckpointUpdateTest() {
    options_.chunk_bytes = kMinChunkBytes;
    copy_ = Scratch("copy");
  }

  ~CheckpointUpdateTest() override { SmallestChunkBytes() = kMinChunkBytes; }

  // Appends rows of `width` + 1 values each, whose step is their number.
  static void Fill(StreamStore& store, Step begin, Step end, std::size_t width = 1023,
                   std::int64_t first = 0) {
    for (Step step = begin; step < end; ++step) {
      store.Append(step, {{0, first + step}, {1, List(width, step)}});
    }
  }

  static std::uint64_t BytesOf(std::uint64_t rows, std::size_t width = 1023) {
    return rows * ((width + 1) * sizeof(Value) + sizeof(Record));
  }

  // The retained rows, with all values.
  static std::string Content(const Reader& reader) {
    std::string text = StrCat(reader.num_rows(), " rows, ", reader.size(), " values from ",
                              reader.first_row(), ", ", reader.first_position(), ":");
    for (Row row = static_cast<Row>(reader.first_row()); row < static_cast<Row>(reader.num_rows());
         ++row) {
      const RowView view = reader.row(row);
      text += StrCat(" ", view.step(), "{");
      for (const auto& [type, values] : view) {
        text += StrCat(" ", type, ":");
        std::int64_t sum = 0;
        for (std::size_t i = 0; i < values.size(); ++i)
          sum = sum * 31 + values[i] % 1'000'003 + 1, sum %= 1'000'000'007;
        text += StrCat(values.size(), "/", sum);
      }
      text += "}";
    }
    return text;
  }

  static void ExpectWhole(const fs::path& path) {
    const VerifyReport report = Verify(path);
    std::string text;
    for (const Finding& finding : report.findings) text += FindingText(finding) + "\n";
    EXPECT_EQ(text, "");
    EXPECT_EQ(Reader::Open(path).recovery().state, Recovery::State::kClean);
  }

  // The copy equals the store, is whole, and has nothing left to copy.
  void ExpectUpToDate(const Reader& reader) const {
    const Reader copy = Reader::Open(copy_);
    EXPECT_EQ(Content(copy), Content(reader));
    EXPECT_EQ(copy.schema(), reader.schema());
    EXPECT_EQ(copy.field_writes(), reader.field_writes());
    EXPECT_EQ(copy.durable_rows(), reader.num_rows());
    EXPECT_NE(copy.id(), reader.id());
    ExpectWhole(copy_);
    EXPECT_EQ(reader.UpdateCheckpoint(copy_), 0U);
    ExpectWhole(copy_);
  }

  // An update of `path` fails with `code` and a text that contains `part`, and changes nothing.
  static void ExpectRefused(const Reader& reader, const fs::path& path, ErrorCode code,
                            const std::string& part) {
    const std::string before = Content(Reader::Open(path));
    const Error error = ErrorOf([&] { reader.UpdateCheckpoint(path); });
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    EXPECT_EQ(Content(Reader::Open(path)), before);
  }

  std::size_t Files(const fs::path& path, const std::string& kind) const {
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator(path))
      count += entry.path().filename().string().starts_with(kind + ".") ? 1U : 0U;
    return count;
  }

  fs::path copy_;
};

}  // namespace stream_store::internal
