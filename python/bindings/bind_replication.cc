// stream_store._core.Source and Replica: called by stream_store.Shipper and stream_store.Mirror.

#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include "bindings/bind.h"
#include "convert/replication.h"

namespace stream_store::python {

using nanobind::literals::operator""_a;

void BindReplication(nb::module_& module) {
  nb::class_<SourceObject>(module, "Source", "The durable part of a store.")
      .def(nb::init<nb::handle>(), "path"_a)
      .def("durable", &SourceObject::Durable)
      .def("record", &SourceObject::Record, "number"_a)
      .def("pack", &SourceObject::Pack, "first"_a, "end"_a, "most_bytes"_a)
      .def("schema", &SourceObject::Schema, "records"_a)
      .def_prop_ro("num_records", &SourceObject::num_records)
      .def_prop_ro("id", &SourceObject::id);
  nb::class_<ReplicaObject>(module, "Replica", "The writer of a replica.")
      .def(nb::init<nb::handle>(), "path"_a)
      .def(nb::init<nb::handle, nb::handle, nb::handle, const PlaceTuple&>(), "path"_a, "pack"_a,
           "schema"_a, "begin"_a)
      .def("apply", &ReplicaObject::Apply, "pack"_a, "schema"_a, "name"_a)
      .def("add_fields", &ReplicaObject::AddFields, "schema"_a)
      .def("truncate", &ReplicaObject::Truncate, "num_rows"_a)
      .def("drop_before", &ReplicaObject::DropBefore, "row"_a)
      .def("sync", &ReplicaObject::Sync)
      .def("close", &ReplicaObject::Close)
      .def("record", &ReplicaObject::Record, "number"_a)
      .def("range", &ReplicaObject::Range)
      .def_prop_ro("id", &ReplicaObject::id)
      .def_prop_ro("parent", &ReplicaObject::parent);
  module.def("_verify_pack", &VerifyPackOf, "pack"_a, "schema"_a, "name"_a);
  module.def("crc32c", &ChecksumOf, "bytes"_a);
}

}  // namespace stream_store::python
