// stream_store._core._verify and _repair: called by stream_store.verify and repair.

#include "bindings/bind.h"
#include "convert/verify.h"

namespace stream_store::python {

using nanobind::literals::operator""_a;

void BindVerify(nb::module_& module) {
  module.def("_verify", &VerifyPath, "path"_a, "progress"_a.none());
  module.def("_repair", &RepairPath, "path"_a, "into"_a, "truncate_at_damage"_a,
             "progress"_a.none());
}

}  // namespace stream_store::python
