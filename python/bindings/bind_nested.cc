// Types and single cells of nested fields.

#include "bindings/bind.h"
#include "convert/nested_type.h"

namespace stream_store::python {

using nanobind::literals::operator""_a;

void BindNested(nb::module_& module) {
  module.def("nested_type", &NestedTypeTree, "text"_a,
             "The tree of a type: (kind, format, name, nullable, size, children).");
  module.def("nested_text", &NestedTypeCanonical, "type"_a,
             "The canonical text of a type, which is given as text or as a tree.");
  module.def("_encode_nested", &EncodeNested, "type"_a, "name"_a, "value"_a.none(),
             "The block of one cell, as append makes it.");
  module.def("_decode_nested", &DecodeNested, "type"_a, "name"_a, "block"_a,
             "The objects of a block, as row() returns them.");
}

}  // namespace stream_store::python
