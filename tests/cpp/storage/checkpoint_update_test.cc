// Tests of Reader::UpdateCheckpoint(): what is copied and returned, and the checkpoints that are
// refused.

#include <atomic>
#include <thread>

#include "storage/checkpoint_fixture.h"

namespace stream_store::internal {
namespace {

TEST_F(CheckpointUpdateTest, OnlyNewBytesAreCopiedAcrossTheBordersOfChunks) {
  StreamStore store = Open();
  Fill(store, 0, 50);
  EXPECT_EQ(store.reader().UpdateCheckpoint(copy_), BytesOf(50) + 3 * 8);  // with a layout
  ExpectUpToDate(store.reader());
  for (Step step = 50; step < 900; step += 85) {
    Fill(store, step, step + 85);
    EXPECT_EQ(store.reader().UpdateCheckpoint(copy_), BytesOf(85)) << step;
    ExpectUpToDate(store.reader());
  }
  EXPECT_EQ(Files(copy_, "values"), 8U);  // 900 rows
  store.Append(2000, {{2, true}});  // a new layout, and a row that is continued after the update
  EXPECT_EQ(store.reader().UpdateCheckpoint(copy_), 8U + 32 + 16);
  store.Append(2001, {{0, 1}});
  store.reader().UpdateCheckpoint(copy_);
  store.Append(2001, {{2, false}});
  EXPECT_GT(store.reader().UpdateCheckpoint(copy_), 0U);
  ExpectUpToDate(store.reader());
  StreamStore written = StreamStore::Open(copy_, options_);  // it is a store like any other
  Fill(written, 3000, 3010);
  Fill(store, 3000, 3010);
  EXPECT_EQ(Content(written.reader()), Content(store.reader()));
}

TEST_F(CheckpointUpdateTest, ManyRecordsAndHints) {
  StreamStore store = Open();
  Step step = 0;
  for (int turn = 0; turn < 6; ++turn) {
    for (const Step end = step + 9000; step < end; ++step) {
      store.Append(step, {{0, step}, {1, List(static_cast<std::size_t>(step % 3), step)}});
      if (step % 5 == 0) store.Append(step, {{2, true}});
    }
    store.reader().UpdateCheckpoint(copy_);
    if (turn == 3) store.DropBefore(step - 500);
  }
  ExpectUpToDate(store.reader());
  const Reader copy = Reader::Open(copy_);
  for (Row row = static_cast<Row>(copy.first_row()); row < static_cast<Row>(copy.num_rows());
       row += 97)
    ASSERT_EQ(copy.row(row).step(), row);
}

TEST_F(CheckpointUpdateTest, WhatTheStoreDroppedIsDropped) {
  StreamStore store = Open();
  Fill(store, 0, 700);
  store.reader().Checkpoint(copy_);
  Reader reader = Reader::Open(copy_);
  const Reader before = reader;
  store.DropBefore(300);
  Fill(store, 700, 800);
  EXPECT_EQ(store.reader().UpdateCheckpoint(copy_), BytesOf(100));
  ExpectUpToDate(store.reader());
  EXPECT_EQ(Reader::Open(copy_).first_row(), 300U);
  EXPECT_EQ(Files(copy_, "values"), 5U);  // rows 300 to 800, of 128 in a chunk
  EXPECT_EQ(before.row(5).step(), 5);     // a snapshot keeps what it had
  reader.Refresh();
  EXPECT_EQ(Content(reader), Content(store.reader()));
  store.DropBefore(650);  // nothing but a drop
  EXPECT_EQ(store.reader().UpdateCheckpoint(copy_), 0U);
  ExpectUpToDate(store.reader());
}

TEST_F(CheckpointUpdateTest, EverythingIsNewIfAllOfTheCheckpointWasDropped) {
  for (const Step last : {Step{100}, Step{128}, Step{1000}}) {
    fs::remove_all(path_);
    fs::remove_all(copy_);
    StreamStore store = Open();
    Fill(store, 0, 100);
    store.reader().Checkpoint(copy_);
    Reader reader = Reader::Open(copy_);
    Fill(store, 100, last + 50);
    store.DropBefore(last);
    EXPECT_GE(store.reader().UpdateCheckpoint(copy_), BytesOf(50));
    ExpectUpToDate(store.reader());
    EXPECT_EQ(Files(copy_, "values"), 2U);
    EXPECT_EQ(ErrorOf([&] { reader.Refresh(); }).code(), ErrorCode::kCutBack);
    Fill(store, last + 50, last + 60);
    EXPECT_EQ(store.reader().UpdateCheckpoint(copy_), BytesOf(10));
    ExpectUpToDate(store.reader());
  }
}

// A power cut took rows from the store that its checkpoint has. The rows that came after it were dropped
// up to a place beyond these. An update that failed had then written over the rows of the checkpoint.
TEST_F(CheckpointUpdateTest, NothingIsWrittenOverRowsThatTheStoreLost) {
  const fs::path before = Scratch("before");
  StreamStore store = Open();
  Fill(store, 0, 50, 3);
  store.Close();
  fs::copy(path_, before, fs::copy_options::recursive);
  store = Open();
  Fill(store, 50, 100, 7);
  store.reader().Checkpoint(copy_);
  store.Close();
  for (const std::size_t width : {1U, 9U}) {  // other values, or other layouts, in the same places
    fs::remove_all(path_);
    fs::copy(before, path_, fs::copy_options::recursive);
    store = Open();
    Fill(store, 50, 150, width);
    store.DropBefore(120);
    ExpectRefused(store.reader(), copy_, ErrorCode::kInvalidArgument, "none is equal");
    ExpectWhole(copy_);
    store.Close();
  }
}

// The first byte of a kind is then the first of a chunk, while the store still counts on the one
// before.
TEST_F(CheckpointUpdateTest, ACheckpointMayBeginWithAChunk) {
  StreamStore store = Open();
  Fill(store, 0, 300);
  store.DropBefore(128);
  ASSERT_EQ(store.reader().first_position() * 8, kMinChunkBytes);
  store.reader().Checkpoint(copy_);
  ExpectUpToDate(store.reader());
}

TEST_F(CheckpointUpdateTest, ACheckpointWithOtherRowsIsRefused) {
  StreamStore store = Open();
  Fill(store, 0, 300);
  const Reader all = store.reader();
  all.Checkpoint(copy_);
  ExpectRefused(all.Snapshot(200), copy_, ErrorCode::kInvalidArgument,
                "only the rows before row 200 are equal");
  store.Truncate(150);
  ExpectRefused(store.reader(), copy_, ErrorCode::kInvalidArgument, "truncate(150)");
  Fill(store, 150, 400);
  ExpectRefused(store.reader(), copy_, ErrorCode::kInvalidArgument, "truncate(150)");
  StreamStore::Open(copy_, options_).Truncate(150);
  EXPECT_EQ(store.reader().UpdateCheckpoint(copy_),
            BytesOf(250) + 3 * 8);  // a layout of its session
  ExpectUpToDate(store.reader());
  {
    StreamStore other = StreamStore::Open(copy_, options_);
    Fill(other, 400, 402);  // rows of its own
  }
  Fill(store, 400, 500);
  ExpectRefused(store.reader(), copy_, ErrorCode::kInvalidArgument, "truncate(400)");
  StreamStore::Open(copy_, options_).Truncate(400);
  store.reader().UpdateCheckpoint(copy_);
  ExpectUpToDate(store.reader());
  store.DropBefore(450);
  store.reader().UpdateCheckpoint(copy_);
  store.Truncate(451);
  ExpectRefused(store.reader(), copy_, ErrorCode::kInvalidArgument, "truncate(451)");
}

TEST_F(CheckpointUpdateTest, FieldsThatWereAddedAreCopied) {
  StreamStore store = Open();
  Fill(store, 0, 10);
  store.reader().Checkpoint(copy_);
  Reader reader = Reader::Open(copy_);
  store.AddFields({Field{.name = "more"}});
  store.reader().UpdateCheckpoint(copy_);  // without a new record
  ExpectUpToDate(store.reader());
  Fill(store, 10, 20);
  store.AddFields({Field{.name = "most"}});
  store.Append(20, {{0, 1}, {3, 2}, {4, 5}});
  EXPECT_GT(store.reader().UpdateCheckpoint(copy_), BytesOf(10));
  ExpectUpToDate(store.reader());
  EXPECT_EQ(Reader::Open(copy_).schema().since(4), 20U);
  reader.Refresh();
  EXPECT_EQ(Content(reader), Content(store.reader()));
  EXPECT_EQ(reader.schema(), store.reader().schema());
}

TEST_F(CheckpointUpdateTest, AnEmptyStoreAndATemporaryOneAreUpdatedToo) {
  options_.fields = {Field{.name = "number"}, Field{.name = "list", .shape = {kRagged}}};
  StreamStore store = StreamStore::Temporary(options_);
  store.reader().Checkpoint(copy_);
  EXPECT_EQ(store.reader().UpdateCheckpoint(copy_), 0U);
  store.AddFields({Field{.name = "flag", .dtype = DType::kBool}});
  Fill(store, 0, 200);
  EXPECT_GT(store.reader().UpdateCheckpoint(copy_), BytesOf(200));
  ExpectUpToDate(store.reader());
}

TEST_F(CheckpointUpdateTest, AppendsAndDropsContinueDuringAnUpdate) {
  options_.capacity_values = 100'000;
  options_.grow_ahead = true;
  StreamStore store = Open();
  Fill(store, 0, 10, 100);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (Step step = 10; !stop && step < 3'000'000; ++step) {
      Fill(store, step, step + 1, 100);
      if (step % 3000 == 0) store.DropBefore(step - 2000);
    }
  });
  std::string last;
  for (int i = 0; i < 25; ++i) {
    const Reader reader = Reader::Open(path_);
    reader.UpdateCheckpoint(copy_);
    ExpectWhole(copy_);
    EXPECT_EQ(Content(Reader::Open(copy_)), Content(reader));
  }
  stop = true;
  writer.join();
  store.reader().UpdateCheckpoint(copy_);
  ExpectUpToDate(store.reader());
}

