// GrowthHelper: the thread that allocates and faults in pages ahead of one Writer.
//
// Sleeps until Wake(). Never holds the append flag. In a forked child the thread does not exist and
// the object is left alone for ever (its mutex may be locked by nobody).
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

namespace stream_store::internal {

class Writer;

class GrowthHelper {
 public:
  explicit GrowthHelper(Writer& writer);
  GrowthHelper(const GrowthHelper&) = delete;
  GrowthHelper& operator=(const GrowthHelper&) = delete;
  ~GrowthHelper();  ///< stops and joins

  void Wake();

 private:
  void Run();

  Writer& writer_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool wanted_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace stream_store::internal
