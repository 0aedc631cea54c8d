// The long calls. They run without the GIL on a copy of the reader, and check for Ctrl-C.

#include "convert/verify.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <thread>

#include "stream_store/verify.h"

#include "convert/errors.h"

namespace stream_store::python {
namespace {

using std::chrono::steady_clock;

constexpr auto kCheckInterval = std::chrono::milliseconds(50);  // of signals and progress

// Reports the progress of a call to Python, at most once in each interval.
class ProgressCaller {
 public:
  explicit ProgressCaller(nb::handle progress) : progress_(progress) {}

  void operator()(std::uint64_t done, std::uint64_t total) {
    const auto now = steady_clock::now();
    if (now < next_ && done < total) {
      return;
    }
    next_ = now + kCheckInterval;
    const nb::gil_scoped_acquire held;
    Check(PyErr_CheckSignals());
    if (!progress_.is_none()) {
      Own(PyObject_CallFunction(progress_.ptr(), "KK", static_cast<unsigned long long>(done),
                                static_cast<unsigned long long>(total)));
    }
  }

 private:
  nb::handle progress_;
  steady_clock::time_point next_{};
};

// Wraps the Python callable. Throws TypeError if it is neither callable nor None.
Progress ProgressOf(nb::handle progress) {
  if (!progress.is_none() && PyCallable_Check(progress.ptr()) == 0) {
    Throw(PyExc_TypeError, "progress must be callable or None, not " + ShortRepr(progress.ptr()));
  }
  return ProgressCaller(progress);
}

// Decodes a text that may contain bytes that are not UTF-8, such as the name of a file.
nb::object ReportText(const std::string& text) {
  return Own(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "backslashreplace"));
}

nb::object ReportNumber(std::uint64_t number) { return Own(PyLong_FromUnsignedLongLong(number)); }

nb::object FindingsOf(const std::vector<Finding>& findings) {
  nb::object list = Own(PyTuple_New(static_cast<Py_ssize_t>(findings.size())));
  for (std::size_t i = 0; i < findings.size(); ++i) {
    const Finding& finding = findings[i];
    const bool damage = finding.severity == Finding::Severity::kDamage;
    nb::object one = Own(PyTuple_Pack(
        6, ReportText(damage ? "damage" : "notice").ptr(), ReportText(finding.file).ptr(),
        ReportNumber(finding.offset).ptr(), ReportText(finding.subject).ptr(),
        ReportText(finding.expected).ptr(), ReportText(finding.found).ptr()));
    PyTuple_SET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i), one.release().ptr());
  }
  return list;
}

nb::object GapsOf(const std::vector<Gap>& gaps) {
  nb::object list = Own(PyTuple_New(static_cast<Py_ssize_t>(gaps.size())));
  for (std::size_t i = 0; i < gaps.size(); ++i) {
    nb::object one =
        Own(PyTuple_Pack(4, ReportNumber(gaps[i].first_row).ptr(), ReportNumber(gaps[i].rows).ptr(),
                         ReportNumber(gaps[i].new_row).ptr(), ReportText(gaps[i].reason).ptr()));
    PyTuple_SET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i), one.release().ptr());
  }
  return list;
}

nb::object ReportOf(const VerifyReport& report) {
  return Own(
      PyTuple_Pack(12, FindingsOf(report.findings).ptr(), ReportNumber(report.damages).ptr(),
                   ReportNumber(report.notices).ptr(), nb::bool_(report.live).ptr(),
                   ReportNumber(report.records).ptr(), ReportNumber(report.rows).ptr(),
                   ReportNumber(report.values).ptr(), ReportNumber(report.good_records).ptr(),
                   ReportNumber(report.good_rows).ptr(), ReportNumber(report.good_values).ptr(),
                   ReportNumber(report.bytes).ptr(), nb::bool_(report.ok()).ptr()));
}

// A copy of the refreshed reader. Throws RuntimeError if no fields are declared.
Reader RefreshedReader(StoreObject& store, const char* what) {
  const std::shared_ptr<Reader> reader = store.Refresh();
  if (reader == nullptr) {
    Throw(PyExc_RuntimeError,
          std::string(what) + ": no fields are declared yet; call define_fields() first");
  }
  return *reader;
}

}  // namespace

