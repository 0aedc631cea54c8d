// Resource limits at every relevant value: file size, address space, descriptors, memory. Each
// gives an error of the right type, loses nothing, and the store continues when the limit is
// lifted.

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <new>
#include <optional>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stream_store/verify.h"

#include "crash/place.h"
#include "crash/rows.h"
#include "support/sanitizers.h"

namespace stream_store::crash {

using internal::StrCat;

namespace {

// Allocations that still succeed; then `failing` of them fail. Negative means that all succeed.
std::atomic<std::int64_t> allocations_left{-1};
std::atomic<std::int64_t> failing{0};
std::atomic<std::uint64_t> allocations{0};

[[maybe_unused]] bool AllocationFails() {  // unused with sanitizers, which replace `new` themselves
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (allocations_left.load(std::memory_order_relaxed) < 0) return false;
  if (allocations_left.fetch_sub(1, std::memory_order_relaxed) > 0) return false;
  allocations_left = failing.fetch_sub(1) > 1 ? 0 : -1;
  return true;
}

}  // namespace
}  // namespace stream_store::crash

#if !STREAM_STORE_ASAN && !STREAM_STORE_TSAN
#define STREAM_STORE_COUNTS_ALLOCATIONS 1

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

// NOLINTBEGIN(misc-new-delete-overloads)
void* operator new(std::size_t size) {
  if (stream_store::crash::AllocationFails()) throw std::bad_alloc();
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}

void operator delete(void* memory) noexcept { std::free(memory); }

void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

// NOLINTEND(misc-new-delete-overloads)
#endif

namespace stream_store::crash {
namespace {

namespace fs = std::filesystem;

class LimitTest : public ::testing::Test {
 protected:
  // Runs `work` in a child process with its own limits, and returns its exit code.
  static int InChild(const std::function<void()>& work) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::signal(SIGXFSZ, SIG_DFL);
      work();
      ::_exit(HasFailure() ? 1 : 0);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }

  static void Limit(int resource, rlim_t value) {
    const struct rlimit limit{value, value};
    ASSERT_EQ(::setrlimit(static_cast<__rlimit_resource_t>(resource), &limit), 0);
  }

  static bool Typed(const Error& error) {
    return error.code() == ErrorCode::kNoSpace || error.code() == ErrorCode::kIo;
  }

  // Appends until refused, then tries some more. The stored rows stay readable and can be synced.
  static void FillUntilRefused(const fs::path& path, Row most) {
    try {
      StreamStore store = StreamStore::Open(path, RowOptions());
      Row row = static_cast<Row>(store.reader().num_rows());
      int refusals = 0;
      while (row < most && refusals < 3) {
        try {
          AppendWholeRow(store, row);
          ++row;
        } catch (const Error& error) {
          EXPECT_TRUE(Typed(error)) << error.what();
          ++refusals;
        }
      }
      EXPECT_EQ(store.reader().num_rows(), static_cast<std::uint64_t>(row));
      EXPECT_EQ(WrongRow(store.reader()), "");
      if (row > 0) {
        EXPECT_EQ(store.Sync(), static_cast<std::uint64_t>(row));
      }
      store.Close();
    } catch (const Error& error) {
      EXPECT_TRUE(Typed(error)) << error.what();
    }
  }

  void ExpectItGoesOn(const std::string& what) const {
    SCOPED_TRACE(what);
    if (fs::exists(path_)) {
      EXPECT_TRUE(Verify(path_).ok());
      EXPECT_EQ(WrongRow(Reader::Open(path_)), "");
    }
    StreamStore store = StreamStore::Open(path_, RowOptions());
    const Row first = static_cast<Row>(store.reader().num_rows());
    for (Row row = first; row < first + 20; ++row) AppendWholeRow(store, row);
    store.Close();
    EXPECT_TRUE(Verify(path_).findings.empty());
  }

