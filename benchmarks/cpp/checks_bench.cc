// Times a field-write by its number of values. The program is built twice: with the library, and as
// checks_bench_off with a library that neither computes checksums nor publishes. The difference is
// the cost of safety.
//
// Prints one JSON object: values per field-write -> nanoseconds, the least of many short runs.
#include <algorithm>
#include <array>
#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include "stream_store/store.h"

int main() {
  using namespace stream_store;  // NOLINT(google-build-using-namespace)
  constexpr int kFields = 4;
  constexpr Step kSteps = 500;
  constexpr int kRuns = 400;
  std::cout << "{";
  for (const std::uint32_t values : {1U, 8U, 64U, 512U}) {
    Options options;
    for (int i = 0; i < kFields; ++i) {
      options.fields.push_back(
          {std::string(1, static_cast<char>('a' + i)), DType::kInt64, {values}});
    }
    StreamStore store = StreamStore::Temporary(options);
    const std::uint64_t steps = kSteps * (values > 64 ? kRuns / 8 : kRuns);
    store.Reserve(values * kFields * steps, steps);
    const std::vector<Value> items(values, 7);
    double least = 1e9;
    for (Step step = 0; step < static_cast<Step>(steps);) {
      const auto begin = std::chrono::steady_clock::now();
      for (Step i = 0; i < kSteps; ++i, ++step) {
        store.Append(step, {{0, items}, {1, items}, {2, items}, {3, items}});
      }
      const std::chrono::duration<double, std::nano> took =
          std::chrono::steady_clock::now() - begin;
      least = std::min(least, took.count() / (kSteps * kFields));
    }
    std::cout << (values == 1 ? "" : ", ") << "\"" << values << "\": " << least;
  }
  std::cout << "}" << std::endl;
}
