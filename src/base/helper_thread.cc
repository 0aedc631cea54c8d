#include "base/helper_thread.h"

#include <utility>

#include "base/helper_executor.h"

namespace stream_store::internal {

// On the heap, so that a forked child can abandon it as a whole: it belongs to an executor whose
// mutex may be locked there.
struct HelperThread::Shared {
  HelperExecutor::Task task;
};

std::atomic<bool>& HelperThread::Allowed() noexcept {
  static constinit std::atomic<bool> allowed{true};
  return allowed;
}

HelperThread::HelperThread(Kind kind, std::function<Pause()> round)
    : shared_(new Shared{.task = {HelperExecutor::Get(kind), std::move(round)}}) {}

HelperThread::~HelperThread() {
  Stop();
  delete shared_;
}

bool HelperThread::Start() {
  return shared_ != nullptr && Allowed().load() && shared_->task.executor().Add(shared_->task);
}

void HelperThread::Wake() noexcept {
  if (shared_ != nullptr) {
    shared_->task.executor().Wake(shared_->task);
  }
}

void HelperThread::Stop() noexcept {
  if (shared_ != nullptr) {
    shared_->task.executor().Remove(shared_->task);
  }
}

}  // namespace stream_store::internal
