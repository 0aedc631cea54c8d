// A short, deterministic run of fuzzing the importer; `make fuzz` runs it longer.
#include <cstdint>
#include <map>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "fuzz/import_mutant.h"

namespace stream_store::fuzz {
namespace {

TEST(ImportMutants, AreImportedOrRefusedWithoutATrace) {
  constexpr int kRounds = 3000;
  std::mt19937 random(20);  // NOLINT(cert-msc51-cpp): the same at every run
  std::map<Outcome, int> outcomes;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::uint8_t> bytes(200 + random() % 1800);
    for (std::uint8_t& byte : bytes) {
      byte = static_cast<std::uint8_t>(random());
    }
    ++outcomes[ImportMutant(bytes)];
  }
  // Each outcome must occur, else this test checks nothing.
  EXPECT_GT(outcomes[Outcome::kImported], kRounds / 20);
  EXPECT_GT(outcomes[Outcome::kRefused], kRounds / 4);
  RecordProperty("imported", outcomes[Outcome::kImported]);
}

TEST(ImportMutants, AcceptAnEmptyInput) { EXPECT_NO_FATAL_FAILURE(ImportMutant({})); }

}  // namespace
}  // namespace stream_store::fuzz
