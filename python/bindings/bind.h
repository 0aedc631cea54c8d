// The parts of the module stream_store._core, one bind_*.cc each. No loops and no arithmetic in
// this folder.
#pragma once

#include "convert/python.h"

namespace stream_store::python {

class StoreObject;

void BindNested(nb::module_& module);
void BindRecovery(nb::module_& module);
void BindReplication(nb::module_& module);
void BindVerify(nb::module_& module);
void BindVersion(nb::module_& module);
void BindStore(nb::module_& module);
void BindStatistics(nb::module_& module);
void BindArrow(nb::class_<StoreObject>& store);
void BindSampler(nb::module_& module);
void BindGroup(nb::module_& module);

/// Adds the methods of Store that programs call in loops, in CPython's fast calling convention.
///
/// `store.append` is then a C method descriptor: a call needs neither a Python frame nor nanobind's
/// dispatch of arguments, which costs more than an append.
void BindFastMethods(nb::handle store_type);

/// Gives `__getitem__` of Store a docstring without slowing it down.
/// The type must have the slot Py_mp_subscript, or this throws AttributeError.
void DocumentGetItem(nb::handle store_type);

}  // namespace stream_store::python