  FastDirectory scratch_;
  const fs::path path_ = scratch_ / "store";
};

TEST_F(LimitTest, FileSizeAtEveryStep) {
  std::uint64_t sizes = 0;
  for (rlim_t size = 0; size <= 600'000; size += size < 20'000 ? 1'777 : 16'384) {
    fs::remove_all(path_);
    const int code = InChild([&] {
      Limit(RLIMIT_FSIZE, size);
      FillUntilRefused(path_, 60);
    });
    EXPECT_EQ(code, 0) << size;
    ExpectItGoesOn(StrCat("RLIMIT_FSIZE ", size));
    ++sizes;
  }
  std::cout << "limits: RLIMIT_FSIZE at " << sizes << " sizes, no signal, 0 lost" << std::endl;
}

#if !STREAM_STORE_ASAN  // UndefinedBehaviorSanitizer needs descriptors for pipes

TEST_F(LimitTest, DescriptorsAtEveryNumber) {
  for (rlim_t number = 3; number <= 24; ++number) {
    fs::remove_all(path_);
    const int code = InChild([&] {
      for (int fd = 3; fd < 256; ++fd) ::close(fd);
      Limit(RLIMIT_NOFILE, number);
      FillUntilRefused(path_, 20);
      try {
        const Reader reader = Reader::Open(path_);
        EXPECT_EQ(WrongRow(reader), "");
        reader.Checkpoint(scratch_ / "copy");
      } catch (const Error& error) {
        const bool refused = Typed(error) || error.code() == ErrorCode::kNotFound;
        EXPECT_TRUE(refused) << error.what();
      }
      for (int fd = 3; fd < 256; ++fd) {
        EXPECT_EQ(::fcntl(fd, F_GETFD), -1) << "descriptor " << fd << " was leaked";
      }
    });
    EXPECT_EQ(code, 0) << number;
    ExpectItGoesOn(StrCat("RLIMIT_NOFILE ", number));
    fs::remove_all(scratch_ / "copy");
  }
  std::cout << "limits: RLIMIT_NOFILE from 3 to 24, 0 lost" << std::endl;
}

#endif

#if defined(STREAM_STORE_COUNTS_ALLOCATIONS)

TEST_F(LimitTest, AddressSpaceAtEveryStep) {
  std::uint64_t sizes = 0;
  for (rlim_t size = 8 << 20; size <= (256 << 20); size += size / 8) {
    fs::remove_all(path_);
    const int code = InChild([&] {
      Limit(RLIMIT_AS, size);
      try {
        FillUntilRefused(path_, 200);
      } catch (const std::bad_alloc&) {  // the allocator runs out of address space too
      }
    });
    EXPECT_TRUE(code == 0 || size < (24 << 20)) << size << " gave " << code;
    ExpectItGoesOn(StrCat("RLIMIT_AS ", size));
    ++sizes;
  }
  std::cout << "limits: RLIMIT_AS at " << sizes << " sizes, 0 lost" << std::endl;
}

// Each allocation of each call fails in turn. The call throws std::bad_alloc or an Error and leaves
// the store unchanged.
TEST_F(LimitTest, AnyAllocationMayFail) {
  const fs::path before = scratch_ / "before";
  {
    StreamStore store = StreamStore::Open(before, RowOptions());
    for (Row row = 0; row < 20; ++row) AppendWholeRow(store, row);
  }
  const std::vector<Value> list(3, 20);
  const std::array<std::pair<const char*, std::function<void()>>, 8> calls = {{
      {"open", [&] { StreamStore::Open(path_, RowOptions()); }},
      {"create", [&] { StreamStore::Open(scratch_ / "new", RowOptions()); }},
      {"append",
       [&] {
         StreamStore store = StreamStore::Open(path_, RowOptions());
         store.Append(20, {{0, 20}, {1, list}, {2, false}});
         store.Append(std::vector<Step>{21, 22}, std::vector<FieldWrite>{{0, 21}, {0, 22}});
         store.Sync();
         store.Close();
       }},
      {"extend",
       [&] {
         StreamStore store = StreamStore::Open(path_, RowOptions());
         const std::vector<Step> steps = {20, 21, 22};
         const std::vector<Value> counts = {20, 21, 22};
         const Column column{.type = 0, .data = counts.data()};
         store.Extend(steps, std::span(&column, 1));
       }},
      {"attach", [&] { Reader::Open(path_).row(3); }},
      {"verify", [&] { Verify(path_); }},
      {"checkpoint", [&] { Reader::Open(path_).Checkpoint(scratch_ / "copy"); }},
      {"repair", [&] { Repair(path_, scratch_ / "repaired"); }},
  }};
  std::uint64_t failures = 0;
  for (const auto& [name, call] : calls) {
    for (const std::int64_t times : {1, 1'000'000'000}) {
      for (std::int64_t nth = 0;; ++nth) {
        for (const char* made : {"store", "new", "copy", "repaired"})
          fs::remove_all(scratch_ / made);
        fs::copy(before, path_, fs::copy_options::recursive);
        bool failed = false;
        failing = times;
        allocations_left = nth;
        try {
          call();
          failed = allocations_left < 0 || times > 1;
          failed = failed && allocations_left <= 0;
        } catch (const std::bad_alloc&) {
          failed = true;
        } catch (const Error&) {
          failed = true;
        } catch (const std::exception&
                     error) {  // std::filesystem reports a failed allocation with its own type
          failed = true;
        }
        allocations_left = -1;
        ASSERT_TRUE(Verify(path_).ok()) << name << ", allocation " << nth;
        ASSERT_GE(Reader::Open(path_).num_rows(), 20U) << name << ", allocation " << nth;
        if (!failed) break;
        ++failures;
      }
    }
  }
  std::cout << "limits: " << failures << " failed allocations in " << calls.size()
            << " calls, 0 lost" << std::endl;
}

#endif

}  // namespace
}  // namespace stream_store::crash
