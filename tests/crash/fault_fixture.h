// FaultFixture: runs a life of a store again and again, with a fault at each system call in turn, and
// a kill at each.
//
// A test derives from it, and defines a life and the checks that follow it.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <new>
#include <string>

#include <gtest/gtest.h>
#include <sys/mman.h>

#include "stream_store/error.h"

#include "crash/place.h"
#include "crash/shim.h"

namespace stream_store::crash {

/// An object that processes share, so that it survives the one that stores into it.
template <class Object>
class SharedObject {
 public:
  SharedObject() {
    void* page =
        ::mmap(nullptr, sizeof(Object), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) std::abort();
    object_ = new (page) Object;
  }

  SharedObject(const SharedObject&) = delete;
  SharedObject& operator=(const SharedObject&) = delete;

  ~SharedObject() { ::munmap(object_, sizeof(Object)); }

  Object* operator->() const noexcept { return object_; }

  Object& operator*() const noexcept { return *object_; }

 private:
  Object* object_;
};

class FaultFixture : public ::testing::Test {
 protected:
  FaultFixture() { MakePlace(); }

  /// Everything that the library is asked to do, each call through Refused().
  virtual void Live() = 0;

  /// Forgets the life before.
  virtual void Renew() = 0;

  /// Checks the store, with the real calls.
  virtual void ExpectAllIsWell(const std::string& what) = 0;

  /// Makes `place_` an empty directory.
  void MakePlace();

  /// Makes a call. Returns whether it threw, and expects only the errors that the library may throw
  /// for a failed system call.
  bool Refused(const std::function<void()>& call);

  /// Checks that no hidden directory of an unfinished store of that name is left.
  void ExpectNoLeftovers(const std::string& name) const;

  /// The distance between calls that fail, so that about `percent` of them are tested.
  static std::uint64_t Stride(std::uint64_t percent);

  std::uint64_t CallsOfALife();
  void FailAnyCall();    ///< each call fails in turn, once or from then on, with each errno
  void KillAtAnyCall();  ///< the process is killed at each call in turn

  FastDirectory scratch_;
  const std::filesystem::path place_ = scratch_ / "place";
  const std::filesystem::path path_ = place_ / "store";
  std::uint64_t refused_ = 0;

 private:
  std::string LiveWithFault(std::uint64_t nth, Shim::Fault fault, int error);
};

}  // namespace stream_store::crash
