// The parts of the module stream_store._core, one bind_*.cc each. No loops and no arithmetic in
// this folder.
#pragma once

#include "convert/python.h"

namespace stream_store::python {

class Store;

void BindRecovery(nb::module_& module);
void BindVerify(nb::module_& module);
void BindVersion(nb::module_& module);
void BindStore(nb::module_& module);
void BindArrow(nb::class_<Store>& store);
void BindSampler(nb::module_& module);

/// The methods of Store that are called in loops, in CPython's fast calling convention:
/// `store.append` is then a C method descriptor and no Python frame or argument dispatch stands in
/// front of it.
void BindFastMethods(nb::handle store_type);

}  // namespace stream_store::python
