// The parts of the module stream_store._core, one bind_*.cc each. No loops and no arithmetic in
// this folder.
#pragma once

#include "convert/python.h"

namespace stream_store::python {

class StoreObject;

void BindRecovery(nb::module_& module);
void BindVerify(nb::module_& module);
void BindVersion(nb::module_& module);
void BindStore(nb::module_& module);
void BindArrow(nb::class_<StoreObject>& store);
void BindSampler(nb::module_& module);

/// Adds the methods of Store that are called in loops, in CPython's fast calling convention:
/// `store.append` is then a C method descriptor, called without a Python frame and without the
/// argument dispatch of nanobind.
void BindFastMethods(nb::handle store_type);

}  // namespace stream_store::python
