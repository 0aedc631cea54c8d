// Times how long after the return of an append another process sees it: by spinning on Refresh(),
// and by Wait(). A single word in shared memory gives the floor of the machine.
//
//   lag_bench <directory>
//
// Prints one JSON object with p50 and p99 of each, in nanoseconds. If the reader sees the append
// before it returns to the writer, the time counts as 0.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <vector>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stream_store/store.h"

#include "data/data.h"
#include "quantile.h"

namespace {

using namespace stream_store;              // NOLINT(google-build-using-namespace)
using namespace stream_store::benchmarks;  // NOLINT(google-build-using-namespace)
using std::chrono::microseconds;

std::int64_t Now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Memory that both processes share.
struct Shared {
  static constexpr int kMost = 20'000;
  std::atomic<std::int64_t> word{0};
  std::atomic<bool> ready{false};
  std::int64_t returned[kMost];
  std::int64_t seen[kMost];
};

Shared& MapShared() {
  void* at =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) std::abort();
  return *new (at) Shared;
}

// `write(i)` creates event i. `wait(count)`, in the other process, returns how many it sees.
template <class Write, class MakeWait>
void Measure(const char* name, Shared& shared, int events, microseconds pause, const Write& write,
             const MakeWait& make_wait) {
  shared.ready = false;
  const pid_t child = ::fork();
  if (child == 0) {
    auto wait = make_wait();
    shared.ready = true;
    for (int seen = 0; seen < events;) {
      const int now_there = wait(seen);
      const std::int64_t now = Now();
      for (; seen < now_there; ++seen) shared.seen[seen] = now;
    }
    ::_exit(0);
  }
  while (!shared.ready) std::this_thread::yield();
  for (int i = 0; i < events; ++i) {
    write(i);
    shared.returned[i] = Now();
    for (const std::int64_t until = shared.returned[i] + pause.count() * 1000; Now() < until;) {
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (status != 0) std::abort();
  std::vector<std::int64_t> lags(static_cast<std::size_t>(events));
  for (std::size_t i = 0; i < lags.size(); ++i) {
    lags[i] = std::max<std::int64_t>(shared.seen[i] - shared.returned[i], 0);
  }
  std::ranges::sort(lags);
  std::printf("\"%s\": {\"p50\": %lld, \"p99\": %lld}", name,
              static_cast<long long>(Quantile(lags, 0.5)),
              static_cast<long long>(Quantile(lags, 0.99)));
}

}  // namespace

int main(int argc, char** argv) {
  const auto place =
      argc > 1 ? std::filesystem::path(argv[1]) : std::filesystem::temp_directory_path();
  const auto path = place / ("lag-bench-" + std::to_string(::getpid()));
  Shared& shared = MapShared();
  const std::vector<float> observation(8, 0.5F);
  StreamStore store = StreamStore::Open(path, {.fields = StepFields()});
  Step first = 0;
  const auto append = [&](int i) {
    store.Append(first + i,
                 {{kAction, i}, {kObservation, observation}, {kReward, 1.0F}, {kDone, false}});
  };
  // Readers subtract the rows that existed before.
  const auto follow = [&](bool spin) {
    return [&, spin, before = static_cast<int>(store.reader().num_rows())] {
      return [before, spin, reader = Reader::Open(path)](int seen) mutable {
        if (spin) {
          reader.Refresh();
        } else {
          reader.Wait(static_cast<std::uint64_t>(before + seen + 1), std::chrono::seconds(1));
        }
        return static_cast<int>(reader.num_rows()) - before;
      };
    };
  };
  std::printf("{");
  Measure(
      "word", shared, Shared::kMost, microseconds(20),
      [&](int i) { shared.word.store(i + 1, std::memory_order_release); },
      [&] {
        return [&](int) { return static_cast<int>(shared.word.load(std::memory_order_acquire)); };
      });
  std::printf(", ");
  Measure("spin", shared, Shared::kMost, microseconds(20), append, follow(/*spin=*/true));
  first += Shared::kMost;
  std::printf(", ");
  Measure("wait", shared, 2'000, microseconds(1'000), append, follow(/*spin=*/false));
  std::printf("}\n");
  store.Close();
  std::filesystem::remove_all(path);
  return 0;
}
