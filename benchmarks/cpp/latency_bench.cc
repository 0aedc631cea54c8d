// Prints a histogram of single appends at 1 kHz while a helper thread grows the files.
//
//   latency_bench <seconds> <directory>
//
// The output is one JSON object: the number of appends, p50, p99, p99.9, p99.99 and max in
// nanoseconds, and counts by power of two. The clock is read before and after each append. Two
// readings without an append give the floor of the machine.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <vector>

#include "stream_store/store.h"

#include "data/data.h"
#include "quantile.h"

namespace {

using namespace stream_store;              // NOLINT(google-build-using-namespace)
using namespace stream_store::benchmarks;  // NOLINT(google-build-using-namespace)
using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

std::int64_t Since(Clock::time_point start) {
  return std::chrono::duration_cast<nanoseconds>(Clock::now() - start).count();
}

void Print(const char* name, std::vector<std::int64_t>& times) {
  std::sort(times.begin(), times.end());
  std::printf(
      "\"%s\": {\"p50\": %lld, \"p99\": %lld, \"p99_9\": %lld, \"p99_99\": %lld, \"max\": %lld, "
      "\"histogram\": {",
      name, static_cast<long long>(Quantile(times, 0.5)),
      static_cast<long long>(Quantile(times, 0.99)), static_cast<long long>(Quantile(times, 0.999)),
      static_cast<long long>(Quantile(times, 0.9999)), static_cast<long long>(times.back()));
  std::int64_t limit = 128;
  std::size_t begin = 0;
  const char* comma = "";
  while (begin < times.size()) {
    const auto end = static_cast<std::size_t>(std::lower_bound(times.begin(), times.end(), limit) -
                                              times.begin());
    if (end > begin) {
      std::printf("%s\"<%lld\": %zu", comma, static_cast<long long>(limit), end - begin);
      comma = ", ";
    }
    begin = end;
    limit *= 2;
  }
  std::printf("}}");
}

}  // namespace

int main(int argc, char** argv) {
  const int seconds = argc > 1 ? std::atoi(argv[1]) : 30;
  const std::filesystem::path path =
      std::filesystem::path(argc > 2 ? argv[2] : ".") / "latency-store";
  std::filesystem::remove_all(path);
  Options options;
  options.mode = Mode::kCreate;
  options.capacity_values = 64 * 1024;  // small steps, so that growth happens often
  options.fields = StepFields();
  const std::array<float, 8> observation{1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<std::int64_t> appends;
  std::vector<std::int64_t> floors;
  const auto count = static_cast<std::size_t>(seconds) * 1000;
  appends.reserve(count);
  floors.reserve(count);
  {
    StreamStore store = StreamStore::Open(path, options);
    auto next = Clock::now();
    for (std::size_t i = 0; i < count; ++i) {
      next += std::chrono::milliseconds(1);
      std::this_thread::sleep_until(next);
      const auto before = Clock::now();
      floors.push_back(Since(before));
      const auto start = Clock::now();
      store.Append(static_cast<Step>(i), {{kAction, static_cast<std::int64_t>(i)},
                                          {kObservation, observation},
                                          {kReward, 1.0F},
                                          {kDone, false}});
      appends.push_back(Since(start));
    }
  }
  // The first append writes the open record with a full sync, so it is reported separately.
  const std::int64_t first = appends.front();
  appends.erase(appends.begin());
  std::printf("{\"appends\": %zu, \"first_append\": %lld, ", appends.size(),
              static_cast<long long>(first));
  Print("append", appends);
  std::printf(", ");
  Print("clock", floors);
  std::printf("}\n");
  std::filesystem::remove_all(path);
}
