// The walk over the unsynced tail with several threads ends as a walk from record to record does.
#include "storage/tail_walk.h"

#include <atomic>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include <pthread.h>

#include "format/checksum.h"
#include "storage/chunks_fixture.h"
#include "support/patience.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kOneRecord = sizeof(Record);
constexpr TailWalkOptions kAlone{.threads = 1};

// Everything that a walk finds.
std::string Text(const char* fault, const Cursor& at) {
  return StrCat(fault == nullptr ? "no fault" : fault, ": ", at.records, " records ", at.values,
                " values ", at.layout_words, " words ", at.rows, " rows ", at.field_writes,
                " writes, step ", at.step, " type ", at.last_type,
                at.follows_record ? "" : " first");
}

class TailWalkTest : public ChunksTest {
 protected:
  // A killed writer's 700 rows, some of two records. The tail has many layouts and many chunks.
  void MakeTail() {
    WriteAndDie([](StreamStore& store) { Fill(store, 700); });
    OpenFiles(/*writable=*/true);
    Cursor cursor;
    ASSERT_EQ(WalkTail(TailTo(published_), *verifier_, cursor, kAlone), nullptr);
    ASSERT_EQ(cursor.records, published_);
    values_end_ = cursor.values;
    words_end_ = cursor.layout_words;
  }

  // A writable store is read through its mapping, the others with pread().
  void OpenFiles(bool writable) {
    verifier_.reset();
    files_ = StoreFiles::Open(Directory::Open(path_), writable);
    files_->ReloadSchema();
    schema_ = files_->store_schema();
    verifier_.emplace(*files_, *schema_);
    published_ = files_->control.published().load();
    session_ =
        static_cast<std::uint16_t>(files_->control.NewestSlot(files_->identity().id).session);
  }

  UnsyncedTail TailTo(std::uint64_t limit) const { return {*files_, *schema_, session_, limit}; }

  std::string Walk(const TailWalkOptions& options, std::uint64_t limit, std::uint64_t from = 0) {
    Cursor cursor;
    RecordVerifier verifier(*files_, *schema_);
    try {
      if (const char* fault = WalkTail(TailTo(from), verifier, cursor, kAlone)) {
        return Text(fault, cursor);
      }
      const char* fault = WalkTail(TailTo(limit), verifier, cursor, options);
      return Text(fault, cursor);
    } catch (const Error& error) {
      return error.what();
    }
  }

  std::string Walk(const TailWalkOptions& options) { return Walk(options, published_); }

  const ChunkFiles& FilesOf(Kind kind) const { return files_->data(kind).files(); }

  template <class Word>
  Word Read(Kind kind, std::uint64_t number) const {
    Word word{};
    FilesOf(kind).ReadAt(std::as_writable_bytes(std::span(&word, 1)), number * sizeof(Word));
    return word;
  }

  template <class Word>
  void Write(Kind kind, std::uint64_t number, const Word& word) const {
    FilesOf(kind).WriteAt(std::as_bytes(std::span(&word, 1)), number * sizeof(Word));
  }

  void FlipBit(Kind kind, std::uint64_t word, std::uint64_t bit) const {
    Write(kind, word, Read<std::uint64_t>(kind, word) ^ std::uint64_t{1} << bit);
  }

  void Zero(Kind kind, std::uint64_t begin, std::uint64_t end) const {
    const std::vector<std::byte> zeros(end - begin);
    FilesOf(kind).WriteAt(zeros, begin);
  }

  // Replaces a record by one whose checksum is right.
  void Replace(std::uint64_t i, Record record) {
    const LayoutFacts layout = verifier_->Layout(record.layout);
    std::uint32_t state = BeginChecksum(files_->identity().checksum_seed, record.start, record.step,
                                        record.row_session, record.layout, layout.digest);
    if (record.start <= values_end_ && layout.total <= values_end_ - record.start) {
      const Value* values = verifier_->values(record.start, layout.total);
      state = ExtendChecksum(state, values, layout.total);
    }
    record.checksum = FinishChecksum(state);
    Write(Kind::kRecords, i, record);
  }

