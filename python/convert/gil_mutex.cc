#include "convert/gil_mutex.h"

#include <chrono>
#include <thread>

#include "convert/assert.h"
#include "convert/python.h"
#include "convert/store.h"

namespace stream_store::python {
namespace {

// Guarded by the GIL. After a fork, the child updates them before any other thread can run in it.
std::uint64_t fork_count = 0;
std::uint64_t thread_count = 0;
std::uint64_t forking_thread = 0;  // the thread that called the last fork, the only one copied

std::uint64_t ThisThread() noexcept {
  thread_local std::uint64_t number = 0;
  return number == 0 ? number = ++thread_count : number;
}

// The time between two checks of a mutex that another thread owns. Polling keeps this class free of
// condition variables, which would not survive a fork.
constexpr std::chrono::microseconds kPollInterval(100);

void SleepWithoutGil(std::chrono::microseconds time) {
  const MaybeWithoutGil released(true);
  std::this_thread::sleep_for(time);
}

PyObject* NoteFork(PyObject* /*self*/, PyObject* /*none*/) {
  ++fork_count;
  forking_thread = ThisThread();
  Py_RETURN_NONE;
}

}  // namespace

void WatchForks() {
  static PyMethodDef note_fork{"note_fork", NoteFork, METH_NOARGS, nullptr};
  const nb::object os = Own(PyImport_ImportModule("os"));
  const nb::object watch = Own(PyObject_GetAttrString(os.ptr(), "register_at_fork"));
  const nb::dict hooks;
  hooks["after_in_child"] = Own(PyCFunction_New(&note_fork, nullptr));
  Own(PyObject_Call(watch.ptr(), nb::tuple().ptr(), hooks.ptr()));
}

std::uint64_t ForkCount() noexcept { return fork_count; }

bool GilMutex::mine() const noexcept { return owner_ == ThisThread() && !lost(); }

// The forking thread is in the child too, so a mutex that it owned is not lost.
bool GilMutex::lost() const noexcept {
  return owner_ != 0 && forks_ != fork_count && owner_ != forking_thread;
}

void GilMutex::Wait() {
  STREAM_STORE_ASSERT(!mine());
  if (waiting_forks_ != fork_count) {
    waiting_forks_ = fork_count;  // the threads that waited do not exist in this process
    waiting_ = 0;
  }
  // A thread that calls in a loop holds the GIL whenever the mutex is free, so the waiting threads
  // would never find it free. It must release the GIL for longer than their poll interval.
  if (waiting_ > 0 && last_owner_ == ThisThread()) {
    SleepWithoutGil(3 * kPollInterval);
  }
  ++waiting_;
  while (taken()) {
    SleepWithoutGil(kPollInterval);
  }
  --waiting_;
}

void GilMutex::Take() noexcept {
  STREAM_STORE_ASSERT(!taken());
  owner_ = last_owner_ = ThisThread();
  forks_ = fork_count;
}

GilMutex::Hold::Hold(GilMutex& mutex, const char* inside) : mutex_(mutex) {
  if (mutex.mine()) {
    Throw(PyExc_RuntimeError, inside);
  }
  mutex.Wait();
  was_lost_ = mutex.lost();
  mutex.Take();
}

}  // namespace stream_store::python
