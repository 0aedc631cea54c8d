// Runs the corpus of every fuzz target and seeded mutations of it in the ordinary tests, so that
// bugs found by earlier fuzzing cannot return.
//
// By hand: FUZZ_RUNS=100000 SEED=7 fuzz_test.

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "crash/place.h"
#include "crash/random.h"
#include "fuzz/targets.h"

namespace stream_store::fuzz {
namespace {

using Input = std::vector<std::uint8_t>;

struct Target {
  const char* name;
  void (*run)(Bytes);
  std::uint64_t runs;  // in the ordinary tests
};

const Input* running = nullptr;

// Prints the input that broke a promise as hex. Add it to the corpus with xxd -r -p.
void TellInput(int /*signal*/) {
  std::fputs("input: ", stderr);
  if (running != nullptr) {
    for (const std::uint8_t byte : *running) std::fprintf(stderr, "%02x", byte);
  }
  std::fputs("\n", stderr);
}

void RunOn(const Target& target, const Input& input) {
  running = &input;
  target.run(input);
  running = nullptr;
}

class FuzzTest : public ::testing::TestWithParam<Target> {};

std::vector<Input> Corpus(const std::string& name) {
  std::vector<Input> inputs;
  const std::filesystem::path place = std::filesystem::path(STREAM_STORE_CORPUS) / name;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(place))
    files.push_back(entry.path());
  std::ranges::sort(files);
  for (const auto& path : files) {
    std::ifstream file(path, std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return inputs;
}

Input Mutated(Input input, crash::Random& random) {
  for (std::uint64_t changes = random.Between(1, 6); changes > 0; --changes) {
    const std::uint64_t at = input.empty() ? 0 : random.Below(input.size());
    const auto byte = static_cast<std::uint8_t>(random.Next());
    switch (random.Below(5)) {
      case 0:
        if (!input.empty()) input[at] = byte;
        break;
      case 1:
        if (!input.empty()) input[at] ^= static_cast<std::uint8_t>(1U << (byte % 8));
        break;
      case 2:
        for (std::uint64_t i = random.Between(1, 24); i > 0; --i) {
          input.insert(input.begin() + static_cast<std::ptrdiff_t>(at),
                       static_cast<std::uint8_t>(random.Next()));
        }
        break;
      case 3:
        input.resize(at);
        break;
      case 4:  // an interesting word
        for (std::uint64_t i = at; i < std::min<std::uint64_t>(at + 8, input.size()); ++i) {
          input[i] = byte % 3 == 0 ? 0xff : byte % 3 == 1 ? 0 : static_cast<std::uint8_t>(i == at);
        }
        break;
    }
    if (input.size() > 2000) input.resize(2000);
  }
  return input;
}

TEST_P(FuzzTest, CorpusAndMutationsKeepThePromises) {
  const std::vector<Input> corpus = Corpus(GetParam().name);
  ASSERT_FALSE(corpus.empty());
  std::signal(SIGABRT, TellInput);
  for (const Input& input : corpus) RunOn(GetParam(), input);
  crash::Random random(crash::FromEnvironment("SEED", 1));
  const std::uint64_t runs = crash::FromEnvironment("FUZZ_RUNS", crash::Effort(GetParam().runs));
  for (std::uint64_t i = 0; i < runs; ++i) {
    RunOn(GetParam(), Mutated(corpus[random.Below(corpus.size())], random));
  }
  std::cout << "fuzz " << GetParam().name << ": " << corpus.size() << " inputs of the corpus, "
            << runs << " mutations, 0 broken promises" << std::endl;
}

INSTANTIATE_TEST_SUITE_P(
    Targets, FuzzTest,
    ::testing::Values(Target{"schema", FuzzSchema, 100'000}, Target{"nested", FuzzNested, 50'000},
                      Target{"control", FuzzControl, 100'000}, Target{"store", FuzzStore, 1'500},
                      Target{"pack", FuzzPack, 3'000}, Target{"operations", FuzzOperations, 300},
                      Target{"import", FuzzImport, 300}),
    [](const auto& of) { return std::string(of.param.name); });

}  // namespace
}  // namespace stream_store::fuzz
