#include "convert/sampler_options.h"

#include <new>
#include <utility>

#include "convert/arrays.h"
#include "convert/errors.h"

namespace stream_store::python {
namespace {

PyObject* Take(const nb::dict& options, const char* name) {
  PyObject* value = PyDict_GetItemString(options.ptr(), name);
  if (value == nullptr) {
    Throw(PyExc_TypeError, std::string("sampler: the option '") + name + "' is missing");
  }
  return value;
}

// Two numbers for each range.
std::vector<RowRange> Ranges(PyObject* numbers) {
  const Int64s given(numbers, "exclude", PyExc_ValueError);
  std::vector<RowRange> ranges;
  for (std::size_t i = 0; i + 1 < given.size(); i += 2) {
    ranges.push_back({given.values()[i], given.values()[i + 1]});
  }
  return ranges;
}

std::uint64_t Count(const nb::dict& options, const char* name) {
  const std::int64_t count = AsInt64(Take(options, name), name);
  if (count < 0) {
    Throw(PyExc_ValueError, std::string(name) + " must not be negative");
  }
  return static_cast<std::uint64_t>(count);
}

bool Truth(const nb::dict& options, const char* name) {
  const int truth = PyObject_IsTrue(Take(options, name));
  Check(truth);
  return truth != 0;
}

bool Is(const nb::dict& options, const char* name, const char* text) {
  PyObject* value = Take(options, name);
  return PyUnicode_Check(value) && PyUnicode_CompareWithASCIIString(value, text) == 0;
}

// A tuple of the numbers and flags of Priorities, or None.
std::optional<Priorities> PrioritiesOf(PyObject* given) {
  if (given == Py_None) {
    return std::nullopt;
  }
  const auto item = [given](Py_ssize_t place) { return PyTuple_GetItem(given, place); };
  const auto number = [&](Py_ssize_t place) {
    const double value = PyFloat_AsDouble(item(place));
    Check(PyErr_Occurred() == nullptr ? 0 : -1);
    return value;
  };
  const auto is = [&](Py_ssize_t place, const char* text) {
    PyObject* value = item(place);
    return PyUnicode_Check(value) && PyUnicode_CompareWithASCIIString(value, text) == 0;
  };
  Priorities made{.alpha = number(0), .beta = number(1), .eps = number(2)};
  if (item(3) != Py_None) {
    made.initial = number(3);
  }
  made.normalize = is(4, "batch")   ? WeightNormalization::kBatch
                   : is(4, "store") ? WeightNormalization::kStore
                                    : WeightNormalization::kNone;
  made.stratified = PyObject_IsTrue(item(5)) == 1;
  made.mix = number(6);
  return made;
}

}  // namespace

void MakeSampler(SamplerObject* where, nb::list stores, nb::object group,
                 const nb::dict& options) {
  SamplerOptions made;
  made.length = Count(options, "length");
  made.unit = Is(options, "unit", "row") ? SampleUnit::kRow : SampleUnit::kValue;
  made.align = Is(options, "align", "row") ? SampleAlign::kRow : SampleAlign::kAny;
  made.batch_size = Count(options, "batch_size");
  made.replacement = Truth(options, "replacement");
  made.seed = Count(options, "seed");
  made.pad = Is(options, "pad", "right")  ? SamplePad::kRight
             : Is(options, "pad", "left") ? SamplePad::kLeft
                                          : SamplePad::kNone;
  made.lanes = Count(options, "lanes");
  made.first_row = AsInt64(Take(options, "first_row"), "rows");
  if (PyObject* last = Take(options, "last_row"); last != Py_None) {
    made.last_row = AsInt64(last, "rows");
  }
  made.rank = Count(options, "rank");
  made.world_size = Count(options, "world_size");
  made.drop_last = Truth(options, "drop_last");
  made.outside = Is(options, "outside", "edge")    ? SampleOutside::kEdge
                 : Is(options, "outside", "zero")  ? SampleOutside::kZero
                 : Is(options, "outside", "shift") ? SampleOutside::kShift
                                                   : SampleOutside::kSkip;
  made.tolerance_ns = AsInt64(Take(options, "tolerance_ns"), "tolerance");
  made.whole_segments = Truth(options, "whole_segments");
  made.exclude = Ranges(Take(options, "exclude"));
  made.priorities = PrioritiesOf(Take(options, "priorities"));
  new (where) SamplerObject({std::move(stores), std::move(group), made,
                             Borrow(Take(options, "segment_by")),
                             Borrow(Take(options, "lane_by")), Borrow(Take(options, "where")),
                             Borrow(Take(options, "require")), Borrow(Take(options, "offsets")),
                             Borrow(Take(options, "time_field")), Borrow(Take(options, "columns")),
                             Borrow(Take(options, "fields")), Borrow(Take(options, "max_length")),
                             Truth(options, "with_stores")});
}

nb::object NextPrefetched(Prefetch& prefetch) {
  nb::object batch = prefetch.Next();
  return batch.is_valid() ? std::move(batch) : nb::object(nb::none());
}

}  // namespace stream_store::python
