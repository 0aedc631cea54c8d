// KeptReader: how the Reader of a writer is taken away between its calls.
#include <memory>
#include <utility>

#include "stream_store/interop.h"

#include "base/fork_mutex.h"
#include "store/read_functions.h"

namespace stream_store::interop {

using internal::ForkMutexLock;
using internal::ReaderAccess;

// The mutex guards the pointers. The Reader itself is used without it: by the calls that own a copy of
// the pointer, or by LetGo() when no call owns one.
struct KeptReader::Impl {
  internal::ForkMutex mutex{internal::ForkMutex::Rank::kInner};
  std::shared_ptr<internal::ReadSource> source GUARDED_BY(mutex);
  std::shared_ptr<Reader> reader GUARDED_BY(mutex);  // null after LetGo()
};

KeptReader::KeptReader() : impl_(std::make_unique<Impl>()) {}

KeptReader::~KeptReader() = default;

void KeptReader::Set(Reader reader) {
  std::shared_ptr<internal::ReadSource> source = ReaderAccess::SourceOf(reader);
  auto made = std::make_shared<Reader>(std::move(reader));
  const ForkMutexLock lock(impl_->mutex);
  impl_->source.swap(source);  // the old ones are destroyed after the lock is released
  impl_->reader.swap(made);
}

void KeptReader::Reset() noexcept {
  std::shared_ptr<internal::ReadSource> source;
  std::shared_ptr<Reader> reader;
  const ForkMutexLock lock(impl_->mutex);
  impl_->source.swap(source);
  impl_->reader.swap(reader);
}

std::shared_ptr<Reader> KeptReader::Use() {
  const std::shared_ptr<Reader> reader = Last();
  if (reader != nullptr) {
    reader->Refresh();
  }
  return reader;
}

std::shared_ptr<Reader> KeptReader::Last() {
  std::shared_ptr<internal::ReadSource> source;
  {
    const ForkMutexLock lock(impl_->mutex);
    if (impl_->reader != nullptr || impl_->source == nullptr) {
      return impl_->reader;
    }
    source = impl_->source;
  }
  auto reader = std::make_shared<Reader>(ReaderAccess::Make(std::move(source)));
  const ForkMutexLock lock(impl_->mutex);
  impl_->reader = reader;
  return reader;
}

// A count of 1 cannot rise under the mutex. The Reader is destroyed without looking into it: only the
// last release of a pointer is ordered after all that its other owners did.
bool KeptReader::LetGo() noexcept {
  std::shared_ptr<Reader> reader;
  const ForkMutexLock lock(impl_->mutex);
  if (impl_->reader != nullptr && impl_->reader.use_count() > 1) {
    return false;
  }
  impl_->reader.swap(reader);
  return true;
}

}  // namespace stream_store::interop
