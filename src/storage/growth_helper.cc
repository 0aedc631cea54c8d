#include "storage/growth_helper.h"

#include "base/threads.h"
#include "storage/writer.h"

namespace stream_store::internal {

GrowthHelper::GrowthHelper(Writer& writer)
    : writer_(writer), thread_(StartThreadWithoutSignals([this] { Run(); })) {}

GrowthHelper::~GrowthHelper() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void GrowthHelper::Wake() {
  {
    const std::scoped_lock lock(mutex_);
    wanted_ = true;
  }
  changed_.notify_one();
}

void GrowthHelper::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return wanted_ || stopping_; });
    if (stopping_) {
      return;
    }
    wanted_ = false;
    lock.unlock();
    try {
      writer_.GrowAhead();
    } catch (const Error&) {
      // No room ahead: the append that needs it will say so.
    }
    lock.lock();
  }
}

}  // namespace stream_store::internal
