// The methods of stream_store._core.Store that exchange rows with Arrow.

#include <nanobind/stl/string.h>

#include "bindings/bind.h"
#include "convert/arrow.h"

namespace stream_store::python {

using nanobind::literals::operator""_a;

void BindArrow(nb::class_<StoreObject>& store) {
  store.def("_arrow_stream", &ExportStream, "requested"_a.none(), "rows"_a, "fields"_a,
            "metadata"_a, "names"_a);
  store.def("_arrow_schema", &ExportSchema, "fields"_a, "metadata"_a, "columns"_a.none());
  store.def("_import_arrow", &ImportStreams, "streams"_a, "specs"_a.none(), "fields"_a,
            "step_column"_a, "progress"_a.none());
}

}  // namespace stream_store::python
