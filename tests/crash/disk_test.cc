// Tests of the simulated disk itself, with plain files: which names, sizes and bytes a power
// failure may leave, and which it must.

#include "crash/disk.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/mman.h>

#include "base/chunk_range.h"
#include "base/directory.h"
#include "base/file.h"
#include "base/mapping.h"
#include "crash/place.h"
#include "crash/random.h"

namespace stream_store::crash {
namespace {

using internal::ChunkRange;
using internal::Directory;
using internal::File;
using internal::Mapping;
using internal::RealSyscalls;
using internal::sys;

constexpr std::uint64_t kPage = SimulatedFile::kPage;
// The model knows 16 KiB of these files.
constexpr const char* kFirst = "layouts.000000000000";
constexpr const char* kSecond = "layouts.000000000001";

using Texts = std::set<std::string>;

// One disk with its directory.
class Machine {
 public:
  explicit Machine(std::uint64_t seed) : random_(seed) {}

  SimulatedDisk& disk() { return disk_; }

  const Directory& directory() const { return directory_; }

  // Creates a file that is full of a letter, and has it on disk.
  File Durable(const char* name, char letter, std::uint64_t bytes = kPage) {
    File file = directory_.CreateFile(name);
    Fill(file, letter, bytes);
    file.SyncData();
    directory_.Sync();
    return file;
  }

  static void Fill(const File& file, char letter, std::uint64_t bytes = kPage) {
    const std::string text(bytes, letter);
    file.WriteAt(std::as_bytes(std::span(text)), 0);
  }

  void CutPower() {
    disk_.Die();
    disk_.CutPower();
  }

  // The first letter of each page of a file, a dot for zero; "none" if there is no such file.
  std::string Pages(const char* name) const {
    if (!directory_.Contains(name)) return "none";
    const File file = directory_.OpenFile(name, /*writable=*/false);
    std::vector<std::byte> bytes(file.Size());
    file.ReadAt(bytes, 0);
    std::string text;
    for (std::uint64_t at = 0; at < bytes.size(); at += kPage) {
      text += bytes[at] == std::byte{0} ? '.' : static_cast<char>(bytes[at]);
    }
    return text;
  }

