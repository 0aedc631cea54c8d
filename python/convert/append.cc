// append() and append_step().
//
// Both first convert all arguments to FieldWrites, during which foreign code may run, and then make
// one C++ call, during which none can. The C++ append stores all field-writes or none, and
// therefore so do these.

#include <algorithm>
#include <utility>

#include "convert/arguments.h"
#include "convert/arrays.h"
#include "convert/errors.h"
#include "convert/methods.h"
#include "convert/store.h"
#include "convert/value.h"

namespace stream_store::python {
namespace {

// The caller's list or tuple itself, or a new list with the items of another sequence.
class FastSequence {
 public:
  FastSequence(PyObject* object, const char* what) {
    if (PyList_CheckExact(object) || PyTuple_CheckExact(object)) {
      sequence_ = Borrow(object);
      return;
    }
    if (PyUnicode_Check(object) || PyBytes_Check(object) || PyDict_Check(object) ||
        !PySequence_Check(object)) {
      Throw(PyExc_TypeError, std::string("append: ") + what +
                                 " must be a sequence with an item for each field-write, not " +
                                 ShortRepr(object) + " (" + TypeName(object) + ")");
    }
    sequence_ = Own(PySequence_List(object));
  }

  Py_ssize_t size() const noexcept { return PySequence_Fast_GET_SIZE(sequence_.ptr()); }

  // Returns a borrowed reference. Checks the index, because foreign code may have shortened the
  // caller's list after its size was read.
  PyObject* at(Py_ssize_t place) const {
    if (place >= size()) {
      Throw(PyExc_ValueError, "append: a list changed its length while its items were converted");
    }
    return PySequence_Fast_GET_ITEM(sequence_.ptr(), place);
  }