nb::object VerifyPath(nb::handle path, nb::handle progress) {
  const std::filesystem::path native = NativePath(path);
  const Progress report_progress = ProgressOf(progress);
  VerifyReport report;
  {
    const MaybeWithoutGil released(true);
    report = Verify(native, VerifyOptions{.progress = report_progress});
  }
  return ReportOf(report);
}

nb::object VerifyStore(StoreObject& store, nb::handle progress) {
  const Progress report_progress = ProgressOf(progress);
  const Reader reader = RefreshedReader(store, "verify");
  VerifyReport report;
  {
    const MaybeWithoutGil released(true);
    report = Verify(reader, VerifyOptions{.progress = report_progress});
  }
  return ReportOf(report);
}

nb::object RepairPath(nb::handle path, nb::handle into, bool truncate_at_damage,
                      nb::handle progress) {
  const std::filesystem::path from = NativePath(path);
  const std::filesystem::path to = NativePath(into);
  const Progress report_progress = ProgressOf(progress);
  RepairReport report;
  {
    const MaybeWithoutGil released(true);
    report =
        Repair(from, to, {.truncate_at_damage = truncate_at_damage, .progress = report_progress});
  }
  return Own(PyTuple_Pack(7, ReportNumber(report.records).ptr(), ReportNumber(report.rows).ptr(),
                          ReportNumber(report.values).ptr(), ReportNumber(report.rows_lost).ptr(),
                          ReportNumber(report.gap_count).ptr(), GapsOf(report.gaps).ptr(),
                          FindingsOf(report.findings).ptr()));
}

std::uint64_t CheckpointStore(StoreObject& store, nb::handle path, bool update,
                              nb::handle progress) {
  const std::filesystem::path native = NativePath(path);
  const Progress report_progress = ProgressOf(progress);
  const Reader reader = RefreshedReader(store, "checkpoint");
  const MaybeWithoutGil released(true);
  return update ? reader.UpdateCheckpoint(native, report_progress)
                : reader.Checkpoint(native, report_progress);
}

bool Wait(StoreObject& store, nb::handle num_rows, nb::handle timeout) {
  const std::int64_t wanted = AsInt64(num_rows.ptr(), "num_rows");
  double seconds = 1e9;
  if (!timeout.is_none()) {
    seconds = PyFloat_AsDouble(timeout.ptr());
    if (seconds == -1.0 && PyErr_Occurred() != nullptr) {
      if (PyErr_ExceptionMatches(PyExc_TypeError) == 0) {
        nb::raise_python_error();
      }
      PyErr_Clear();
      Throw(PyExc_TypeError, "timeout must be seconds or None, not " + ShortRepr(timeout.ptr()) +
                                 " (" + TypeName(timeout.ptr()) + ")");
    }
    if (std::isnan(seconds)) {
      Throw(PyExc_ValueError, "timeout must be seconds or None, not nan");
    }
  }
  const auto until =
      steady_clock::now() + std::chrono::duration_cast<steady_clock::duration>(
                                std::chrono::duration<double>(std::clamp(seconds, 0.0, 1e9)));
  const auto rows = static_cast<std::uint64_t>(std::max<std::int64_t>(wanted, 0));
  while (store.rows() < rows) {
    const auto left = until - steady_clock::now();
    if (left <= steady_clock::duration(0) || store.is_snapshot()) {
      return false;
    }
    Check(PyErr_CheckSignals());
    const auto slice = std::min<steady_clock::duration>(left, kCheckInterval);
    if (const std::shared_ptr<Reader> reader = store.Current()) {
      Reader copy(*reader);
      const MaybeWithoutGil released(true);
      copy.Wait(rows, slice);
    } else {  // no fields are declared yet, so there is nothing in C++ to wait for
      const MaybeWithoutGil released(true);
      std::this_thread::sleep_for(
          std::min<steady_clock::duration>(slice, std::chrono::milliseconds(2)));
    }
  }
  return true;
}

}  // namespace stream_store::python