 private:
  FastDirectory place_;
  Random random_;
  SimulatedDisk disk_{random_, 512, /*wide=*/false};
  Directory directory_ = Directory::Open(place_.path());
};

// What `inspect` returns after `prepare` and a power failure, on many machines.
Texts AfterPowerCuts(const std::function<void(Machine&)>& prepare,
                     const std::function<std::string(Machine&)>& inspect) {
  Texts texts;
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    Machine machine(seed);
    prepare(machine);
    machine.CutPower();
    texts.insert(inspect(machine));
  }
  return texts;
}

std::string First(Machine& machine) { return machine.Pages(kFirst); }

std::string Both(Machine& machine) { return machine.Pages(kFirst) + " " + machine.Pages(kSecond); }

// Chunks of one page, of which the first two are mapped.
std::shared_ptr<ChunkRange> MapTwo(const File& first, const File& second) {
  auto range = ChunkRange::Reserve(
      {.chunk_bytes = kPage, .first_chunk = 0, .wanted_bytes = 8 * kPage}, "layouts");
  range->Map(first, 0, /*writable=*/true);
  range->Map(second, 1, /*writable=*/true);
  return range;
}

TEST(DiskTest, FileSurvivesOnlyWithItsName) {
  const auto create = [](Machine& machine) {
    const File file = machine.directory().CreateFile(kFirst);
    Machine::Fill(file, 'a');
    file.Sync();
  };
  EXPECT_EQ(AfterPowerCuts(create, First), (Texts{"none", "a"}));
  const auto sync_both = [&](Machine& machine) {
    create(machine);
    machine.directory().Sync();
  };
  EXPECT_EQ(AfterPowerCuts(sync_both, First), Texts{"a"});
}

TEST(DiskTest, NameMaySurviveWithoutItsContent) {
  const auto create = [](Machine& machine) {
    Machine::Fill(machine.directory().CreateFile(kFirst), 'a');
    machine.directory().Sync();
  };
  EXPECT_EQ(AfterPowerCuts(create, First), (Texts{"", ".", "a"}));
}

TEST(DiskTest, EachNameSurvivesOnItsOwn) {
  const auto create = [](Machine& machine) {
    for (const char* name : {kFirst, kSecond}) {
      const File file = machine.directory().CreateFile(name);
      Machine::Fill(file, 'a');
      file.Sync();
    }
  };
  EXPECT_EQ(AfterPowerCuts(create, Both), (Texts{"none none", "a none", "none a", "a a"}));
}

TEST(DiskTest, DeletedFileMayBeThereAgain) {
  const auto unlink = [](Machine& machine) {
    machine.Durable(kFirst, 'a');
    machine.directory().Unlink(kFirst);
  };
  EXPECT_EQ(AfterPowerCuts(unlink, First), (Texts{"none", "a"}));
  const auto sync = [&](Machine& machine) {
    unlink(machine);
    machine.directory().Sync();
  };
  EXPECT_EQ(AfterPowerCuts(sync, First), Texts{"none"});
}

TEST(DiskTest, ChangesOfOneNameHappenInOrder) {
  const auto replace = [](Machine& machine) {
    machine.Durable(kFirst, 'a');
    machine.directory().Unlink(kFirst);
    const File file = machine.directory().CreateFile(kFirst);
    Machine::Fill(file, 'b', 2 * kPage);
    file.Sync();
  };
  EXPECT_EQ(AfterPowerCuts(replace, First), (Texts{"a", "none", "bb"}));
}

TEST(DiskTest, RenameHappensAsAWhole) {
  const auto rename = [](Machine& machine) {
    machine.Durable("schema", 'a');
    machine.Durable("schema.tmp", 'b');
    machine.directory().RenameFile("schema.tmp", "schema");
  };
  const auto names = [](Machine& machine) {
    return machine.Pages("schema") + " " + machine.Pages("schema.tmp");
  };
  EXPECT_EQ(AfterPowerCuts(rename, names), (Texts{"a b", "b none"}));
}

TEST(DiskTest, WriteBackMakesNamesDurable) {
  const auto create = [](Machine& machine) {
    const File file = machine.directory().CreateFile(kFirst);
    Machine::Fill(file, 'a');
    file.Sync();
    for (int i = 0; i < 40; ++i) machine.disk().WriteBack();
  };
  EXPECT_EQ(AfterPowerCuts(create, First), Texts{"a"});
}

TEST(DiskTest, FileWorksAfterItWasRestored) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Machine machine(seed);
    machine.Durable(kFirst, 'a');
    machine.directory().Unlink(kFirst);
    machine.CutPower();
    if (!machine.directory().Contains(kFirst)) continue;
    const File file = machine.directory().OpenFile(kFirst, /*writable=*/true);
    Machine::Fill(file, 'b', 3 * kPage);
    file.SyncData();
    machine.CutPower();
    EXPECT_EQ(machine.Pages(kFirst), "bbb");
  }
}

TEST(DiskTest, SyncOfAMappingCoversItsPagesOnly) {
  const auto store = [](Machine& machine) {
    const File file = machine.Durable(kFirst, 'a', 3 * kPage);
    const Mapping mapping(file, 3 * kPage, kPage, /*writable=*/true);
    for (std::uint64_t page = 0; page < 3; ++page) mapping.data()[page * kPage] = std::byte{'b'};
    mapping.Sync({.begin = kPage + 5, .bytes = 1}, kFirst);
  };
  EXPECT_EQ(AfterPowerCuts(store, First), (Texts{"aba", "abb", "bba", "bbb"}));
}

TEST(DiskTest, SyncOfAMappingMakesTheSizeDurable) {
  const auto grow = [](Machine& machine) {
    const File file = machine.Durable(kFirst, 'a');
    file.Allocate(kPage, 3 * kPage);
    const Mapping mapping(file, 3 * kPage, kPage, /*writable=*/true);
    mapping.data()[2 * kPage] = std::byte{'b'};
    mapping.Sync({.begin = 0, .bytes = 1}, kFirst);
  };
  EXPECT_EQ(AfterPowerCuts(grow, First), (Texts{"a..", "a.b"}));
}

TEST(DiskTest, RemovedBytesStayZeroThoughOtherPagesAreSynced) {
  const auto shrink = [](Machine& machine) {
    const File file = machine.Durable(kFirst, 'a', 3 * kPage);
    file.Truncate(kPage);
    file.Allocate(kPage, 3 * kPage);
    const Mapping mapping(file, 3 * kPage, kPage, /*writable=*/true);
    mapping.Sync({.begin = 0, .bytes = 1}, kFirst);
  };
  EXPECT_EQ(AfterPowerCuts(shrink, First), Texts{"a.."});
}