 private:
  nb::object sequence_;
};

// Returns the step in any int. An exact int that fits is the frequent case.
Step ToStep(PyObject* step) {
  if (PyLong_CheckExact(step)) {
    int overflow = 0;
    const long long value = PyLong_AsLongLongAndOverflow(step, &overflow);
    if (overflow == 0) {
      return value;
    }
  }
  return AsInt64(step, "a step");
}

// The type id of the `place`-th name of a call.
TypeId TypeOf(StoreObject& store, const FieldTable& fields, std::size_t place, PyObject* name) {
  // The cache belongs to the current fields of the store. These are others than `fields` if foreign
  // code in a conversion has declared new ones; RequireFields() reports that later.
  const bool same = &store.fields() == &fields;
  const int known = same ? store.names().Find(place, name) : -1;
  if (known >= 0) {
    return static_cast<TypeId>(known);
  }
  const TypeId type = fields.Require(name);
  if (same && PyUnicode_CheckExact(name)) {
    store.names().Learn(place, name, type);
  }
  return type;
}

bool WorthReleasing(std::span<const FieldWrite> writes) {
  std::uint64_t items = 0;
  for (const FieldWrite& write : writes) {
    items += write.count();
  }
  return items >= kReleaseBytes;  // an item has at least one byte
}

// Makes the one C++ call and records the last step.
void Write(StoreObject& store, AppendLock& lock, StreamStore& writer, const Scratch& scratch,
           bool one_step) {
  const std::span<const FieldWrite> writes(scratch.writes);
  const auto work = [&] {
    if (one_step) {
      writer.Append(scratch.steps.front(), writes);
    } else {
      writer.Append(scratch.steps, writes);
    }
  };
  if (WorthReleasing(writes)) {
    lock.RunWithoutGil(work);
  } else {
    lock.RunWithGil(work);
  }
  store.NoteLastStep(scratch.steps.back());
}

// Whether one of the names is that of a struct. The hook then replaces it by the fields inside.
bool NamesStruct(const FieldTable& fields, const FastSequence& names) {
  for (Py_ssize_t i = 0; i < names.size(); ++i) {
    if (!fields.Find(names.at(i))) {
      return true;
    }
  }
  return false;
}

struct AppendArguments {
  nb::object steps;
  nb::object names;
  nb::object values;
  bool types_given = false;  // `names` are type ids, from the hook
};

// Converts the steps, and reports whether all are the same. Most calls repeat one int object for
// all field-writes, so a step is converted only if it is another object than the one before.
void ConvertSteps(PyObject* steps, Py_ssize_t count, Scratch& scratch, bool* one_step) {
  if (PyList_CheckExact(steps) || PyTuple_CheckExact(steps)) {
    const FastSequence list(steps, "steps");
    PyObject* first = nullptr;
    for (Py_ssize_t i = 0; i < count; ++i) {
      PyObject* step = list.at(i);
      if (step == first) {
        scratch.steps.push_back(scratch.steps.back());
        continue;
      }
      first = PyLong_CheckExact(step) ? step : nullptr;
      scratch.steps.push_back(ToStep(step));
    }
  } else {
    const Int64s array(steps, "steps", PyExc_ValueError);
    scratch.steps.assign(array.values().begin(), array.values().end());
    if (scratch.steps.size() != static_cast<std::size_t>(count)) {
      Throw(PyExc_ValueError, "append: steps changed their length while they were converted");
    }
  }
  *one_step = std::equal(scratch.steps.begin() + 1, scratch.steps.end(), scratch.steps.begin());
}

// The length of `steps`, which may also be a one-dimensional array.
Py_ssize_t CountOf(PyObject* sequence, const char* what) {
  if (PyArray_Check(sequence) && PyArray_NDIM(reinterpret_cast<PyArrayObject*>(sequence)) == 1) {
    return PyArray_DIM(reinterpret_cast<PyArrayObject*>(sequence), 0);
  }
  return FastSequence(sequence, what).size();
}

// append():
//   1. The lengths are compared, and names of structs replaced by the fields inside.
//   2. Steps, names and values are converted. Foreign code may run, append to this store, and even
//      declare other fields.
//   3. The append lock is acquired, and the fields are checked to be those of step 2.
//   4. One C++ call writes everything.
void AppendAll(PyObject* self, StoreObject& store, const AppendArguments& arguments) {
  StreamStore& writer = store.Writer("append");
  const std::shared_ptr<const FieldTable> fields = store.shared_fields();
  const FastSequence names(arguments.names.ptr(), "names");
  const FastSequence values(arguments.values.ptr(), "values");
  const Py_ssize_t count = names.size();
  const Py_ssize_t steps = CountOf(arguments.steps.ptr(), "steps");
  if (steps != count || values.size() != count) {
    Throw(PyExc_ValueError, "append: steps, names and values must have equal lengths but have " +
                                std::to_string(steps) + ", " + std::to_string(count) + " and " +
                                std::to_string(values.size()));
  }
  if (fields->has_structs() && !arguments.types_given && NamesStruct(*fields, names)) {
    const nb::object spread = CallHook("spread_append", self, arguments.steps.ptr(),
                                       arguments.names.ptr(), arguments.values.ptr());
    return AppendAll(
        self, store,
        {Own(PySequence_GetItem(spread.ptr(), 0)), Own(PySequence_GetItem(spread.ptr(), 1)),
         Own(PySequence_GetItem(spread.ptr(), 2)), true});
  }
  if (count == 0) {
    return;
  }
  const ScratchLease scratch(store.scratch());
  bool one_step = true;
  ConvertSteps(arguments.steps.ptr(), count, *scratch, &one_step);
  const Conversion conversion{self, *fields, *scratch};
  for (Py_ssize_t i = 0; i < count; ++i) {
    const TypeId type = arguments.types_given
                            ? fields->FromHook(names.at(i))
                            : TypeOf(store, *fields, static_cast<std::size_t>(i), names.at(i));
    scratch->writes.push_back(ConvertValue(conversion, type, values.at(i)));
  }
  AppendLock lock(store);
  store.RequireFields(*fields);
  Write(store, lock, writer, *scratch, one_step);
}

// --- append_step ---

struct StepItem {
  TypeId type;
  nb::object value;
};

// The items of any mapping in its own order, as new references: its methods may run any code.
std::vector<std::pair<nb::object, nb::object>> ItemsOf(PyObject* mapping) {
  std::vector<std::pair<nb::object, nb::object>> items;
  if (PyDict_CheckExact(mapping)) {
    items.reserve(static_cast<std::size_t>(PyDict_Size(mapping)));
    PyObject* key = nullptr;
    PyObject* value = nullptr;
    for (Py_ssize_t at = 0; PyDict_Next(mapping, &at, &key, &value) != 0;) {
      items.emplace_back(Borrow(key), Borrow(value));
    }
    return items;
  }
  if (PyObject_HasAttrString(mapping, "keys") == 0 ||
      PyObject_HasAttrString(mapping, "items") == 0) {
    Throw(PyExc_TypeError, "append_step: values must be a mapping of field names to values, not " +
                               ShortRepr(mapping) + " (" + TypeName(mapping) + ")");
  }
  const nb::object list = Own(PyMapping_Items(mapping));
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list.ptr()); ++i) {
    PyObject* pair = PyList_GET_ITEM(list.ptr(), i);
    items.emplace_back(Own(PySequence_GetItem(pair, 0)), Own(PySequence_GetItem(pair, 1)));
  }
  return items;
}

