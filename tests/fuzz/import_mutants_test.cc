// A short run of the importer's fuzzing, the same at every run; `make fuzz` is the long one.
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
  // All of them are met, so that this tests something.
  EXPECT_GT(outcomes[Outcome::kImported], kRounds / 20);
  EXPECT_GT(outcomes[Outcome::kRefused], kRounds / 4);
  RecordProperty("imported", outcomes[Outcome::kImported]);
}

TEST(ImportMutants, OfNoBytesAreNone) { EXPECT_NO_FATAL_FAILURE(ImportMutant({})); }

}  // namespace
}  // namespace stream_store::fuzz
