// What is known of each thread.
#include "storage/read_ahead.h"

#include <atomic>

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kLookEvery = 256;  // places

std::atomic<bool> scattered_once{false};  // some mapping of this process was told so

}  // namespace

ReadAhead::Thread& ReadAhead::ThisThread() noexcept {
  thread_local constinit Thread thread;
  return thread;
}

void ReadAhead::Begin() noexcept {
  from_the_beginning_ = true;
  Advise(view_, PageUse::kScattered);  // anew: there may be more of it now
  before_ = WaitsOfThread();
}

void ReadAhead::End() noexcept {
  const PageWaits waits = WaitsOfThread();
  if (waits.major_faults == before_.major_faults && waits.sleeps == before_.sleeps) {
    thread_.waits = false;
    Advise(view_, PageUse::kSequential);
  }
}

void ReadAhead::SampleFaults() noexcept {
  thread_.until_look = kLookEvery;
  const std::uint64_t faults = WaitsOfThread().major_faults;
  if (faults != thread_.major_faults && !thread_.waits) {
    thread_.waits = true;
    Advise(view_, PageUse::kScattered);
  }
  thread_.major_faults = faults;
}

void ReadAhead::Sequential(const View& view) noexcept {
  if (scattered_once.load(std::memory_order_relaxed)) {
    Advise(view, PageUse::kSequential);
  }
}

void ReadAhead::Advise(const View& view, PageUse use) noexcept {
  AdvisePages(view.values, view.values + view.value_count, use);
  AdvisePages(view.records, view.records + view.record_count, use);
  if (use == PageUse::kScattered) {
    scattered_once.store(true, std::memory_order_relaxed);
  }
}

}  // namespace stream_store::internal
