// Tests of Verify(): an intact store has no findings, and damage is reported with its place without
// ending the walk.

#include "stream_store/verify.h"

#include <algorithm>
#include <fstream>

#include "format/record.h"
#include "storage/fixture.h"

namespace stream_store::internal {
namespace {

namespace fs = std::filesystem;
using Severity = Finding::Severity;

class VerifyTest : public StoreTest {
 protected:
  // Makes rows of a number and a list. Row 700 and later rows lie in other blocks of hints.
  static void Fill(StreamStore& store, Step first, Step last) {
    for (Step step = first; step < last; ++step) {
      store.Append(step, {{0, step}, {1, List(static_cast<std::size_t>(step % 5), step)}});
      if (step % 3 == 0) store.Append(step, {{2, true}});
    }
  }

  void MakeClosed(Step rows = 1000) const {
    StreamStore store = Open();
    Fill(store, 0, rows);
    store.Close();
  }

  // Makes a store of which half of the rows are synced, and whose writer died.
  void MakeDead() const {
    WriteAndDie([](StreamStore& store) {
      Fill(store, 0, 500);
      store.Sync();
      Fill(store, 500, 1000);
    });
  }

  Record RecordAt(std::uint64_t i) const {
    Record record{};
    Directory::Open(path_)
        .OpenFile(FileOf("records").c_str(), false)
        .ReadAt(std::as_writable_bytes(std::span(&record, 1)), i * sizeof(Record));
    return record;
  }

  // Opens the store for writing before the n-th read of a walk, as a race would.
  struct LateWriter {
    static inline const VerifyTest* test = nullptr;
    static inline std::optional<StreamStore> writer;
    static inline int reads_before = -1;

    static ssize_t Read(int fd, void* buffer, std::size_t count, off_t offset) {
      if (reads_before >= 0 && reads_before-- == 0) {
        writer.emplace(test->Open());
        Fill(*writer, 1000, 1300);
      }
      return RealSyscalls().pread(fd, buffer, count, offset);
    }
  };

  // Runs `work` on a closed store that a writer opens before its n-th read, for every n.
  template <class Work>
  void WithALateWriter(Work&& work) {
    int reads = 0;
    for (; LateWriter::reads_before < 0; ++reads) {  // until there are fewer than n reads
      LateWriter::writer.reset();
      fs::remove_all(path_);
      MakeClosed();
      LateWriter::test = this;
      LateWriter::reads_before = reads;
      const SyscallFaults back;  // restores pread()
      sys().pread = LateWriter::Read;
      SCOPED_TRACE(reads);
      work();
    }
    LateWriter::reads_before = -1;
    EXPECT_GT(reads, 5);
  }