TEST_F(CheckpointUpdateTest, ReadersOfTheCheckpointFollow) {
  StreamStore store = Open();
  Fill(store, 0, 100);
  store.reader().Checkpoint(copy_);
  Reader reader = Reader::Open(copy_);
  const Reader snapshot = reader.Snapshot(100);
  for (Step step = 100; step < 500; step += 100) {
    Fill(store, step, step + 100);
    store.reader().UpdateCheckpoint(copy_);
    reader.Refresh();
    EXPECT_EQ(Content(reader), Content(store.reader()));
    EXPECT_FALSE(reader.live());
  }
  EXPECT_EQ(snapshot.num_rows(), 100U);
  EXPECT_EQ(snapshot.row(99).step(), 99);
}

TEST_F(CheckpointUpdateTest, AnOpenCheckpointIsLocked) {
  StreamStore store = Open();
  Fill(store, 0, 10);
  store.reader().Checkpoint(copy_);
  Fill(store, 10, 20);
  StreamStore other = StreamStore::Open(copy_, options_);
  ExpectRefused(store.reader(), copy_, ErrorCode::kLocked, "open for writing");
  other.Close();
  EXPECT_EQ(store.reader().UpdateCheckpoint(copy_), BytesOf(10));
  ExpectUpToDate(store.reader());
}

