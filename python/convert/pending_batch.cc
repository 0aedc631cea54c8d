// PendingBatch: the outputs of one batch of a sampler.

#include <algorithm>
#include <map>

#include "convert/arrays.h"
#include "convert/errors.h"
#include "convert/sampler.h"

namespace stream_store::python {
namespace {

constexpr const char* kBatchCall = "WindowSampler";

// Reads the rows of a batch of a sampler.
class SampledRows : public RowsReader {
 public:
  explicit SampledRows(std::shared_ptr<const WindowBatch> batch) : batch_(std::move(batch)) {}

  std::uint64_t Longest(TypeId type) const override { return batch_->LongestInRows(type); }

  std::shared_ptr<const void> Read(std::span<const RowsColumn> columns,
                                   Step* steps) const override {
    return batch_->ReadRows(columns, steps, valid);
  }

  std::uint8_t* valid = nullptr;

 private:
  std::shared_ptr<const WindowBatch> batch_;
};

npy_intp SizeOf(const WindowBatch& batch) { return static_cast<npy_intp>(batch.size()); }

Shape PlacesOf(const WindowBatch& batch) {
  return Shape{SizeOf(batch), static_cast<npy_intp>(batch.length())};
}

// The items of `max_length` that are for these fields; null if there are none.
nb::object LengthsOf(const FieldTable& fields, const std::vector<TypeId>& types,
                     PyObject* max_length) {
  nb::object some;
  for (const TypeId type : types) {
    PyObject* name = fields[type].name.ptr();
    PyObject* length = max_length == nullptr || max_length == Py_None
                           ? nullptr
                           : PyDict_GetItemWithError(max_length, name);
    if (length != nullptr) {
      some = some.is_valid() ? some : Own(PyDict_New());
      Check(PyDict_SetItem(some.ptr(), name, length));
    }
  }
  return some;
}

// Adds the items of a dict, and those of the dicts in it.
void Merge(const nb::object& into, const nb::object& from) {
  PyObject* key = nullptr;
  PyObject* value = nullptr;
  Py_ssize_t place = 0;
  while (PyDict_Next(from.ptr(), &place, &key, &value) != 0) {
    PyObject* there = PyDict_GetItemWithError(into.ptr(), key);
    if (there != nullptr && PyDict_Check(there) && PyDict_Check(value)) {
      Check(PyDict_Update(there, value));
    } else {
      Check(PyDict_SetItem(into.ptr(), key, value));
    }
  }
}

}  // namespace

PendingBatch::PendingBatch(WindowBatch batch, bool with_stores)
    : batch_(std::make_shared<WindowBatch>(std::move(batch))), with_stores_(with_stores) {}

void PendingBatch::MakeWindows(const std::vector<ColumnId>& columns) {
  const Shape places = PlacesOf(*batch_);
  windows_.emplace();
  for (const ColumnId id : columns) {
    windows_->Add(id, places, places.places(), nullptr);
  }
  bytes_ = windows_->bytes;
}

void PendingBatch::MakeRows(const RowsPlan& plan) {
  tree_ = plan.tree;
  offsets_ = plan.offsets;
  with_priorities_ = plan.with_priorities;
  if (offsets_->empty()) {
    MakePlain(plan);
  } else {
    MakeOffsets(plan);
  }
  for (const std::unique_ptr<RowsOutput>& rows : rows_) {
    bytes_ += rows->bytes();
  }
}

void PendingBatch::MakePlain(const RowsPlan& plan) {
  const Shape places = PlacesOf(*batch_);
  auto source = std::make_unique<SampledRows>(batch_);
  valid_ = NewArray(NPY_BOOL, places);
  source->valid = DataAs<std::uint8_t>(valid_);
  rows_.push_back(std::make_unique<RowsOutput>(
      std::move(source), RowsRequest{plan.store, kBatchCall, plan.fields, plan.tree->types(),
                                     places, nullptr, plan.max_length}));
}

// One output of the steps of the anchors, and one for the fields of each number of offsets.
void PendingBatch::MakeOffsets(const RowsPlan& plan) {
  rows_.push_back(std::make_unique<RowsOutput>(
      std::make_unique<SampledRows>(batch_),
      RowsRequest{
          plan.store, kBatchCall, plan.fields, {}, Shape{SizeOf(*batch_)}, nullptr, nullptr}));
  Py_ssize_t lengths_left =
      plan.max_length == nullptr || plan.max_length == Py_None ? 0 : PyDict_Size(plan.max_length);
  std::map<std::uint64_t, std::vector<TypeId>> by_length;
  for (const TypeId type : plan.tree->types()) {
    by_length[batch_->length(type)].push_back(type);
  }
  for (const auto& [length, types] : by_length) {
    const nb::object lengths = LengthsOf(*plan.fields, types, plan.max_length);
    lengths_left -= lengths.is_valid() ? PyDict_Size(lengths.ptr()) : 0;
    rows_.push_back(std::make_unique<RowsOutput>(
        std::make_unique<SampledRows>(batch_),
        RowsRequest{plan.store, kBatchCall, plan.fields, types,
                    Shape{SizeOf(*batch_), static_cast<npy_intp>(length)}, nullptr, lengths.ptr(),
                    /*with_steps=*/false}));
  }
  if (lengths_left > 0) {
    Throw(PyExc_ValueError, "WindowSampler: max_length names fields that have no offsets");
  }
}

void PendingBatch::Read() {
  for (const std::unique_ptr<RowsOutput>& rows : rows_) {
    rows->Read();
  }
  if (windows_) {
    batch_->ReadWindows(windows_->out);
  }
}

nb::object PendingBatch::Finish() {
  nb::object dict;
  if (windows_) {
    dict = windows_->dict;
  } else {
    const nb::object flat = rows_[0]->Finish();
    for (std::size_t i = 1; i < rows_.size(); ++i) {
      Merge(flat, rows_[i]->Finish());
    }
    dict = tree_->Nest(flat);
    FinishRows(dict);
  }
  if (with_stores_) {
    const nb::object which = NewArray(NPY_INT64, Shape{SizeOf(*batch_)});
    std::ranges::copy(batch_->stores(), DataAs<std::int64_t>(which));
    Check(PyDict_SetItemString(dict.ptr(), "_store", which.ptr()));
  }
  return dict;
}

// Adds the keys that every batch of rows has.
void PendingBatch::FinishRows(const nb::object& dict) {
  nb::object valid = valid_;
  if (!offsets_->empty()) {
    valid = Own(PyDict_New());
    for (const OffsetsOfName& name : *offsets_) {
      const std::span<const std::uint8_t> flags = batch_->valid(name.types.at(0));
      const nb::object array =
          NewArray(NPY_BOOL,
                   Shape{SizeOf(*batch_), static_cast<npy_intp>(batch_->length(name.types.at(0)))});
      std::ranges::copy(flags, DataAs<std::uint8_t>(array));
      Check(PyDict_SetItem(valid.ptr(), name.key.ptr(), array.ptr()));
    }
  }
  Check(PyDict_SetItemString(dict.ptr(), "_valid", valid.ptr()));
  const nb::object rows =
      NewArray(NPY_INT64, offsets_->empty() ? PlacesOf(*batch_) : Shape{SizeOf(*batch_)});
  const std::size_t count = batch_->size() * batch_->length();
  batch_->ReadRowNumbers(std::span(DataAs<std::int64_t>(rows), count));
  Check(PyDict_SetItemString(dict.ptr(), "_row", rows.ptr()));
  const nb::object index = NewArray(NPY_INT64, Shape{SizeOf(*batch_)});
  const nb::object segments = NewArray(NPY_INT64, Shape{SizeOf(*batch_), 3});
  batch_->ReadIndices(std::span(DataAs<std::int64_t>(index), batch_->size()));
  auto* segment = DataAs<std::int64_t>(segments);
  for (std::size_t i = 0; i < batch_->size(); ++i) {
    *segment++ = batch_->segments()[i].first;
    *segment++ = batch_->segments()[i].end;
    *segment++ = batch_->segments()[i].complete ? 1 : 0;
  }
  Check(PyDict_SetItemString(dict.ptr(), "_index", index.ptr()));
  Check(PyDict_SetItemString(dict.ptr(), "_segment", segments.ptr()));
  if (with_priorities_) {
    const nb::object weights = NewArray(NPY_FLOAT, Shape{SizeOf(*batch_)});
    std::ranges::copy(batch_->weights(), DataAs<float>(weights));
    Check(PyDict_SetItemString(dict.ptr(), "_weight", weights.ptr()));
    const nb::object probabilities = NewArray(NPY_DOUBLE, Shape{SizeOf(*batch_)});
    std::ranges::copy(batch_->probabilities(), DataAs<double>(probabilities));
    Check(PyDict_SetItemString(dict.ptr(), "_probability", probabilities.ptr()));
  }
}

}  // namespace stream_store::python