  template <class Report>
  static std::string Texts(const Report& report) {
    std::string text;
    for (const Finding& finding : report.findings) text += FindingText(finding) + "\n";
    return text;
  }
};

TEST_F(VerifyTest, AnIntactStoreHasNoFindings) {
  MakeClosed();
  const VerifyReport closed = Verify(path_);
  EXPECT_EQ(Texts(closed), "");
  EXPECT_EQ(closed.rows, 1000U);
  EXPECT_EQ(closed.good_rows, 1000U);
  EXPECT_EQ(closed.good_records, closed.records);
  EXPECT_EQ(closed.values, Reader::Open(path_).size());
  EXPECT_FALSE(closed.live);
  EXPECT_GT(closed.bytes, closed.values * 8);
}

TEST_F(VerifyTest, AStoreThatAWriterHasOpenHasNoFindings) {
  StreamStore store = Open();
  EXPECT_EQ(Texts(Verify(path_)), "");
  for (const Step rows : {1, 300, 1000}) {
    Fill(store, static_cast<Step>(store.reader().num_rows()), rows);
    if (rows == 300) store.Sync();
    for (const VerifyReport& report : {Verify(path_), Verify(store.reader())}) {
      EXPECT_EQ(Texts(report), "");
      EXPECT_TRUE(report.live);
      EXPECT_EQ(report.good_rows, static_cast<std::uint64_t>(rows));
    }
  }
  const auto look = [this] { EXPECT_EQ(Texts(Verify(path_)), ""); };
  EXPECT_EQ(InChild(look), 0);
}

TEST_F(VerifyTest, ATemporaryStoreHasNoFindings) {
  StreamStore store = StreamStore::Temporary(options_);
  Fill(store, 0, 600);
  const VerifyReport report = Verify(store.reader());
  EXPECT_EQ(Texts(report), "");
  EXPECT_EQ(report.good_rows, 600U);
}

TEST_F(VerifyTest, AStoreWhoseWriterDiedHasNoFindings) {
  MakeDead();
  const VerifyReport report = Verify(path_);
  EXPECT_EQ(Texts(report), "");
  EXPECT_EQ(report.rows, 1000U);
  EXPECT_FALSE(report.live);
}

TEST_F(VerifyTest, DamageToTheLastRecordIsFound) {
  MakeClosed();
  const std::uint64_t last = Reader::Open(path_).records() - 1;
  for (const std::uint64_t record : {last - 1, last}) {
    Flip("records", record * sizeof(Record) + offsetof(Record, checksum));
    const VerifyReport report = Verify(path_);
    EXPECT_EQ(report.damages, 1U) << Texts(report);
    EXPECT_EQ(report.good_records, record);
    Flip("records", record * sizeof(Record) + offsetof(Record, checksum));
  }
  EXPECT_EQ(Texts(Verify(path_)), "");
}

TEST_F(VerifyTest, DamagedValuesAreReportedByRecordAndTheWalkContinues) {
  MakeClosed();
  for (const std::uint64_t record : {7U, 500U}) Flip("values", RecordAt(record).start * 8 + 3, 5);
  const VerifyReport report = Verify(path_);
  EXPECT_EQ(report.damages, 2U) << Texts(report);
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(report.good_records, 7U);
  EXPECT_EQ(report.rows, 1000U);
  const Finding& finding = report.findings.front();
  EXPECT_EQ(finding.file, FileOf("records"));
  EXPECT_EQ(finding.offset, 7U * 32 + 28);
  EXPECT_EQ(finding.subject, "record 7");
  EXPECT_CONTAINS(finding.expected, "checksum 0x");
  EXPECT_EQ(report.findings[1].subject, "record 500");
}

TEST_F(VerifyTest, EachPartOfARecordIsChecked) {
  MakeClosed();
  fs::copy(path_, Scratch("good"), fs::copy_options::recursive);
  for (std::uint64_t byte = 0; byte < 32; ++byte) {
    SCOPED_TRACE(byte);
    Flip("records", 33 * 32 + byte, static_cast<int>(byte % 8));
    const VerifyReport report = Verify(path_);
    EXPECT_GE(report.damages, 1U);
    EXPECT_LE(report.damages, 2U) << Texts(report);
    EXPECT_EQ(report.good_records, 33U);
    Flip("records", 33 * 32 + byte, static_cast<int>(byte % 8));
  }
  EXPECT_EQ(Texts(Verify(path_)), "");
}

TEST_F(VerifyTest, ShortFilesAreDamage) {
  MakeClosed();
  fs::copy(path_, Scratch("good"), fs::copy_options::recursive);
  for (const char* name : {"values", "records", "layouts", "schema", "control"}) {
    SCOPED_TRACE(name);
    fs::resize_file(path_ / FileOf(name), SizeOf(name) / 2);
    const VerifyReport report = Verify(path_);
    EXPECT_GE(report.damages, 1U);
    if (name != std::string("control")) {  // its first half has the identity and the live words
      EXPECT_LT(report.good_rows, 1000U);
    }
    EXPECT_CONTAINS(Texts(report), name);
    fs::copy_file(Scratch("good") / FileOf(name), path_ / FileOf(name),
                  fs::copy_options::overwrite_existing);
  }
}

TEST_F(VerifyTest, ProblemsThatOpeningRepairsAreNotices) {
  MakeClosed();
  Flip("control", kSlotOffset[0] + 40);  // a torn slot
  Flip("position_hints", 8);
  Flip("records", 32 * 4 * 1000, 0);  // beyond the end, so no finding
  const VerifyReport report = Verify(path_);
  EXPECT_TRUE(report.ok()) << Texts(report);
  EXPECT_GE(report.notices, 2U);
  EXPECT_CONTAINS(Texts(report), "slot 0");
  EXPECT_CONTAINS(Texts(report), "hint of position 256");
}

TEST_F(VerifyTest, ASlotInThePlaceOfTheOtherOneIsANotice) {
  MakeClosed();
  Slot slot = *Slots()[0];
  slot.sequence += 1;
  Directory::Open(path_).OpenFile("control", true).WriteAt(EncodeSlot(slot), kSlotOffset[0]);
  const VerifyReport report = Verify(path_);
  EXPECT_TRUE(report.ok()) << Texts(report);
  EXPECT_CONTAINS(Texts(report), "slot 0: expected a sequence number of this place");
}

TEST_F(VerifyTest, BytesThatMustBeZeroAreChecked) {
  MakeClosed();
  for (const auto& [byte, place] : {std::pair{kIdentityBytes + 5, "after the identity"},
                                    {kLiveOffset + 20, "beside `published`"},
                                    {kSlotOffset[1] + kSlotBytes + 9, "after slot 1"}}) {
    Flip("control", byte, 0);
    const VerifyReport report = Verify(path_);
    EXPECT_TRUE(report.ok()) << Texts(report);
    EXPECT_CONTAINS(Texts(report), StrCat(place, ": expected zeros but found 0x"));
    Flip("control", byte, 0);
  }
  EXPECT_EQ(Texts(Verify(path_)), "");
}

TEST_F(VerifyTest, AppendsThatWereNeverSyncedMayEndEarly) {
  MakeDead();
  const std::uint64_t records = Reader::Open(path_).records();
  Flip("values", RecordAt(records - 3).start * 8);
  const VerifyReport report = Verify(path_);
  EXPECT_TRUE(report.ok()) << Texts(report);
  EXPECT_EQ(report.notices, 1U);
  EXPECT_EQ(report.good_records, records - 3);
  EXPECT_EQ(Reader::Open(path_).records(), records - 3) << "and opening ends there";
}

TEST_F(VerifyTest, MissingFilesAndOthersInTheirPlaceAreDamage) {
  MakeClosed(20);
  fs::copy(path_, Scratch("good"), fs::copy_options::recursive);
  for (const char* name : {"values", "records", "layouts", "position_hints", "row_hints", "schema",
                           "control", "lock"}) {
    for (const bool directory : {false, true}) {
      SCOPED_TRACE(name);
      fs::remove_all(path_ / FileOf(name));
      if (directory) fs::create_directory(path_ / FileOf(name));
      const VerifyReport report = Verify(path_);
      EXPECT_GE(report.damages, 1U);
      EXPECT_EQ(report.findings.front().file, FileOf(name));
      fs::remove_all(path_ / FileOf(name));
      fs::copy_file(Scratch("good") / FileOf(name), path_ / FileOf(name));
    }
  }
  EXPECT_EQ(ErrorOf([&] { Verify(Scratch("nothing")); }).code(), ErrorCode::kNotFound);
  fs::create_directory(Scratch("empty"));
  EXPECT_EQ(ErrorOf([&] { Verify(Scratch("empty")); }).code(), ErrorCode::kNotFound);
}

// A bad sector: reading it fails, and the walk continues after it.
std::uint64_t bad_byte = 0;

TEST_F(VerifyTest, UnreadableBlocksAreFindings) {
  MakeClosed();
  bad_byte = RecordAt(100).start * 8;
  const Faults faults;
  sys().pread = [](int fd, void* buffer, std::size_t count, off_t at) -> ssize_t {
    std::array<char, 512> target{};
    const std::string link = StrCat("/proc/self/fd/", fd);
    const auto from = static_cast<std::uint64_t>(at);
    if (::readlink(link.c_str(), target.data(), target.size() - 1) > 0 &&
        std::string(target.data()).ends_with(FileOf("values")) && from <= bad_byte &&
        bad_byte < from + count) {
      errno = EIO;
      return -1;
    }
    return RealSyscalls().pread(fd, buffer, count, at);
  };
  const VerifyReport report = Verify(path_);
  EXPECT_EQ(report.damages, 1U) << Texts(report);
  EXPECT_CONTAINS(report.findings.front().found, "Input/output error");
  EXPECT_EQ(report.good_records, 100U);
  EXPECT_EQ(report.rows, 1000U);
}

TEST_F(VerifyTest, ListsUpToTheLimitAndCountsAll) {
  MakeClosed();
  for (std::uint64_t i = 0; i < 50; ++i) Flip("records", i * 32 + 28);
  const VerifyReport report = Verify(path_, {.max_findings = 10});
  EXPECT_EQ(report.findings.size(), 10U);
  EXPECT_EQ(report.damages, 50U);
}

TEST_F(VerifyTest, ReportsProgressAndStopsOnRequest) {
  StreamStore store = Open();
  for (Step step = 0; step < 50; ++step) store.Append(step, {{1, List(100'000, step)}});
  std::uint64_t last = 0;
  const Progress tell = [&](std::uint64_t done, std::uint64_t total) {
    EXPECT_GE(done, last);
    EXPECT_LE(done, total);
    last = done;
  };
  Verify(path_, {.progress = tell});
  EXPECT_GT(last, 30'000'000U);
  const Progress stop = [](std::uint64_t, std::uint64_t) {
    throw Error(ErrorCode::kState, "enough");
  };
  EXPECT_EQ(ErrorOf([&] { Verify(path_, {.progress = stop}); }).code(), ErrorCode::kState);
}

TEST_F(VerifyTest, AWriterThatOpensDuringTheWalkCausesNoFindings) {
  WithALateWriter([this] { EXPECT_EQ(Texts(Verify(path_)), ""); });
}

TEST_F(VerifyTest, RepairIsNotMisledByAWriterThatOpensMeanwhile) {
  WithALateWriter([this] {
    fs::remove_all(Scratch("new"));
    const RepairReport report = Repair(path_, Scratch("new"));
    EXPECT_EQ(Texts(report), "");
    EXPECT_GE(report.rows, 1000U);
    EXPECT_EQ(report.rows_lost, 0U);
  });
}

}  // namespace
}  // namespace stream_store::internal