  std::uint64_t Draw(std::uint64_t end) {
    return std::uniform_int_distribution<std::uint64_t>(0, end - 1)(random_);
  }

  // Damages one place, or everything from there on.
  void Damage() {
    const std::uint64_t i = Draw(published_);
    Record record = Read<Record>(Kind::kRecords, i);
    switch (Draw(12)) {
      case 0:
        return FlipBit(Kind::kRecords, i * 4 + Draw(4), Draw(64));
      case 1:
        return FlipBit(Kind::kValues, Draw(values_end_), Draw(64));
      case 2:
        return FlipBit(Kind::kLayouts, Draw(words_end_), Draw(64));
      case 3:
        return Zero(Kind::kRecords, i * kOneRecord + 8 * Draw(4), published_ * kOneRecord);
      case 4:
        return Zero(Kind::kValues, Draw(values_end_) * 8, values_end_ * 8);
      case 5:
        return FlipBit(Kind::kRecords, i * 4, 63 - Draw(8));  // a start far outside of the files
      case 6:
        record.step -= static_cast<Step>(Draw(3));
        break;
      case 7:
        record.row_session += std::uint64_t{1} << 48;
        break;
      case 8:
        record.row_session += Draw(2) == 0 ? 1U : ~std::uint64_t{0};
        break;
      case 9:
        record.start += Draw(3);
        break;
      case 10:
        record.layout = Read<Record>(Kind::kRecords, Draw(published_)).layout;
        break;
      case 11:
        return MoveFarAway(i);
    }
    Replace(i, record);
  }

  // Two records that follow each other, with values that no file has.
  void MoveFarAway(std::uint64_t i) {
    Record record = Read<Record>(Kind::kRecords, i);
    Record next = Read<Record>(Kind::kRecords, i + 1);
    record.start = std::uint64_t{1} << 60;
    next.start = record.start + verifier_->Layout(record.layout).total;
    Write(Kind::kRecords, i, record);
    Write(Kind::kRecords, i + 1, next);
  }

  std::vector<std::byte> Content(Kind kind) const {
    const ChunkFiles& files = FilesOf(kind);
    std::vector<std::byte> bytes(files.end());
    files.ReadAt(bytes, 0);
    return bytes;
  }

  static constexpr std::array kDamaged = {Kind::kRecords, Kind::kValues, Kind::kLayouts};

  std::mt19937_64 random_{1};
  std::shared_ptr<StoreFiles> files_;
  std::shared_ptr<const StoreSchema> schema_;
  std::optional<RecordVerifier> verifier_;
  std::uint64_t published_ = 0;
  std::uint16_t session_ = 0;
  std::uint64_t values_end_ = 0;
  std::uint64_t words_end_ = 0;
};

const std::vector<TailWalkOptions> kSplits = {
    {.threads = 2, .serial_bytes = 0, .range_bytes = kOneRecord},
    {.threads = 3, .serial_bytes = 0, .range_bytes = 7 * kOneRecord},
    {.threads = 4, .serial_bytes = 5000, .range_bytes = 500},
    {.threads = 16, .serial_bytes = 0, .range_bytes = 4 * kSmallChunk},
};

TEST_F(TailWalkTest, FindsWhatAWalkFromRecordToRecordFinds) {
  MakeTail();
  std::array<std::vector<std::byte>, kDamaged.size()> good;
  std::ranges::transform(kDamaged, good.begin(), [&](Kind kind) { return Content(kind); });
  for (int trial = 0; trial < 300; ++trial) {
    SCOPED_TRACE(StrCat("trial ", trial));
    const std::uint64_t damages = trial == 0 ? 0 : 1 + Draw(4);
    for (std::uint64_t i = 0; i < damages; ++i) Damage();
    const std::uint64_t limit =
        Draw(4) != 0 ? published_ : verifier_->record_capacity();  // zeros after the last record
    const std::uint64_t from = Draw(2) * Draw(published_);
    for (const bool mapped : {true, false}) {
      OpenFiles(mapped);
      const std::string expected = Walk(kAlone, limit, from);
      for (const TailWalkOptions& split : kSplits) {
        ASSERT_EQ(Walk(split, limit, from), expected) << *split.threads << " threads, " << mapped;
      }
    }
    OpenFiles(/*writable=*/true);
    for (std::size_t i = 0; i < good.size(); ++i) FilesOf(kDamaged[i]).WriteAt(good[i], 0);
  }
}

