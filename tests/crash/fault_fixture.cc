#include "crash/fault_fixture.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <iostream>
#include <iterator>
#include <set>

#include <sys/wait.h>
#include <unistd.h>

#include "base/str_cat.h"

namespace stream_store::crash {

using internal::StrCat;

namespace {

namespace fs = std::filesystem;
using Fault = Shim::Fault;

// Whether a signal may interrupt this call. The library must retry it, so no error may be thrown.
bool Interruptible(const std::string& call) {
  constexpr std::array<const char*, 10> kCalls = {"open",      "pread",     "pwrite", "fallocate",
                                                  "ftruncate", "fdatasync", "fsync",  "msync",
                                                  "lock",      "getrandom"};
  return std::ranges::find(kCalls, call) != kCalls.end();
}

std::size_t OpenDescriptors() {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator{}));
}

// The number of mappings of files in a directory.
std::size_t Mappings(const fs::path& directory) {
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);) {
    count += line.find(directory.string()) != std::string::npos ? 1U : 0U;
  }
  return count;
}

}  // namespace

void FaultFixture::MakePlace() {
  fs::remove_all(place_);
  fs::create_directory(place_);
  refused_ = 0;
}

bool FaultFixture::Refused(const std::function<void()>& call) {
  try {
    call();
    return false;
  } catch (const Error& error) {
    refused_ += 1;
    const ErrorCode code = error.code();
    const bool typed = code == ErrorCode::kIo || code == ErrorCode::kNoSpace ||
                       code == ErrorCode::kNotFound || code == ErrorCode::kCorrupt ||
                       code == ErrorCode::kLocked;
    EXPECT_TRUE(typed) << error.what();
    EXPECT_NE(std::string(error.what()), "");
    return true;
  }
}

void FaultFixture::ExpectNoLeftovers(const std::string& name) const {
  for (const auto& entry : fs::directory_iterator(place_)) {
    EXPECT_FALSE(entry.path().filename().string().starts_with("." + name + ".tmp-"))
        << entry.path();
  }
}

std::uint64_t FaultFixture::Stride(std::uint64_t percent) {
  return FromEnvironment("FAULT_STRIDE", 100 / Effort(percent));
}

std::uint64_t FaultFixture::CallsOfALife() {
  const Shim counting(0, Fault::kNone, 0);
  Live();
  return counting.calls();
}

// Returns the name of the call that failed.
std::string FaultFixture::LiveWithFault(std::uint64_t nth, Fault fault, int error) {
  const Shim shim(nth, fault, error);
  Live();
  return shim.name();
}

void FaultFixture::FailAnyCall() {
  const std::uint64_t calls = CallsOfALife();
  ExpectAllIsWell("no fault");
  std::uint64_t lives = 0;
  std::set<std::string> sites;
  for (const int error : {EIO, ENOSPC, EINTR, EMFILE, ENOMEM}) {
    for (const Fault fault : {Fault::kOnce, Fault::kAlways}) {
      for (std::uint64_t nth = 1; nth <= calls; nth += Stride(error == EIO ? 100 : 20)) {
        Renew();
        const std::size_t descriptors = OpenDescriptors();
        const std::string name = LiveWithFault(nth, fault, error);
        sites.insert(name);
        const std::string what =
            StrCat("call ", nth, ", ", name, ", fails ", fault == Fault::kOnce ? "once" : "always",
                   " with errno ", error);
        EXPECT_EQ(OpenDescriptors(), descriptors) << what;
        if (error == EINTR && Interruptible(name)) {
          EXPECT_EQ(refused_, 0U) << what;
        }
        EXPECT_EQ(Mappings(place_), 0U) << what;
        ExpectAllIsWell(what);
        ++lives;
        if (HasFailure()) return;
      }
    }
  }
  std::cout << "faults: " << calls << " calls in a life, " << lives << " lives with a fault at "
            << sites.size() << " kinds of call, 0 lost" << std::endl;
  if (Stride(100) == 1) {  // a larger stride may skip all calls of one kind
    EXPECT_GE(sites.size(), 13U);
  }
}

void FaultFixture::KillAtAnyCall() {
  const std::uint64_t calls = CallsOfALife();
  std::uint64_t kills = 0;
  for (std::uint64_t nth = 1; nth <= calls; nth += Stride(100)) {
    Renew();
    const pid_t child = ::fork();
    if (child == 0) {
      LiveWithFault(nth, Fault::kKill, 0);
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    kills += WIFSIGNALED(status) ? 1U : 0U;
    ExpectAllIsWell(StrCat("killed at call ", nth));
    if (HasFailure()) return;
  }
  std::cout << "kills: at " << kills << " of " << calls << " calls, 0 lost" << std::endl;
}

}  // namespace stream_store::crash
