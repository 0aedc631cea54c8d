#include "convert/turn.h"

#include <chrono>

#include "convert/python.h"
#include "convert/store.h"

namespace stream_store::python {
namespace {

// Of this process, under the GIL: a child changes them before any other thread runs in it.
std::uint64_t fork_count = 0;
std::thread::id forking_thread{};  // the only thread that the last fork left

PyObject* NoteFork(PyObject* /*self*/, PyObject* /*none*/) {
  ++fork_count;
  forking_thread = std::this_thread::get_id();
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

// A thread of the child may have got the id of one that is lost, so ids alone do not tell.
bool Turn::lost() const noexcept {
  return owner_ != std::thread::id{} && forks_ != fork_count && owner_ != forking_thread;
}

void Turn::Wait() const {
  while (taken()) {
    const MaybeWithoutGil released(true);
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
}

void Turn::Take() noexcept {
  owner_ = std::this_thread::get_id();
  forks_ = fork_count;
}

Turn::Hold::Hold(Turn& turn, const char* inside) : turn_(turn) {
  if (turn.mine()) {
    Throw(PyExc_RuntimeError, inside);
  }
  turn.Wait();
  was_lost_ = turn.lost();
  turn.Take();
}

}  // namespace stream_store::python