TEST_F(TailWalkTest, StopsAtTheFirstRecordThatIsDamaged) {
  MakeTail();
  for (int trial = 0; trial < 100; ++trial) {
    const std::uint64_t first = Draw(published_);
    const Record good = Read<Record>(Kind::kRecords, first);
    std::set<std::uint64_t> damaged{first};
    for (std::uint64_t later = first; later < published_; later += 1 + Draw(60)) {
      damaged.insert(later);
    }
    const bool has_values = good.start < Read<Record>(Kind::kRecords, first + 1).start;
    const auto flip = [&, in_values = has_values && Draw(2) == 0] {
      for (const std::uint64_t i : damaged) {
        if (i == first && in_values) {
          FlipBit(Kind::kValues, good.start, 5);
        } else {
          FlipBit(Kind::kRecords, i * 4 + 3, 40);
        }
      }
    };
    flip();
    for (const TailWalkOptions& split : kSplits) {
      const std::string found = Walk(split);
      EXPECT_CONTAINS(found, StrCat(kWrongChecksum, ": ", first, " records ", good.start));
    }
    flip();
  }
}

// After a power cut, `published` may count fewer records than the last sync.
TEST_F(TailWalkTest, NothingIsWalkedIfTheLimitLiesBeforeTheBegin) {
  MakeTail();
  for (const std::uint64_t limit : {std::uint64_t{0}, published_ - 1, published_}) {
    for (const TailWalkOptions& split : kSplits) {
      EXPECT_EQ(Walk(split, limit, published_), Walk(kAlone, published_));
    }
    EXPECT_EQ(Walk({}, limit, published_), Walk(kAlone, published_));
  }
}

TEST_F(TailWalkTest, OnlyThreadsThatCanBeStartedAreUsed) {
  MakeTail();
  const std::string expected = Walk(kAlone);
  pthread_attr_t usual;
  ASSERT_EQ(::pthread_getattr_default_np(&usual), 0);
  pthread_attr_t impossible = usual;
  ASSERT_EQ(::pthread_attr_setstacksize(&impossible, std::size_t{1} << 46), 0);
  ASSERT_EQ(::pthread_setattr_default_np(&impossible), 0);
  EXPECT_THROW(std::thread([] {}), std::system_error);
  std::vector<std::string> found;
  for (const TailWalkOptions& split : kSplits) found.push_back(Walk(split));
  ASSERT_EQ(::pthread_setattr_default_np(&usual), 0);
  EXPECT_EQ(found, std::vector(kSplits.size(), expected));
}

// What the threads of a walk read, and how their reads fail.
struct Reads {
  std::mutex mutex;
  std::set<std::thread::id> threads;
  std::thread::id waits;         // this thread does not read before another one has
  std::uint64_t broken = ~0ULL;  // no byte of a file of values at this place or after it

  static Reads& Get() {
    static Reads instance;
    return instance;
  }
};

bool MayRead() {
  Reads& reads = Reads::Get();
  const std::lock_guard lock(reads.mutex);
  reads.threads.insert(std::this_thread::get_id());
  return reads.waits != std::this_thread::get_id() || reads.threads.size() > 1;
}

ssize_t ReadLogged(int fd, void* buffer, std::size_t count, off_t offset) {
  EXPECT_TRUE(Eventually(MayRead));
  if (static_cast<std::uint64_t>(offset) + count > Reads::Get().broken) {
    errno = EIO;
    return -1;
  }
  return RealSyscalls().pread(fd, buffer, count, offset);
}

