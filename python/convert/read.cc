// Raw reads: store[indices], len(store) and windows(). The result has one array for each column.

#include <algorithm>
#include <array>
#include <limits>

#include "convert/arguments.h"
#include "convert/arrays.h"
#include "convert/assert.h"
#include "convert/errors.h"
#include "convert/methods.h"
#include "convert/store.h"
#include "convert/window_columns.h"

namespace stream_store::python {
namespace {

// Runs a read of `bytes` bytes. A large one runs without the GIL, on a copy of the reader and on
// private inputs, because other threads may refresh the store or change the caller's array
// meanwhile.
template <class Read>
void RunRead(const std::shared_ptr<Reader>& reader, std::uint64_t bytes, Int64s* input,
             Read&& read) {
  if (reader == nullptr) {
    return;  // no fields are declared, so there are no values and nothing to read
  }
  if (bytes < kReleaseBytes) {
    read(*reader);
    return;
  }
  if (input != nullptr) {
    input->MakePrivate();
  }
  // Another thread may refresh the reader without the GIL.
  // NOLINTNEXTLINE(performance-unnecessary-copy-initialization)
  const Reader copy(*reader);
  const MaybeWithoutGil released(true);
  read(copy);
}

[[noreturn]] void ThrowOutside(std::int64_t position, std::uint64_t size) {
  throw Error(ErrorCode::kOutOfRange, "position " + std::to_string(position) + " is outside [0, " +
                                          std::to_string(size) + ")");
}

// Replaces negative positions, which count from the end. The first loop finds out without a branch
// for each position whether there are any.
void Wrap(Int64s& positions, std::uint64_t size) {
  std::int64_t signs = 0;
  for (const std::int64_t position : positions.values()) {
    signs |= position;
  }
  if (signs >= 0) {
    return;
  }
  std::int64_t* own = positions.MakePrivate();
  const auto end = static_cast<std::int64_t>(size);
  for (std::size_t i = 0; i < positions.size(); ++i) {
    if (own[i] < 0) {
      if (own[i] < -end) {
        ThrowOutside(own[i], size);
      }
      own[i] += end;
    }
  }
}

// Whether the positions are consecutive, so that one block copy reads them. The loop has no
// branches, so that the compiler can vectorise it. REQUIRES: !positions.empty()
bool IsRun(std::span<const std::int64_t> positions) {
  STREAM_STORE_ASSERT(!positions.empty());
  const auto first = static_cast<std::uint64_t>(positions.front());
  std::uint64_t differences = 0;
  for (std::size_t i = 0; i < positions.size(); ++i) {
    differences |= (static_cast<std::uint64_t>(positions[i]) - first) ^ i;
  }
  return differences == 0;
}

// store[start:stop:step]. A slice without gaps is one window, which is copied in blocks. A bound that
// is omitted at the front is the first position that is retained; one that is given is not moved
// there, so the read refuses it if it was dropped.
PyObject* GetSlice(StoreObject& store, PyObject* slice) {
  Py_ssize_t start = 0;
  Py_ssize_t stop = 0;
  Py_ssize_t step = 0;
  Check(PySlice_Unpack(slice, &start, &stop, &step));
  const std::shared_ptr<Reader> reader = store.Refresh();
  const auto size = static_cast<Py_ssize_t>(reader == nullptr ? 0 : reader->size());
  const auto first = static_cast<Py_ssize_t>(reader == nullptr ? 0 : reader->first_position());
  const auto* given = reinterpret_cast<PySliceObject*>(slice);
  if (step > 0 && given->start == Py_None) {
    start = first;
  } else if (step < 0 && given->stop == Py_None && first > 0) {
    stop = first - 1;
  }
  const Py_ssize_t count = PySlice_AdjustIndices(size, &start, &stop, step);
  const auto places = static_cast<std::uint64_t>(count);
  WindowsOutput outputs;
  outputs.AddItemColumns(Shape{count}, places);
  if (count > 0 && step == 1) {
    const Position position = start;
    RunRead(store.Current(), outputs.bytes, nullptr, [&](const Reader& from) {
      from.ReadWindows(std::span(&position, 1), places, outputs.out);
    });
  } else if (count > 0) {
    std::vector<Position> positions(places);
    for (std::size_t i = 0; i < positions.size(); ++i) {
      positions[i] = start + static_cast<Position>(i) * step;
    }
    RunRead(store.Current(), outputs.bytes, nullptr,
            [&](const Reader& from) { from.Gather(positions, outputs.out); });
  }
  return outputs.dict.release().ptr();
}

// store[positions]. Consecutive positions, as a data loader often asks for, are read as one window.
PyObject* GetPositions(StoreObject& store, PyObject* index) {
  Int64s positions(index, "positions");
  const std::shared_ptr<Reader> refreshed = store.Refresh();
  const std::uint64_t size = refreshed == nullptr ? 0 : refreshed->size();
  Wrap(positions, size);
  WindowsOutput outputs;
  outputs.AddItemColumns(positions.shape(), positions.size());
  if (positions.size() == 0) {
    return outputs.dict.release().ptr();
  }
  const std::shared_ptr<Reader> reader = store.Current();
  if (reader == nullptr) {
    ThrowOutside(positions.data()[0], size);
  }
  RunRead(reader, outputs.bytes, &positions, [&](const Reader& from) {
    const std::span<const Position> values = positions.values();
    const auto last = static_cast<std::uint64_t>(values.back());
    if (IsRun(values) && last < from.size()) {
      from.ReadWindows(values.first(1), values.size(), outputs.out);
    } else {
      from.Gather(values, outputs.out);
    }
  });
  return outputs.dict.release().ptr();
}

[[noreturn]] void RefuseIndex(PyObject* index) {
  if (PyTuple_Check(index)) {
    Throw(PyExc_TypeError,
          "a store has one dimension: index it with an int, a slice or an int array of any shape, "
          "not a tuple");
  }
  Throw(PyExc_TypeError,
        "positions must be ints, not " + ShortRepr(index) + "; store[:] reads everything");
}

// The arrays in `out` by column. Every key must be one of the wanted columns.
std::array<nb::object, kColumnIds> GivenOutputs(PyObject* out,
                                                const std::vector<ColumnId>& wanted) {
  std::array<nb::object, kColumnIds> given;
  if (out == nullptr || out == Py_None) {
    return given;
  }
  if (PyObject_HasAttrString(out, "keys") == 0) {
    Throw(PyExc_TypeError,
          "windows: out must be a mapping of columns to arrays, not " + TypeName(out));
  }
  const nb::object items = Own(PyMapping_Items(out));
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items.ptr()); ++i) {
    PyObject* pair = PyList_GET_ITEM(items.ptr(), i);
    const nb::object name = Own(PySequence_GetItem(pair, 0));
    const ColumnId id = FindColumn(name.ptr(), "windows");
    if (std::ranges::find(wanted, id) == wanted.end()) {
      Throw(PyExc_ValueError, "windows: out has " + ShortRepr(name.ptr()) +
                                  ", which is not one of the requested columns");
    }
    given[static_cast<std::size_t>(id)] = Own(PySequence_GetItem(pair, 1));
  }
  return given;
}

