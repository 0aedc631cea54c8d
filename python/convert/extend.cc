// extend(): converts every column, checks that their lengths agree, and makes one C++ call.

#include <algorithm>
#include <memory>
#include <numeric>

#include "convert/arguments.h"
#include "convert/arrays.h"
#include "convert/column.h"
#include "convert/errors.h"
#include "convert/methods.h"
#include "convert/store.h"

namespace stream_store::python {
namespace {

using Columns = std::vector<std::pair<TypeId, std::unique_ptr<ColumnData>>>;

// The (name, column) pairs of a mapping; invalid for any other object.
nb::object Items(PyObject* columns) {
  if (PyDict_CheckExact(columns)) {
    return Own(PyDict_Items(columns));
  }
  if (PyObject_HasAttrString(columns, "keys") == 0 ||
      PyObject_HasAttrString(columns, "items") == 0) {
    return {};
  }
  return Own(PyMapping_Items(columns));
}

// Converts the columns and sorts them into declared order. If the columns are no mapping, but for
// example a list of rows, or if a name is that of a struct, the hook first replaces them by a
// mapping of type ids to the columns of the fields inside.
Columns ReadColumns(PyObject* self, const FieldTable& fields, Scratch& scratch, PyObject* given) {
  nb::object items = Items(given);
  const auto name_at = [&items](Py_ssize_t i) {
    return Own(PySequence_GetItem(PyList_GET_ITEM(items.ptr(), i), 0));
  };
  bool types_given = !items.is_valid();
  for (Py_ssize_t i = 0; !types_given && fields.has_structs() && i < PyList_GET_SIZE(items.ptr());
       ++i) {
    types_given = !fields.Find(name_at(i).ptr());
  }
  if (types_given) {
    items = Items(CallHook("spread_columns", self, given).ptr());
  }
  const Conversion conversion{self, fields, scratch};
  Columns columns;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items.ptr()); ++i) {
    const nb::object name = name_at(i);
    const nb::object column = Own(PySequence_GetItem(PyList_GET_ITEM(items.ptr(), i), 1));
    const TypeId type = types_given ? fields.FromHook(name.ptr()) : fields.Require(name.ptr());
    columns.emplace_back(type, std::make_unique<ColumnData>(conversion, type, column.ptr()));
  }
  std::ranges::stable_sort(columns, [](const auto& a, const auto& b) { return a.first < b.first; });
  return columns;
}

// The number of rows, on which all columns and the steps must agree.
std::size_t RowsOf(const FieldTable& fields, const Columns& columns,
                   const std::optional<Int64s>& steps) {
  if (columns.empty()) {
    return steps ? steps->size() : 0;
  }
  const std::size_t rows = columns.front().second->rows();
  for (const auto& [type, column] : columns) {
    if (column->rows() != rows) {
      Throw(PyExc_ValueError, "extend: columns must have equal lengths but there are " +
                                  std::to_string(rows) + " rows of field " +
                                  fields[columns.front().first].text + " and " +
                                  std::to_string(column->rows()) + " of " + fields[type].text);
    }
  }
  if (steps && steps->size() != rows) {
    Throw(PyExc_ValueError, "extend: steps and columns must have equal lengths but found " +
                                std::to_string(steps->size()) + " and " + std::to_string(rows));
  }
  return rows;
}

// extend(): the same steps as append(). Returns the number of rows. The default steps are made
// after the lock is acquired, because the conversions may have appended.
std::size_t ExtendRows(PyObject* self, StoreObject& store, PyObject* mapping,
                       PyObject* given_steps) {
  StreamStore& writer = store.Writer("extend");
  const std::shared_ptr<const FieldTable> fields = store.shared_fields();
  const ScratchLease scratch(store.scratch());
  const Columns data = ReadColumns(self, *fields, *scratch, mapping);
  std::optional<Int64s> steps;
  if (given_steps != nullptr && given_steps != Py_None) {
    steps.emplace(given_steps, "steps", PyExc_ValueError);
    if (steps->shape().size() != 1) {
      Throw(PyExc_ValueError, "extend: steps must be one-dimensional, with a step for each row");
    }
  }
  const std::size_t rows = RowsOf(*fields, data, steps);
  if (rows == 0) {
    return 0;
  }
  std::vector<Column> columns;
  std::uint64_t bytes = 8 * rows;
  for (const auto& [type, column] : data) {
    columns.push_back(column->column());
    bytes += column->bytes();
  }
  AppendLock lock(store);
  store.RequireFields(*fields);
  if (steps) {
    scratch->steps.assign(steps->values().begin(), steps->values().end());
  } else {
    scratch->steps.resize(rows);
    const Step first = store.NextStep();
    Step last = 0;
    if (__builtin_add_overflow(first, static_cast<Step>(rows) - 1, &last)) {
      Throw(PyExc_ValueError, "extend: the steps would exceed 2**63 - 1; pass them");
    }
    std::iota(scratch->steps.begin(), scratch->steps.end(), first);
  }
  const auto work = [&] { writer.Extend(scratch->steps, columns); };
  if (bytes >= kReleaseBytes) {
    lock.RunWithoutGil(work);
  } else {
    lock.RunWithGil(work);
  }
  store.NoteLastStep(scratch->steps.back());
  return rows;
}

}  // namespace

PyObject* Extend(PyObject* self, PyObject* const* args, Py_ssize_t count,
                 PyObject* names) noexcept {
  return Guarded([&] {
    static constexpr Parameters<2> kParameters{"extend", {"columns", "steps"}, 1, 2};
    const auto given = kParameters.Sort(args, count, names);
    return PyLong_FromSize_t(ExtendRows(self, StoreOf(self), given[0], given[1]));
  });
}

}  // namespace stream_store::python
