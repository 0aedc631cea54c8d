// Prints histograms of single appends at 1 kHz while a helper thread grows the files.
//
//   latency_bench <seconds> <directory>
//
// The output is one JSON object: the number of appends, and for each kind of call p50, p99, p99.9,
// p99.99 and max in nanoseconds, and counts by power of two. In each millisecond there is one call of
// each kind, so all of them meet the same machine:
// - append: to a store in the directory, which is synced in the background;
// - memory: the same append to a store in /dev/shm, whose pages are never written back;
// - mapped: stores of as many bytes to a mapped file in the directory, whose pages were touched
//   before, and which another thread syncs as often. The kernel makes a page read-only to write it
//   back, so that the next store waits for a page fault and the file system;
// - clock: two readings of the clock, the floor of the machine.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

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

// The bytes that an append of these fields stores: 11 values, and a record.
constexpr std::size_t kAppendBytes = 11 * 8 + 32;
constexpr std::chrono::seconds kSyncInterval{30};

[[noreturn]] void Fail(const char* call) {
  std::perror(call);
  std::exit(1);
}

// A mapped file with space for `count` appends, whose pages are touched before. Another thread syncs
// it, as a helper of a store does.
class MappedFile {
 public:
  MappedFile(const std::filesystem::path& path, std::size_t count)
      : path_(path), bytes_((count * kAppendBytes / kPage + 1) * kPage) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ::posix_fallocate(fd, 0, static_cast<off_t>(bytes_)) != 0) Fail("mapped file");
    void* data = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) Fail("mmap");
    ::close(fd);
    data_ = static_cast<char*>(data);
    for (std::size_t at = 0; at < bytes_; at += kPage) data_[at] = 0;
    syncing_ = std::jthread([this](const std::stop_token& stop) {
      auto next = Clock::now() + kSyncInterval;
      while (!stop.stop_requested()) {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        if (Clock::now() < next) continue;
        next += kSyncInterval;
        if (::msync(data_, bytes_, MS_SYNC) != 0) Fail("msync");
      }
    });
  }

  ~MappedFile() {
    syncing_ = {};
    ::munmap(data_, bytes_);
    std::filesystem::remove(path_);
  }

  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  void Store(std::size_t i) {
    const std::array<char, kAppendBytes> bytes{1};
    std::memcpy(data_ + i * kAppendBytes, bytes.data(), bytes.size());
  }

 private:
  static constexpr std::size_t kPage = 4096;

  std::filesystem::path path_;
  std::size_t bytes_;
  char* data_ = nullptr;
  std::jthread syncing_;
};

StreamStore NewStore(const std::filesystem::path& path) {
  std::filesystem::remove_all(path);
  Options options;
  options.mode = Mode::kCreate;
  options.capacity_values = 64 * 1024;  // small steps, so that growth happens often
  options.fields = StepFields();
  options.sync_interval = kSyncInterval;
  return StreamStore::Open(path, options);
}

template <class Call>
std::int64_t TimeOf(const Call& call) {
  const auto start = Clock::now();
  call();
  return Since(start);
}

}  // namespace

int main(int argc, char** argv) {
  const int seconds = argc > 1 ? std::atoi(argv[1]) : 30;
  const std::filesystem::path directory = argc > 2 ? argv[2] : ".";
  const std::filesystem::path path = directory / "latency-store";
  const std::filesystem::path memory_path = "/dev/shm/latency-store-" + std::to_string(::getpid());
  const std::array<float, 8> observation{1, 2, 3, 4, 5, 6, 7, 8};
  const auto count = static_cast<std::size_t>(seconds) * 1000;
  std::vector<std::int64_t> appends;
  std::vector<std::int64_t> in_memory;
  std::vector<std::int64_t> mapped;
  std::vector<std::int64_t> clock;
  for (auto* times : {&appends, &in_memory, &mapped, &clock}) times->reserve(count);
  {
    StreamStore store = NewStore(path);
    StreamStore memory_store = NewStore(memory_path);
    MappedFile file(directory / "latency-mapped", count);
    const auto append = [&](StreamStore& to, std::size_t i) {
      to.Append(static_cast<Step>(i), {{kAction, static_cast<std::int64_t>(i)},
                                       {kObservation, observation},
                                       {kReward, 1.0F},
                                       {kDone, false}});
    };
    auto next = Clock::now();
    for (std::size_t i = 0; i < count; ++i) {
      next += std::chrono::milliseconds(1);
      std::this_thread::sleep_until(next);
      clock.push_back(TimeOf([] {}));
      appends.push_back(TimeOf([&] { append(store, i); }));
      in_memory.push_back(TimeOf([&] { append(memory_store, i); }));
      mapped.push_back(TimeOf([&] { file.Store(i); }));
    }
  }
  // The first append writes the open record with a full sync, so it is reported separately.
  const std::int64_t first = appends.front();
  for (auto* times : {&appends, &in_memory}) times->erase(times->begin());
  std::printf("{\"appends\": %zu, \"first_append\": %lld, ", appends.size(),
              static_cast<long long>(first));
  Print("append", appends);
  std::printf(", ");
  Print("memory", in_memory);
  std::printf(", ");
  Print("mapped", mapped);
  std::printf(", ");
  Print("clock", clock);
  std::printf("}\n");
  std::filesystem::remove_all(path);
  std::filesystem::remove_all(memory_path);
}