class TailWalkReadsTest : public TailWalkTest {
 protected:
  TailWalkReadsTest() {
    options_.chunk_bytes = kMinChunkBytes;
    Reads& reads = Reads::Get();
    reads.threads.clear();
    reads.waits = {};
    reads.broken = ~0ULL;
  }

  // Rows of one value, 40 bytes each.
  void MakeRows(std::size_t rows) {
    WriteAndDie([rows](StreamStore& store) { ExtendRegular(store, rows); });
    OpenFiles(/*writable=*/false);
  }

  std::size_t ThreadsOf(const TailWalkOptions& options) {
    const SyscallFaults faults;
    sys().pread = ReadLogged;
    Reads::Get().threads.clear();
    EXPECT_CONTAINS(Walk(options), StrCat("no fault: ", published_, " records"));
    return Reads::Get().threads.size();
  }
};

TEST_F(TailWalkReadsTest, ShortTailsAreReadByTheCallerAlone) {
  MakeRows(100'000);
  ASSERT_LT(published_ * 40, TailWalkOptions{}.serial_bytes);
  for (const std::optional<unsigned> threads : {std::optional<unsigned>{}, {2U}, {4U}}) {
    EXPECT_EQ(ThreadsOf({.threads = threads}), 1U);
  }
}

TEST_F(TailWalkReadsTest, LongTailsAreReadByOtherThreadsToo) {
  MakeRows(120'000);
  Reads::Get().waits = std::this_thread::get_id();
  EXPECT_EQ(ThreadsOf({.threads = 2, .serial_bytes = 0, .range_bytes = 1 << 16}), 2U);
}

// A disk that cannot read the values from some place on.
TEST_F(TailWalkReadsTest, AnUnreadableRecordIsAnErrorUnlessADamagedOneComesFirst) {
  MakeRows(120'000);
  const SyscallFaults faults;
  constexpr std::uint64_t kBroken = 700'000;  // of the values; the chunks of records are read, too
  Reads::Get().broken = kBroken;
  sys().pread = [](int fd, void* buffer, std::size_t count, off_t offset) {
    std::array<char, 512> name{};
    const std::string link = StrCat("/proc/self/fd/", fd);
    const bool named = ::readlink(link.c_str(), name.data(), name.size() - 1) > 0;
    const bool values = named && std::string(name.data()).find("/values.") != std::string::npos;
    return values ? ReadLogged(fd, buffer, count, offset)
                  : RealSyscalls().pread(fd, buffer, count, offset);
  };
  const TailWalkOptions split{.threads = 4, .serial_bytes = 0, .range_bytes = 10'000};
  const std::string error = Walk(kAlone);
  EXPECT_CONTAINS(error, "values");
  EXPECT_EQ(Walk(split), error);
  for (const std::uint64_t damaged : {kBroken / 8 + 10'000, kBroken / 8 - 10'000}) {
    Record record = Read<Record>(Kind::kRecords, damaged);
    record.checksum ^= 1;
    Write(Kind::kRecords, damaged, record);
    OpenFiles(/*writable=*/false);
    EXPECT_EQ(Walk(split), Walk(kAlone));
    EXPECT_EQ(Walk(split) == error, damaged > kBroken / 8);
  }
}

// With the threads that opening starts by itself.
TEST_F(TailWalkReadsTest, OpeningAfterAKillRecoversAllRowsBeforeTheDamage) {
  MakeRows(300'000);
  EXPECT_EQ(Reader::Open(path_).num_rows(), 300'000U);
  for (const std::uint64_t damaged : {250'001U, 200'000U}) {
    FlipBit(Kind::kValues, damaged, 7);
  }
  EXPECT_EQ(Reader::Open(path_).num_rows(), 200'000U);
  StreamStore store = Open();
  EXPECT_EQ(store.reader().num_rows(), 200'000U);
  EXPECT_EQ(store.recovery().rows_cut, 100'000U);
}

}  // namespace
}  // namespace stream_store::internal
