// stream_store._core.Group: the compiled part of StoreGroup in group.py.

#include <nanobind/stl/tuple.h>

#include "bindings/bind.h"
#include "convert/group.h"

namespace stream_store::python {

using nanobind::literals::operator""_a;

void BindGroup(nb::module_& module) {
  nb::class_<GroupObject>(module, "Group", "The compiled part of StoreGroup.")
      .def(nb::init<nb::object, nb::object, std::tuple<bool, bool>, double>(), "path"_a,
           "specs"_a.none(), "reads"_a, "wait"_a)
      .def("fields_path", &GroupObject::FieldsPath)
      .def("store_path", &GroupObject::StorePath, "name"_a)
      .def("refresh", &GroupObject::Refresh)
      .def("names", &GroupObject::Names)
      .def("ids", &GroupObject::Ids)
      .def("kept_rows", &GroupObject::KeptRows)
      .def("skipped", &GroupObject::Skipped);
}

}  // namespace stream_store::python
