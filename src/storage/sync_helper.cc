#include "storage/sync_helper.h"

#include "base/threads.h"
#include "storage/writer.h"

namespace stream_store::internal {

SyncHelper::SyncHelper(Writer& writer)
    : writer_(writer), thread_(StartThreadWithoutSignals([this] { Run(); })) {}

SyncHelper::~SyncHelper() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void SyncHelper::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    const std::chrono::nanoseconds pause = writer_.SyncIfDue();
    lock.lock();
    changed_.wait_for(lock, pause, [this] { return stopping_; });
  }
}

}  // namespace stream_store::internal
