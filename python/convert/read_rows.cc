// read_rows(): reads the rows that the caller names with one C++ ReadRows().

#include <utility>

#include "convert/arguments.h"
#include "convert/arrays.h"
#include "convert/batch_tree.h"
#include "convert/errors.h"
#include "convert/methods.h"
#include "convert/row_numbers.h"
#include "convert/rows_output.h"
#include "convert/store.h"

namespace stream_store::python {
namespace {

constexpr const char* kCall = "read_rows";

// Windows of rows that begin at the requested rows, read through a copy of the reader that no other
// call refreshes.
class RequestedRows : public RowsReader {
 public:
  RequestedRows(Reader reader, Int64s& rows, std::uint64_t length)
      : reader_(std::move(reader)), rows_(rows), length_(length) {}

  std::uint64_t Longest(TypeId type) const override {
    return reader_.LongestInRows(rows_.values(), length_, type);
  }

  std::shared_ptr<const void> Read(std::span<const RowsColumn> columns,
                                   Step* steps) const override {
    return reader_.ReadRows(rows_.values(), length_, columns, steps);
  }

 private:
  const Reader reader_;
  Int64s& rows_;
  std::uint64_t length_;
};

// The store is refreshed twice: once to know the fields, which the conversion of the arguments
// needs, and again after it, because the conversion may have appended rows or declared other
// fields.
nb::object ReadAll(PyObject* self, const std::array<PyObject*, 5>& given) {
  StoreObject& store = StoreOf(self);
  store.Refresh();
  std::shared_ptr<const FieldTable> fields = store.shared_fields();
  RowNumbers numbers(given[0]);
  const BatchTree tree(self, *fields, given[2], kCall);
  const nb::object out = tree.FlatOut(given[3]);
  const nb::object max_length = tree.FlatLengths(given[4]);
  std::int64_t length = 1;
  if (given[1] != nullptr && given[1] != Py_None) {
    length = AsInt64(given[1], "length");
    if (length < 1) {
      Throw(PyExc_ValueError,
            "read_rows: length must be at least 1 but is " + std::to_string(length));
    }
  }
  const std::shared_ptr<Reader> reader = store.Refresh();
  if (reader == nullptr) {
    Throw(PyExc_IndexError, "read_rows: no fields are declared yet, so there are no rows");
  }
  store.RequireFields(*fields);
  fields = store.shared_fields();  // the rows may have fields that were added meanwhile
  // Before the outputs are allocated, whose size may depend on the rows.
  numbers.Resolve(static_cast<std::int64_t>(reader->first_row()),
                  static_cast<std::int64_t>(reader->num_rows()), length);
  Int64s& rows = numbers.rows();
  Shape places = rows.shape();
  if (given[1] != nullptr && given[1] != Py_None) {
    places += static_cast<npy_intp>(length);
  }
  auto source = std::make_unique<RequestedRows>(*reader, rows, static_cast<std::uint64_t>(length));
  RowsOutput output(std::move(source), {self, kCall, std::move(fields), tree.types(), places,
                                        out.ptr(), max_length.ptr()});
  const bool release = output.bytes() >= kReleaseBytes;
  if (release || output.has_out()) {
    rows.MakePrivate();  // `out` may share memory with the rows
  }
  {
    const MaybeWithoutGil released(release);
    output.Read();
  }
  return tree.Nest(output.Finish());
}

}  // namespace

PyObject* ReadRows(PyObject* self, PyObject* const* args, Py_ssize_t count,
                   PyObject* names) noexcept {
  return Guarded([&] {
    static constexpr Parameters<5> kParameters{
        "read_rows", {"rows", "length", "fields", "out", "max_length"}, 1, 2};
    return ReadAll(self, kParameters.Sort(args, count, names)).release().ptr();
  });
}

}  // namespace stream_store::python
