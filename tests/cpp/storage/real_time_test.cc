// Tests of what docs/guide/cpp.md promises to real-time threads: once space is reserved, TryAppend()
// and the messages of its refusals allocate nothing and make no system call.
//
// This program counts the allocations of each thread: it replaces malloc(). System calls are
// forbidden by a seccomp filter, in a child process of its own, which the first one ends.

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stream_store/store.h"

#include "support/sanitizers.h"
#include "support/scratch.h"

#if !STREAM_STORE_ASAN && !STREAM_STORE_TSAN

namespace {

constinit thread_local std::uint64_t allocations = 0;

}  // namespace

// The memory functions of glibc, under the names by which they stay available.
extern "C" {
void* __libc_malloc(std::size_t bytes);                     // NOLINT
void* __libc_calloc(std::size_t count, std::size_t bytes);  // NOLINT
void* __libc_realloc(void* memory, std::size_t bytes);      // NOLINT

void* malloc(std::size_t bytes) {
  ++allocations;
  return __libc_malloc(bytes);
}

void* calloc(std::size_t count, std::size_t bytes) {
  ++allocations;
  return __libc_calloc(count, bytes);
}

void* realloc(void* memory, std::size_t bytes) {
  ++allocations;
  return __libc_realloc(memory, bytes);
}
}

namespace stream_store::internal {
namespace {

constexpr Step kSteps = 5000;

class RealTimeTest : public ::testing::Test {
 protected:
  enum Type : TypeId { kPosition, kContacts, kImage, kStamp };

  enum class End { kDone, kSystemCall, kFailed, kNoSeccomp };

  static constexpr int kNoFilter = 77;

  StreamStore Open() const {
    return StreamStore::Open(
        scratch_ / "store",
        {.fields = {{.name = "position", .dtype = DType::kFloat64, .shape = {7}},
                    {.name = "contacts", .dtype = DType::kInt32, .shape = {kRagged}},
                    {.name = "image", .dtype = DType::kUInt8, .shape = {8, 8}, .packed = true},
                    {.name = "stamp", .dtype = DType::kTimestampNs}},
         .grow_ahead = grow_ahead_});
  }

  // The recipe of docs/guide/cpp.md: space for all values, and every shape once.
  void Prepare(StreamStore& store) {
    store.Reserve(static_cast<std::uint64_t>(kSteps) * 40, 2 * static_cast<std::uint64_t>(kSteps));
    for (Step step = 0; step < 4; ++step) {
      ASSERT_TRUE(AppendTick(store, step));
    }
  }

  // Rows of two shapes, of which one is written in two calls.
  AppendResult AppendTick(StreamStore& store, Step step) {
    if (step % 4 == 0) {
      return store.TryAppend(step, {{kPosition, angles_}, {kImage, frame_}, {kStamp, step}});
    }
    if (step % 2 == 1) {
      return store.TryAppend(step, {{kPosition, angles_}, {kContacts, touching_}, {kStamp, step}});
    }
    const AppendResult begun = store.TryAppend(step, {{kPosition, angles_}});
    return begun ? store.TryAppend(step, {{kStamp, step}}) : begun;
  }

  bool AppendTicks(StreamStore& store) {
    for (Step step = 4; step < kSteps; ++step) {
      if (!AppendTick(store, step)) return false;
    }
    return true;
  }

  // One call for each rule, and their messages.
  bool RefusesAll(StreamStore& store, const Schema& schema) {
    const FieldWrite unknown[] = {{9, 1}};
    const FieldWrite swapped[] = {{kStamp, 1}, {kPosition, angles_}};
    const FieldWrite shorter[] = {{kPosition, touching_}};
    const FieldWrite half[] = {{kStamp, 0.5}};
    for (const AppendResult& result :
         {store.TryAppend(kSteps, unknown), store.TryAppend(kSteps, swapped),
          store.TryAppend(kSteps, shorter), store.TryAppend(kSteps, half),
          store.TryAppend(-1, {})}) {
      if (result || result.Message(text_, schema).empty()) return false;
    }
    return true;
  }

  // Ends this process at its next system call, except to exit.
  static bool ForbidSystemCalls() {
    constexpr sock_filter kFilter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    const sock_fprog program{.len = std::size(kFilter),
                             .filter = const_cast<sock_filter*>(kFilter)};  // NOLINT: only read
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
  }

  // Runs `prepare`, and then `work` without system calls, in a child process.
  static End InChild(const std::function<void()>& prepare, const std::function<bool()>& work) {
    const pid_t child = ::fork();
    if (child == 0) {
      prepare();
      if (HasFailure()) ::_exit(1);
      if (!ForbidSystemCalls()) ::_exit(kNoFilter);
      ::_exit(work() ? 0 : 1);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) return End::kSystemCall;
    if (!WIFEXITED(status)) return End::kFailed;
    return WEXITSTATUS(status) == 0           ? End::kDone
           : WEXITSTATUS(status) == kNoFilter ? End::kNoSeccomp
                                              : End::kFailed;
  }

  ScratchDirectory scratch_;
  bool grow_ahead_ = true;
  std::array<double, 7> angles_{};
  std::vector<std::int32_t> touching_{1, 2};
  std::array<std::uint8_t, 64> frame_{};
  std::array<char, 160> text_{};
};

TEST_F(RealTimeTest, ASteadyAppendAllocatesNothing) {
  StreamStore store = Open();
  Prepare(store);
  const std::uint64_t before = allocations;
  EXPECT_TRUE(AppendTicks(store));
  EXPECT_EQ(allocations, before);
}

TEST_F(RealTimeTest, ARefusalAllocatesNothing) {
  StreamStore store = Open();
  Prepare(store);
  ASSERT_TRUE(RefusesAll(store, store.schema()));  // the first one makes room for its shape
  std::uint64_t before = allocations;
  EXPECT_TRUE(RefusesAll(store, store.schema()));
  EXPECT_EQ(allocations, before);
  store.Close();
  before = allocations;
  const AppendResult closed = store.TryAppend(1, {{kStamp, 1}});
  EXPECT_FALSE(closed.Message(text_).empty());
  EXPECT_EQ(closed.reason(), AppendReason::kClosed);
  EXPECT_EQ(allocations, before);
}

TEST_F(RealTimeTest, TheTestCountsAllocations) {
  StreamStore store = Open();
  const std::uint64_t before = allocations;
  Prepare(store);
  EXPECT_GT(allocations, before);
}

TEST_F(RealTimeTest, ASteadyAppendMakesNoSystemCall) {
  for (const bool grow_ahead : {false, true}) {
    grow_ahead_ = grow_ahead;
    std::optional<StreamStore> store;
    const auto open = [&] {
      std::filesystem::remove_all(scratch_ / "store");
      store.emplace(Open());
      Prepare(*store);
    };
    const End end =
        InChild(open, [&] { return AppendTicks(*store) && RefusesAll(*store, store->schema()); });
    if (end == End::kNoSeccomp) GTEST_SKIP() << "seccomp filters are not allowed here";
    EXPECT_EQ(end, End::kDone) << grow_ahead;
  }
}

TEST_F(RealTimeTest, TheTestSeesASystemCall) {
  std::optional<StreamStore> store;
  const End end = InChild([&] { store.emplace(Open()); },
                          [&] { return AppendTicks(*store); });  // the first one opens the session
  if (end == End::kNoSeccomp) GTEST_SKIP() << "seccomp filters are not allowed here";
  EXPECT_EQ(end, End::kSystemCall);
}

}  // namespace
}  // namespace stream_store::internal

#endif
