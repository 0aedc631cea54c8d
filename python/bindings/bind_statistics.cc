// stream_store._core.Statistics: wrapped by stream_store/_statistics.py.

#include <nanobind/stl/vector.h>

#include "bindings/bind.h"
#include "convert/statistics.h"

namespace stream_store::python {

using nanobind::literals::operator""_a;

void BindStatistics(nb::module_& module) {
  nb::class_<StatisticsObject>(module, "Statistics")
      .def(nb::init<StoreObject&, const std::vector<TypeId>&>(), "store"_a, "types"_a)
      .def("read", &StatisticsObject::Read, "store"_a, "quantiles"_a, "progress"_a.none());
}

}  // namespace stream_store::python
