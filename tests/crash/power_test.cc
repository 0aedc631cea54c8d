// The crash model: runs many stores through several lives and deaths on a simulated disk, with the
// real library before and after every crash.
//
// By hand: CRASHES=2000000 SEED=7 crash_power_test. A failure prints the SEED that replays it (with
// CRASHES=1 in part 0); TRACE=1 prints every event.

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>

#include <gtest/gtest.h>

#include "crash/lives.h"
#include "crash/place.h"

namespace stream_store::crash {
namespace {

constexpr std::uint64_t kParts = 4;

class PowerTest : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  // Returns false after a failure.
  bool Run(std::uint64_t seed) {
    std::filesystem::remove_all(directory_ / "store");
    std::filesystem::remove_all(directory_ / "copy");
    try {
      Lives(seed, directory_.path(), counts_, trace_).Run();
      return true;
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what() << "\nreplay: SEED=" << seed
                    << " CRASHES=1 TRACE=1, --gtest_filter='*/0'";
      return false;
    }
  }

  FastDirectory directory_;
  Counts counts_;
  std::ostream* trace_ = std::getenv("TRACE") == nullptr ? nullptr : &std::cout;
};

// In four parts, so that they can run in parallel.
TEST_P(PowerTest, RecoversAllSyncedRecordsAndOnlyAppendedOnes) {
  const std::uint64_t crashes = (FromEnvironment("CRASHES", 100'000) + kParts - 1) / kParts;
  const std::uint64_t first = FromEnvironment("SEED", 20'260'701) + GetParam() * 1'000'000'000;
  std::uint64_t seed = first;
  for (int failures = 0; counts_.crashes() < crashes && failures < 5; ++seed) {
    failures += Run(seed) ? 0 : 1;
  }
  std::cout << "SEED=" << first << ": " << counts_ << std::endl;
}

INSTANTIATE_TEST_SUITE_P(Part, PowerTest, ::testing::Range<std::uint64_t>(0, kParts));

}  // namespace
}  // namespace stream_store::crash