TEST(DiskTest, EachChunkOfARangeIsSyncedOnItsOwn) {
  const auto store = [](Machine& machine, std::uint64_t begin, std::uint64_t end) {
    const File first = machine.Durable(kFirst, 'a');
    const File second = machine.Durable(kSecond, 'a');
    const auto range = MapTwo(first, second);
    *range->At(0) = *range->At(kPage) = std::byte{'b'};
    range->Sync(begin, end, "layouts");
  };
  EXPECT_EQ(AfterPowerCuts([&](Machine& m) { store(m, 0, kPage); }, Both), (Texts{"b a", "b b"}));
  EXPECT_EQ(AfterPowerCuts([&](Machine& m) { store(m, kPage, kPage + 1); }, Both),
            (Texts{"a b", "b b"}));
  EXPECT_EQ(AfterPowerCuts([&](Machine& m) { store(m, kPage - 1, kPage + 1); }, Both),
            Texts{"b b"});
}

TEST(DiskTest, OneSyncMayCoverTheMappingsOfSeveralFiles) {
  const auto store = [](Machine& machine) {
    const auto range = MapTwo(machine.Durable(kFirst, 'a'), machine.Durable(kSecond, 'a'));
    *range->At(0) = *range->At(kPage) = std::byte{'b'};
    EXPECT_EQ(sys().msync(range->At(0), 8 * kPage, MS_SYNC), 0);  // with inaccessible memory
  };
  EXPECT_EQ(AfterPowerCuts(store, Both), Texts{"b b"});
}

TEST(DiskTest, UnmappedChunkIsNotSynced) {
  const auto store = [](Machine& machine) {
    const auto range = MapTwo(machine.Durable(kFirst, 'a'), machine.Durable(kSecond, 'a'));
    *range->At(0) = *range->At(kPage) = std::byte{'b'};
    range->UnmapFrom(1);
    EXPECT_EQ(sys().msync(range->At(0), 2 * kPage, MS_SYNC), 0);
  };
  EXPECT_EQ(AfterPowerCuts(store, Both), (Texts{"b a", "b b"}));
}

TEST(DiskTest, DeletedChunkCanBeReadAndSyncedWhileItIsMapped) {
  const auto unlink = [](Machine& machine) {
    const auto range = MapTwo(machine.Durable(kFirst, 'a'), machine.Durable(kSecond, 'a'));
    machine.directory().Unlink(kFirst);
    machine.directory().Sync();
    EXPECT_EQ(*range->At(0), std::byte{'a'});
    *range->At(0) = *range->At(kPage) = std::byte{'b'};
    EXPECT_NO_THROW(range->Sync(0, 2 * kPage, "layouts"));
  };
  EXPECT_EQ(AfterPowerCuts(unlink, Both), Texts{"none b"});
}

TEST(DiskTest, SyncOfWrongAddressesFailsAsInTheKernel) {
  Machine machine(1);
  const Mapping mapping(machine.Durable(kFirst, 'a'), kPage, kPage, /*writable=*/true);
  EXPECT_EQ(sys().msync(mapping.data() + 1, 1, MS_SYNC), -1);
  EXPECT_EQ(errno, EINVAL);
}

TEST(DiskTest, FailedSyncForgetsDirtyPagesOfItsRange) {
  const auto fail = [](Machine& machine) {
    const File file = machine.Durable(kFirst, 'a', 3 * kPage);
    const Mapping mapping(file, 3 * kPage, kPage, /*writable=*/true);
    mapping.data()[0] = mapping.data()[kPage] = std::byte{'b'};
    machine.disk().FailSync(1);
    EXPECT_THROW(mapping.Sync({.begin = 0, .bytes = kPage}, kFirst), Error);
    EXPECT_NO_THROW(mapping.Sync({.begin = 0, .bytes = 3 * kPage}, kFirst));
  };
  // The second sync succeeds, but skips the first page.
  EXPECT_EQ(AfterPowerCuts(fail, First), (Texts{"aba", "bba"}));
}

