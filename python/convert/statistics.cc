// Statistics of a store for Python. The pass runs without the GIL on a copy of the reader, in parts,
// between which signals and progress are looked after.
#include "convert/statistics.h"

#include <algorithm>

#include "convert/arrays.h"
#include "convert/errors.h"

namespace stream_store::python {
namespace {

constexpr std::uint64_t kRowsAtOnce = std::uint64_t{1} << 17U;

Schema RequireSchema(StoreObject& store) {
  if (store.Refresh() == nullptr) {
    Throw(PyExc_RuntimeError, "no fields are declared yet; call define_fields() first");
  }
  return store.schema();
}

nb::object Number(std::uint64_t number) { return Own(PyLong_FromUnsignedLongLong(number)); }

// An array of one number of each item.
template <class Get>
nb::object Collect(int type_number, const std::vector<ItemStatistics>& items, Get get) {
  nb::object array = NewArray(type_number, {static_cast<npy_intp>(items.size())});
  using Item = decltype(get(items.front()));
  std::transform(items.begin(), items.end(), DataAs<Item>(array), get);
  return array;
}

nb::object QuantilesOf(const std::vector<ItemStatistics>& items, std::size_t quantiles) {
  nb::object array =
      NewArray(NPY_DOUBLE, {static_cast<npy_intp>(quantiles), static_cast<npy_intp>(items.size())});
  auto* out = DataAs<double>(array);
  for (std::size_t quantile = 0; quantile < quantiles; ++quantile) {
    for (const ItemStatistics& item : items) {
      *out++ = item.quantiles[quantile];
    }
  }
  return array;
}

nb::object ItemsOf(const FieldStatistics& field, DType dtype, std::size_t quantiles) {
  const auto& items = field.items;
  const auto signed_number = [](std::uint64_t number) { return static_cast<std::int64_t>(number); };
  const bool floats = IsFloat(dtype);
  using Item = const ItemStatistics&;
  const nb::object least =
      floats ? Collect(NPY_DOUBLE, items, [](Item item) { return item.min; })
             : Collect(NPY_INT64, items, [](Item item) { return item.integer_min; });
  const nb::object greatest =
      floats ? Collect(NPY_DOUBLE, items, [](Item item) { return item.max; })
             : Collect(NPY_INT64, items, [](Item item) { return item.integer_max; });
  const nb::object count =
      Collect(NPY_INT64, items, [&](Item item) { return signed_number(item.count); });
  const nb::object nan =
      Collect(NPY_INT64, items, [&](Item item) { return signed_number(item.nan); });
  const nb::object mean = Collect(NPY_DOUBLE, items, [](Item item) { return item.mean; });
  const nb::object deviation = Collect(NPY_DOUBLE, items, [](Item item) { return item.std; });
  return Own(PyTuple_Pack(7, count.ptr(), nan.ptr(), least.ptr(), greatest.ptr(), mean.ptr(),
                          deviation.ptr(), QuantilesOf(items, quantiles).ptr()));
}

nb::object TupleOf(const FieldStatistics& field, const Field& declared, std::size_t quantiles) {
  const nb::object lengths =
      Own(PyTuple_Pack(3, Number(field.least_length).ptr(), Number(field.most_length).ptr(),
                       Number(field.total_length).ptr()));
  return Own(PyTuple_Pack(4, Number(field.rows).ptr(), Number(field.missing).ptr(), lengths.ptr(),
                          ItemsOf(field, declared.dtype, quantiles).ptr()));
}

void Report(nb::handle progress, Row done, Row total) {
  Check(PyErr_CheckSignals());
  if (!progress.is_none()) {
    Own(PyObject_CallFunction(progress.ptr(), "LL", static_cast<long long>(done),
                              static_cast<long long>(total)));
  }
}

}  // namespace

StatisticsObject::StatisticsObject(StoreObject& store, const std::vector<TypeId>& types)
    : schema_(RequireSchema(store)), statistics_(schema_, types) {}

nb::object StatisticsObject::Read(StoreObject& store, const std::vector<double>& quantiles,
                                  nb::handle progress) {
  const std::shared_ptr<Reader> refreshed = store.Refresh();
  if (refreshed == nullptr) {
    Throw(PyExc_RuntimeError, "no fields are declared yet; call define_fields() first");
  }
  const Reader reader = refreshed->Snapshot();  // other threads may refresh the store meanwhile
  const auto first = static_cast<Row>(reader.first_row());
  const auto total = static_cast<Row>(reader.kept_rows());
  for (bool more = true; more;) {
    {
      const MaybeWithoutGil released(true);
      more = statistics_.Advance(reader, kRowsAtOnce);
    }
    Report(progress, more ? statistics_.end_row() - first : total, total);
  }
  std::vector<FieldStatistics> fields;
  {
    const MaybeWithoutGil released(true);
    fields = statistics_.Read(reader, quantiles);
  }
  nb::object list = Own(PyList_New(static_cast<Py_ssize_t>(fields.size())));
  for (std::size_t i = 0; i < fields.size(); ++i) {
    PyList_SET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i),
                    TupleOf(fields[i], schema_[fields[i].type], quantiles.size()).release().ptr());
  }
  return list;
}

}  // namespace stream_store::python
