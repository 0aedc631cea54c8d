// The types of nested cells between Python and C++.
#pragma once

#include "convert/python.h"

namespace stream_store::python {

/// The tree of a type: (kind, format, name, nullable, size, children), with children of the same
/// form. Whether the keys of a map are sorted is not part of it. Throws ValueError for a text that is
/// not a type in Arrow's notation.
nb::object NestedTypeTree(nb::handle text);

/// The canonical text of a type, which is given as text or as such a tree. Kind and size of a tree
/// are ignored, because they follow from the format.
nb::object NestedTypeCanonical(nb::handle type);

/// The block of a Python object, as append() makes it, and the objects of a block, as row() returns
/// them. `name` begins the places in messages.
nb::object EncodeNested(nb::handle type, nb::handle name, nb::handle value);
nb::object DecodeNested(nb::handle type, nb::handle name, nb::handle block);

}  // namespace stream_store::python
