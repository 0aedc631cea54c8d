// SyncHelper: the thread that syncs one persistent Writer every few seconds or every so many bytes.
//
// Looks at `published` now and then and never takes the append flag, so that the thread that
// appends keeps its bias. In a forked child the thread does not exist and the object is left alone
// for ever (its mutex may be locked by nobody).
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

namespace stream_store::internal {

class Writer;

class SyncHelper {
 public:
  explicit SyncHelper(Writer& writer);
  SyncHelper(const SyncHelper&) = delete;
  SyncHelper& operator=(const SyncHelper&) = delete;
  ~SyncHelper();  ///< stops and joins; a sync under way is waited for

 private:
  void Run();

  Writer& writer_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace stream_store::internal