TEST(DiskTest, StoreIntoAForgottenPageMakesItDirty) {
  const auto repeat = [](Machine& machine) {
    const File file = machine.Durable(kFirst, 'a', 2 * kPage);
    std::optional<Mapping> mapping(std::in_place, file, 2 * kPage, kPage, true);
    mapping->data()[0] = std::byte{'b'};
    machine.disk().FailSync(1);
    EXPECT_THROW(mapping->Sync({.begin = 0, .bytes = 1}, kFirst), Error);
    mapping.emplace(file, 2 * kPage, kPage, true);  // another process
    mapping->data()[0] = std::byte{'c'};
    mapping->Sync({.begin = 0, .bytes = 1}, kFirst);
  };
  EXPECT_EQ(AfterPowerCuts(repeat, First), Texts{"ca"});
}

TEST(DiskTest, KernelMayDropForgottenPages) {
  Texts texts;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Machine machine(seed);
    {
      const auto range = MapTwo(machine.Durable(kFirst, 'a'), machine.Durable(kSecond, 'a'));
      *range->At(kPage) = std::byte{'b'};
      machine.disk().FailSync(2);
      EXPECT_THROW(range->Sync(0, 2 * kPage, "layouts"), Error);
    }
    EXPECT_EQ(machine.Pages(kSecond), "b");
    machine.disk().DropForgotten();
    EXPECT_FALSE(machine.disk().forgets());
    texts.insert(Both(machine));
  }
  EXPECT_EQ(texts, (Texts{"a a", "a b"}));
}

TEST(DiskTest, DeadProcessChangesNothing) {
  Machine machine(1);
  const File file = machine.Durable(kFirst, 'a');
  {
    const Mapping mapping(file, kPage, kPage, /*writable=*/true);
    mapping.data()[0] = std::byte{'b'};
    machine.disk().Die();
    mapping.data()[0] = std::byte{'c'};
    EXPECT_THROW(mapping.Sync({.begin = 0, .bytes = 1}, kFirst), Error);
  }
  EXPECT_THROW(machine.directory().Unlink(kFirst), Error);
  EXPECT_THROW(machine.directory().RenameFile(kFirst, kSecond), Error);
  EXPECT_THROW(machine.directory().CreateFile(kSecond), Error);
  EXPECT_THROW(machine.directory().FileSize(kFirst), Error);
  EXPECT_THROW(file.Truncate(0), Error);
  machine.disk().Revive();
  EXPECT_EQ(Both(machine), "b none");
}

TEST(DiskTest, DeathMayComeInsideAnyCall) {
  Machine machine(1);
  machine.Durable(kFirst, 'a');
  machine.disk().DieAtCall(2);
  EXPECT_NO_THROW(machine.directory().RenameFile(kFirst, kSecond));
  EXPECT_THROW(machine.directory().Unlink(kSecond), Error);
  EXPECT_TRUE(machine.disk().dead());
  machine.disk().Revive();
  EXPECT_EQ(Both(machine), "none a");
}

TEST(DiskTest, DataThatIsNotModelledIsReported) {
  Machine machine(1);
  const File file = machine.Durable(kFirst, 'a');
  EXPECT_NO_THROW(machine.disk().CheckExtents());
  const std::string far = "far";
  file.WriteAt(std::as_bytes(std::span(far)), 1 << 20);
  EXPECT_THROW(machine.disk().CheckExtents(), std::runtime_error);
}

TEST(DiskTest, EachDirectoryHasItsOwnNames) {
  Texts texts;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Machine machine(seed);
    const FastDirectory place;
    const Directory other = Directory::Open(place.path());
    const File file = other.CreateFile(kFirst);
    machine.Durable(kFirst, 'a');  // syncs its own directory
    machine.CutPower();
    texts.insert(machine.Pages(kFirst) + (other.Contains(kFirst) ? " there" : " lost"));
  }
  EXPECT_EQ(texts, (Texts{"a there", "a lost"}));
}

TEST(DiskTest, SyncOfADirectoryMayFail) {
  const auto fail = [](Machine& machine) {
    Machine::Fill(machine.directory().CreateFile(kFirst), 'a');
    machine.directory().OpenFile(kFirst, /*writable=*/true).SyncData();
    machine.disk().FailSync(1);
    EXPECT_THROW(machine.directory().Sync(), Error);
  };
  EXPECT_EQ(AfterPowerCuts(fail, First), (Texts{"a", "none"}));
  const auto repeat = [&](Machine& machine) {
    fail(machine);
    machine.directory().Sync();
  };
  EXPECT_EQ(AfterPowerCuts(repeat, First), Texts{"a"});
}

}  // namespace
}  // namespace stream_store::crash