bool NamesStruct(const FieldTable& fields,
                 const std::vector<std::pair<nb::object, nb::object>>& items) {
  return std::ranges::any_of(
      items, [&fields](const auto& item) { return !fields.Find(item.first.ptr()); });
}

// The fields that are not None, by type id. Insertion sort, because callers usually pass the fields
// in declared order already.
std::vector<StepItem> SortedItems(PyObject* self, StoreObject& store, const FieldTable& fields,
                                  PyObject* mapping) {
  auto items = ItemsOf(mapping);
  bool types_given = false;
  if (fields.has_structs() && NamesStruct(fields, items)) {
    const nb::object spread = CallHook("spread_step", self, mapping);
    items = ItemsOf(spread.ptr());
    types_given = true;
  }
  std::vector<StepItem> sorted;
  sorted.reserve(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    const TypeId type = types_given ? fields.FromHook(items[i].first.ptr())
                                    : TypeOf(store, fields, i, items[i].first.ptr());
    if (items[i].second.is_none()) {
      continue;
    }
    auto place = sorted.end();
    while (place != sorted.begin() && (place - 1)->type > type) {
      --place;
    }
    sorted.insert(place, StepItem{type, std::move(items[i].second)});
  }
  return sorted;
}

// append_step(): the same steps as AppendAll() for one mapping. Returns the step.
Step AppendOneStep(PyObject* self, StoreObject& store, PyObject* mapping, PyObject* step) {
  StreamStore& writer = store.Writer("append_step");
  const std::shared_ptr<const FieldTable> fields = store.shared_fields();
  const std::vector<StepItem> items = SortedItems(self, store, *fields, mapping);
  const bool default_step = step == nullptr || step == Py_None;
  const ScratchLease scratch(store.scratch());
  scratch->steps.push_back(default_step ? 0 : ToStep(step));
  const Conversion conversion{self, *fields, *scratch};
  for (const StepItem& item : items) {
    scratch->writes.push_back(ConvertValue(conversion, item.type, item.value.ptr()));
  }
  AppendLock lock(store);
  store.RequireFields(*fields);
  if (default_step) {
    scratch->steps.front() = store.NextStep();  // only now: the conversions may have appended
  }
  Write(store, lock, writer, *scratch, true);
  return scratch->steps.front();
}

}  // namespace

PyObject* Append(PyObject* self, PyObject* const* args, Py_ssize_t count,
                 PyObject* names) noexcept {
  return Guarded([&]() -> PyObject* {
    static constexpr Parameters<3> kParameters{"append", {"steps", "names", "values"}, 3, 3};
    const auto given = kParameters.Sort(args, count, names);
    AppendAll(self, StoreOf(self), {Borrow(given[0]), Borrow(given[1]), Borrow(given[2]), false});
    Py_RETURN_NONE;
  });
}

PyObject* AppendStep(PyObject* self, PyObject* const* args, Py_ssize_t count,
                     PyObject* names) noexcept {
  return Guarded([&] {
    static constexpr Parameters<2> kParameters{"append_step", {"values", "step"}, 1, 2};
    const auto given = kParameters.Sort(args, count, names);
    return PyLong_FromLongLong(AppendOneStep(self, StoreOf(self), given[0], given[1]));
  });
}

}  // namespace stream_store::python
