// Runs the guarded hot paths for speed_guard.py and prints JSON.
//
//   speed_guard counts   runs each operation to warm up and then once in CountedRun(), for which
//                        callgrind counts instructions and writes a file; prints their names
//   speed_guard ratio    times windows and memcpy of the same bytes alternately; prints the least
//                        of each, in nanoseconds
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <limits>

#include <gnu/libc-version.h>

#include "operations.h"

// extern "C", because callgrind finds the function by its plain name.
extern "C" [[gnu::noinline]] void CountedRun(const stream_store::guard::Operation& operation) {
  operation.run();
  asm volatile("" ::: "memory");  // prevents a tail call, so that callgrind sees the return
}

namespace stream_store::guard {
namespace {

#if defined(__clang__)
constexpr const char* kCompiler = "clang++";
constexpr int kMajor = __clang_major__, kMinor = __clang_minor__;
#else
constexpr const char* kCompiler = "g++";
constexpr int kMajor = __GNUC__, kMinor = __GNUC_MINOR__;
#endif

// The instruction sets by which the library chooses its loops.
const char* InstructionSet() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") != 0 ? "x86-64 with AVX2" : "x86-64 without AVX2";
#elif defined(__aarch64__)
  return "aarch64";
#else
  return "another";
#endif
}

void PrintCounted() {
  std::printf("{\"compiler\": \"%s %d.%d\", \"libc\": \"glibc %s\", \"instruction_set\": \"%s\",\n",
              kCompiler, kMajor, kMinor, gnu_get_libc_version(), InstructionSet());
  std::printf(" \"operations\": [");
  const char* separator = "";
  for (const Operation& operation : Operations()) {
    for (int i = 0; i < operation.warm_ups; ++i) {
      operation.run();
    }
    CountedRun(operation);
    std::printf("%s\n  {\"name\": \"%s\", \"unit\": \"%s\", \"units\": %llu}", separator,
                operation.name.c_str(), operation.unit.c_str(),
                static_cast<unsigned long long>(operation.units));
    separator = ",";
  }
  std::printf("]}\n");
}

double Nanoseconds(const std::function<void()>& run) {
  const auto begin = std::chrono::steady_clock::now();
  run();
  const auto end = std::chrono::steady_clock::now();
  return std::chrono::duration<double, std::nano>(end - begin).count();
}

void PrintRatio() {
  constexpr int kRepetitions = 5000;
  const WindowsAndMemcpy both = MakeWindowsAndMemcpy();
  double windows = std::numeric_limits<double>::max();
  double memcpy = windows;
  for (int i = 0; i < kRepetitions; ++i) {
    windows = std::min(windows, Nanoseconds(both.windows));
    memcpy = std::min(memcpy, Nanoseconds(both.memcpy));
  }
  std::printf("{\"windows_ns\": %.0f, \"memcpy_ns\": %.0f}\n", windows, memcpy);
}

int Main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "counts") == 0) {
    PrintCounted();
  } else if (argc == 2 && std::strcmp(argv[1], "ratio") == 0) {
    PrintRatio();
  } else {
    std::fprintf(stderr, "usage: speed_guard counts | ratio\n");
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace stream_store::guard

int main(int argc, char** argv) {
  try {
    return stream_store::guard::Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "speed_guard: %s\n", error.what());
    return 1;
  }
}
