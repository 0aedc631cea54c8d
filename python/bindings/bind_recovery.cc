// stream_store._core.Recovery: the report of opening a store.

#include <nanobind/stl/string.h>

#include "bindings/bind.h"
#include "bindings/docs.h"
#include "convert/methods.h"

namespace stream_store::python {

void BindRecovery(nb::module_& module) {
  nb::class_<Recovery>(module, "Recovery", kRecoveryClassDoc)
      .def_prop_ro("state", &StateText, R"("clean", "process_crash" or "truncated", a str.)")
      .def_ro("rows_cut", &Recovery::rows_cut,
              "Number of rows known to be lost; after a power cut a lower bound.")
      .def_ro("reason", &Recovery::reason,
              "Why rows were cut; empty unless `state` is \"truncated\".")
      .def("__eq__", &Equal, nb::is_operator())
      .def("__hash__", &Hash)
      .def("__repr__", &Represent);
}

}  // namespace stream_store::python
