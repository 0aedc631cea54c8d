#include "convert/gil_mutex.h"

#include <chrono>
#include <thread>

#include "convert/python.h"
#include "convert/store.h"

namespace stream_store::python {
namespace {

// Of this process, under the GIL: a child changes them before any other thread runs in it.
std::uint64_t fork_count = 0;
std::uint64_t thread_count = 0;
std::uint64_t forking_thread = 0;  // the only thread that the last fork left

std::uint64_t ThisThread() noexcept {
  thread_local std::uint64_t number = 0;
  return number == 0 ? number = ++thread_count : number;
}

// Between two looks at a turn that another thread has.
constexpr std::chrono::microseconds kLookAgain(100);

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

bool GilMutex::lost() const noexcept {
  return owner_ != 0 && forks_ != fork_count && owner_ != forking_thread;
}

void GilMutex::Wait() {
  if (waiting_forks_ != fork_count) {
    waiting_forks_ = fork_count;  // who waited then is not in this process
    waiting_ = 0;
  }
  // A thread that calls again and again has the GIL whenever the turn is free: it must be made to
  // let go of it for as long as the others take to look.
  if (waiting_ > 0 && last_owner_ == ThisThread()) {
    SleepWithoutGil(3 * kLookAgain);
  }
  ++waiting_;
  while (taken()) {
    SleepWithoutGil(kLookAgain);
  }
  --waiting_;
}

void GilMutex::Take() noexcept {
  owner_ = last_owner_ = ThisThread();
  forks_ = fork_count;
}

GilMutex::Hold::Hold(GilMutex& turn, const char* inside) : turn_(turn) {
  if (turn.mine()) {
    Throw(PyExc_RuntimeError, inside);
  }
  turn.Wait();
  was_lost_ = turn.lost();
  turn.Take();
}

}  // namespace stream_store::python
