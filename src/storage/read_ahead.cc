// The slow paths of ReadAhead, and the state of each thread.
#include "storage/read_ahead.h"

#include <atomic>

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kSampleEvery = 256;  // places

// Whether any mapping of this process was given the advice kScattered, so that Sequential() costs
// no system call in programs that never wait for a disk.
std::atomic<bool> scattered_once{false};

}  // namespace

ReadAhead::Thread& ReadAhead::ThisThread() noexcept {
  thread_local constinit Thread thread;
  return thread;
}

void ReadAhead::Begin() noexcept {
  whole_batch_ = true;
  Advise(view_, PageUse::kScattered);  // for each batch, because the store may have grown
  before_ = WaitsOfThread();
}

// Sleeps count as well: a page that was requested in time but has not arrived yet is a sleep, not a
// major fault, and the requests were useful.
void ReadAhead::End() noexcept {
  const PageWaits waits = WaitsOfThread();
  if (waits.major_faults != before_.major_faults || waits.sleeps != before_.sleeps) {
    thread_.calm_batches = 0;
  } else if (++thread_.calm_batches == kCalmBatches) {
    thread_.waits = false;
    Advise(view_, PageUse::kSequential);
  }
}

// Only a rise since the thread's own last sample counts, so the first sample of a thread may see
// faults from before its first read. That costs one batch of requests.
void ReadAhead::SampleFaults() noexcept {
  thread_.until_sample = kSampleEvery;
  const std::uint64_t faults = WaitsOfThread().major_faults;
  if (faults != thread_.major_faults && !thread_.waits) {
    thread_.waits = true;
    thread_.calm_batches = 0;
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
  AdvisePages(view.values + view.first_position, view.values + view.value_count, use);
  AdvisePages(view.records + view.begin_record, view.records + view.record_count, use);
  if (use == PageUse::kScattered) {
    scattered_once.store(true, std::memory_order_relaxed);
  }
}

}  // namespace stream_store::internal