// Throws the error of the core for windows wider than the store, whose outputs might not fit into
// memory. All other starts are checked by the read itself, before it writes anything. Returns the
// refreshed reader.
std::shared_ptr<Reader> CheckWidth(StoreObject& store, const Int64s& starts, std::uint64_t width) {
  const std::shared_ptr<Reader> reader = store.Refresh();
  if (reader == nullptr && starts.size() > 0) {
    throw Error(ErrorCode::kOutOfRange,
                "windows: no fields are declared yet, so there are no values");
  }
  if (reader != nullptr && width > reader->size() - reader->first_position()) {
    reader->ReadWindows(starts.values(), width, WindowsOut{});
  }
  return reader;
}

// windows(). The arguments are converted before the store is refreshed, because conversions may
// append.
PyObject* ReadWindows(StoreObject& store, PyObject* given_starts, std::int64_t width,
                      PyObject* columns, PyObject* out) {
  if (width < 1) {
    Throw(PyExc_ValueError, "windows: width must be at least 1 but is " + std::to_string(width));
  }
  Int64s starts(given_starts, "starts");
  const std::vector<ColumnId> wanted = WantedColumns(columns, "windows");
  const auto given = GivenOutputs(out, wanted);
  if (out != nullptr) {
    starts.MakePrivate();  // `out` may share memory with the starts
  }
  const std::shared_ptr<Reader> refreshed =
      CheckWidth(store, starts, static_cast<std::uint64_t>(width));
  Shape shape = starts.shape();
  shape += static_cast<npy_intp>(width);
  const std::uint64_t places = shape.places();
  WindowsOutput outputs;
  for (const ColumnId id : wanted) {
    outputs.Add(id, shape, places, given[static_cast<std::size_t>(id)].ptr());
  }
  if (places > 0) {
    RunRead(store.Current(), outputs.bytes, &starts, [&](const Reader& from) {
      from.ReadWindows(starts.values(), static_cast<std::uint64_t>(width), outputs.out);
    });
  }
  return outputs.dict.release().ptr();
}

}  // namespace

PyObject* GetItem(PyObject* self, PyObject* index) noexcept {
  return Guarded([&] {
    if (PyUnicode_Check(index)) {
      return PyObject_CallMethod(self, "column", "O", index);
    }
    StoreObject& store = StoreOf(self);
    if (PyTuple_Check(index) || index == Py_None || index == Py_Ellipsis) {
      RefuseIndex(index);
    }
    return PySlice_Check(index) ? GetSlice(store, index) : GetPositions(store, index);
  });
}

Py_ssize_t Length(PyObject* self) noexcept {
  Py_ssize_t length = -1;
  PyObject* done = Guarded([&] {
    length = static_cast<Py_ssize_t>(StoreOf(self).size());
    return Py_None;
  });
  return done == nullptr ? -1 : length;
}

PyObject* Windows(PyObject* self, PyObject* const* args, Py_ssize_t count,
                  PyObject* names) noexcept {
  return Guarded([&] {
    static constexpr Parameters<4> kParameters{
        "windows", {"starts", "width", "columns", "out"}, 2, 2};
    const auto given = kParameters.Sort(args, count, names);
    return ReadWindows(StoreOf(self), given[0], AsInt64(given[1], "width"), given[2], given[3]);
  });
}

}  // namespace stream_store::python
