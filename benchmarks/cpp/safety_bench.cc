// Times verification from the page cache, opening after a kill, the first append after that, and a
// checkpoint. Prints one JSON object. Verification and opening are the least of several runs. The
// figures are processor time, except those of opening, which uses several threads, and of the first
// append, which waits for the disk. The floor is one pass over the files with read(), by one thread.
//
// Usage: safety_bench [gigabytes] [directory]
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "stream_store/store.h"
#include "stream_store/verify.h"

#include "data/data.h"

namespace {

using namespace stream_store;  // NOLINT(google-build-using-namespace)
namespace fs = std::filesystem;

double Seconds(const auto& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Processor time of this process. Wall-clock time would include the other work of the machine.
double CpuSeconds(const auto& work) {
  const auto now = [] {
    timespec time{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  };
  const double begin = now();
  work();
  return now() - begin;
}

double Least(int runs, const auto& seconds) {
  double least = 1e9;
  for (int i = 0; i < runs; ++i) least = std::min(least, seconds());
  return least;
}

Options WriterOptions(std::uint32_t width) {
  Options options;
  options.fields = benchmarks::StepFields(width);
  options.sync_interval = {};
  options.sync_bytes = 0;
  return options;
}

// Appends that many bytes in a child process. With `die`, the child does not close the store.
void Write(const fs::path& path, std::uint32_t width, double bytes, bool die) {
  const pid_t child = ::fork();
  if (child == 0) {
    auto* store = new StreamStore(StreamStore::Open(path, WriterOptions(width)));
    const std::vector<float> observation(width, 0.5F);
    const auto steps = static_cast<Step>(bytes / ((width + 3) * 8.0 + 32));
    for (Step step = 0; step < steps; ++step) {
      store->Append(step, {{0, step}, {1, observation}, {2, 1.0F}, {3, false}});
    }
    if (!die) store->Close();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (status != 0) std::abort();
}

// The time to open the store of a killed writer for writing, in a process that is killed, too: the
// next one then finds the same store.
double SecondsToOpen(const fs::path& path, std::uint32_t width) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) std::abort();
  const pid_t child = ::fork();
  if (child == 0) {
    const double seconds =
        Seconds([&] { new StreamStore(StreamStore::Open(path, WriterOptions(width))); });
    const bool written = ::write(ends[1], &seconds, sizeof(seconds)) == sizeof(seconds);
    ::_exit(written ? 0 : 1);
  }
  double seconds = 0;
  const bool read = ::read(ends[0], &seconds, sizeof(seconds)) == sizeof(seconds);
  ::close(ends[0]);
  ::close(ends[1]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (status != 0 || !read) std::abort();
  return seconds;
}

// Reads all files of a store. Returns their bytes.
std::uint64_t ReadFiles(const fs::path& path) {
  std::vector<char> buffer(1 << 20);
  std::uint64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(path)) {
    const int file = ::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) std::abort();
    for (ssize_t count = 1; count > 0; bytes += static_cast<std::uint64_t>(count)) {
      count = ::read(file, buffer.data(), buffer.size());
      if (count < 0) std::abort();
    }
    ::close(file);
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  const double gigabytes = argc > 1 ? std::atof(argv[1]) : 1.0;
  const fs::path place = argc > 2 ? fs::path(argv[2]) : fs::temp_directory_path();
  const double bytes = gigabytes * 1e9;
  const fs::path path = place / ("safety-bench-" + std::to_string(::getpid()));
  std::cout << "{";
  for (const std::uint32_t width : {8U, 64U, 512U}) {
    Write(path, width, bytes, /*die=*/false);
    std::uint64_t looked_at = 0;
    const double verify =
        Least(5, [&] { return CpuSeconds([&] { looked_at = Verify(path).bytes; }); });
    std::uint64_t in_files = 0;
    const double read = Least(5, [&] { return Seconds([&] { in_files = ReadFiles(path); }); });
    const double read_gb_per_s = static_cast<double>(in_files) / read / 1e9;
    fs::remove_all(path);
    Write(path, width, bytes, /*die=*/true);
    const double attach = Least(5, [&] { return Seconds([&] { Reader::Open(path); }); });
    const double open = Least(5, [&] { return SecondsToOpen(path, width); });
    double copy = 0;
    double first = 0;
    {
      StreamStore store = StreamStore::Open(path, WriterOptions(width));
      const std::vector<float> observation(width, 0.5F);
      first = Seconds([&] { store.Append(1'000'000'000'000, {{0, 1}, {1, observation}}); });
    }
    copy = CpuSeconds([&] { Reader::Open(path).Checkpoint(path.string() + "-copy"); });
    fs::remove_all(path);
    fs::remove_all(path.string() + "-copy");
    std::cout << (width == 8 ? "" : ", ") << "\"" << width + 3
              << " values\": {\"verify_gb_per_s\": "
              << static_cast<double>(looked_at) / verify / 1e9
              << ", \"reader_opens_after_kill_s_per_gib\": " << attach / bytes * 1073741824.0
              << ", \"writer_opens_after_kill_s_per_gib\": " << open / bytes * 1073741824.0
              << ", \"read_gb_per_s\": " << read_gb_per_s
              << ", \"read_s_per_gib\": " << 1.073741824 / read_gb_per_s
              << ", \"checkpoint_gb_per_s\": " << static_cast<double>(looked_at) / copy / 1e9
              << ", \"first_append_s\": " << first << ", \"gigabytes\": " << gigabytes << "}";
  }
  std::cout << "}" << std::endl;
  return 0;
}
