// stream_store._core.Store: the base class of StreamStore.
//
// The methods that programs call in loops are added by bind_fast.cc. nanobind's functions have no
// signature that Python's inspect module can read, so the public ones among them are wrapped by
// python/stream_store/_core_methods.py, which also documents them.

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "bindings/bind.h"
#include "bindings/docs.h"
#include "convert/facts.h"
#include "convert/group.h"
#include "convert/methods.h"
#include "convert/open.h"
#include "convert/store.h"
#include "convert/verify.h"

namespace stream_store::python {

using nanobind::literals::operator""_a;

namespace {

using StoreClass = nb::class_<StoreObject>;

void BindFacts(StoreClass& store) {
  store.def_prop_ro("fields", &FieldNames, kFieldsDoc);
  store.def_prop_ro("num_rows", &StoreObject::rows, kNumRowsDoc);
  store.def_prop_ro("first_row", &FirstRow, kFirstRowDoc);
  store.def_prop_ro("first_position", &FirstPosition, kFirstPositionDoc);
  store.def_prop_ro("kept_rows", &KeptRows, kKeptRowsDoc);
  store.def_prop_ro("complete_rows", &CompleteRows, kCompleteRowsDoc);
  store.def_prop_ro("num_field_writes", &NumFieldWrites, kNumFieldWritesDoc);
  store.def_prop_ro("last_step", &StoreObject::LastStep, kLastStepDoc);
  store.def_prop_ro("nbytes", &NumBytes, kNumBytesDoc);
  store.def_prop_ro("mode", &StoreObject::mode, kModeDoc);
  store.def_prop_ro("closed", &StoreObject::closed, kClosedDoc);
  store.def_prop_ro("id", &StoreObject::id, kIdDoc);
  store.def_prop_ro("live", &Live, kLiveDoc);
  store.def_prop_ro("durable_rows", &DurableRows, kDurableRowsDoc);
  store.def_prop_ro("recovery", &StoreObject::recovery, nb::rv_policy::copy, kRecoveryDoc);
}

}  // namespace

void BindStore(nb::module_& module) {
  static PyType_Slot slots[] = {{Py_mp_subscript, reinterpret_cast<void*>(&GetItem)},
                                {Py_mp_length, reinterpret_cast<void*>(&Length)},
                                {0, nullptr}};
  auto store = StoreClass(module, "Store", nb::type_slots(slots), kStoreDoc);

  // Opening and declaring. StreamStore in store.py checks the arguments and calls these.
  store.def("__init__", &OpenStore, "path"_a.none(), "mode"_a, "sizes"_a, "wait"_a, "safety"_a);
  store.def("__init__", &OpenSnapshot, "source"_a, "num_rows"_a.none());
  store.def("__init__", &OpenMember, "group"_a, "name"_a);
  store.def("__init__", &OpenHandover, "directory"_a);
  store.def("_hand_over", &HandOver);
  store.def("_require_writable", &StoreObject::RequireWritable, "operation"_a);
  store.def("_define_fields", &DefineFields, "specs"_a);
  store.def("_add_fields", &AddFields, "specs"_a);
  store.def("_field_specs", &FieldSpecs);
  store.def_prop_ro("_fields_version", &StoreObject::fields_version);
  store.def_prop_ro("_content_key", &ContentKey);
  store.def_prop_ro("_temporary", &StoreObject::temporary);
  store.def_prop_ro("_path", &StoreObject::path);
  store.def_prop_ro("_is_snapshot", &StoreObject::is_snapshot);
  store.def_prop_ro("_safe_reads", &StoreObject::safe_reads);
  store.def_prop_ro("_retention", &RetentionOf);

  BindFacts(store);

  // Reading.
  store.def("row_of", &RowOf, "positions"_a.none());
  store.def("position_of", &PositionOf, "rows"_a.none());
  store.def("row_at", &RowAt, "steps"_a.none(), "side"_a.none() = "left");
  store.def("_row_at_times", &RowAtTimes, "times"_a, "rests"_a.none(), "field"_a, "side"_a.none());
  store.def("_item_dtype", &ItemDtype, "field"_a.none());
  store.def("decode", &Decode, "values"_a.none(), "field"_a.none());
  store.def("segments", &Segments, "by"_a.none());
  store.def(
      "_decode_row", [](nb::handle self, std::int64_t row) { return DecodeRow(self, row); },
      "row"_a);
  store.def("_index_table", &IndexTable, "start"_a.none(), "stop"_a);

  // Safety.
  store.def("_verify", &VerifyStore, "progress"_a.none());
  store.def("_checkpoint", &CheckpointStore, "path"_a, "update"_a, "progress"_a.none());
  store.def("wait", &Wait, "num_rows"_a.none(), "timeout"_a.none() = nb::none());

  // Lifetime.
  store.def("sync", &StoreObject::Sync);
  store.def("close", &StoreObject::Close);
  store.def("clear", &StoreObject::Clear);
  store.def("truncate", &StoreObject::Truncate, "num_rows"_a);
  store.def("drop_before", &StoreObject::DropBefore, "row"_a);
  store.def("_set_retention", &SetRetention, "limits"_a);
  store.def("_start_dropping", &StoreObject::StartDropping);

  BindArrow(store);
  BindFastMethods(store);
  DocumentGetItem(store);
}

}  // namespace stream_store::python