TEST_F(CheckpointUpdateTest, AnythingElseThanACheckpointOfThisStoreIsRefused) {
  StreamStore store = Open();
  Fill(store, 0, 10);
  const Reader reader = store.reader();
  const ErrorCode there = ErrorCode::kAlreadyExists;
  ExpectRefused(reader, path_, there, "the store itself");
  {
    StreamStore other = StreamStore::Open(Scratch("other"), options_);
    Fill(other, 0, 10);
    other.reader().Checkpoint(Scratch("copy of other"));
  }
  ExpectRefused(reader, Scratch("other"), there, "a store that is no copy");
  ExpectRefused(reader, Scratch("copy of other"), there, "a copy of the store");
  reader.Checkpoint(copy_);
  Reader::Open(copy_).Checkpoint(Scratch("copy of copy"));
  ExpectRefused(reader, Scratch("copy of copy"), there, "a copy of the store");
  ExpectRefused(Reader::Open(copy_), path_, there, "a store that is no copy");
  fs::create_directories(Scratch("full") / "x");
  EXPECT_EQ(ErrorOf([&] { reader.UpdateCheckpoint(Scratch("full")); }).code(), there);
  EXPECT_EQ(ErrorOf([&] { reader.UpdateCheckpoint(path_ / "in"); }).code(),
            ErrorCode::kInvalidArgument);
}

TEST_F(CheckpointUpdateTest, DamageIsNotCopied) {
  StreamStore store = Open();
  Fill(store, 0, 100);
  store.reader().Checkpoint(copy_);
  Fill(store, 100, 300);
  store.Sync();
  const auto flip = [&](const fs::path& path, const char* kind, std::uint64_t at) {
    const File file = Directory::Open(path).OpenFile(FileOf(kind, at / kMinChunkBytes).c_str(),
                                                     /*writable=*/true);
    std::byte byte{};
    file.ReadAt(std::span(&byte, 1), at % kMinChunkBytes);
    byte ^= std::byte{1};
    file.WriteAt(std::span(&byte, 1), at % kMinChunkBytes);
  };
  const std::uint64_t value = 250 * 1024 * 8 + 16;
  flip(path_, "values", value);
  ExpectRefused(store.reader(), copy_, ErrorCode::kCorrupt, "record 250 of 300");
  EXPECT_EQ(Files(copy_, "values"), 1U);  // the space was given back
  flip(path_, "values", value);
  flip(path_, "records", 200 * sizeof(Record));
  ExpectRefused(store.reader(), copy_, ErrorCode::kCorrupt, "record 200 of 300");
  flip(path_, "records", 200 * sizeof(Record));
  ExpectWhole(copy_);
  flip(copy_, "values", 95 * 1024 * 8);
  ExpectRefused(store.reader(), copy_, ErrorCode::kCorrupt, "although their records are equal");
}

}  // namespace
}  // namespace stream_store::internal
