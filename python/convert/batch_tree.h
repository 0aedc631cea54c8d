// BatchTree: the fields that a read of rows was asked for, and the form of its result.
//
// Used by read_rows.cc and sampler.cc. C++ reads leaves and makes flat dicts. If a struct was asked
// for, by its name or among all fields, stream_store/_batches.py nests the result; reads of leaves
// only, and of stores without structs, do not call it.
#pragma once

#include <vector>

#include "convert/field_table.h"
#include "convert/python.h"

namespace stream_store::python {

class BatchTree {
 public:
  /// The fields named by `names`, a list of names of leaves and structs; all declared fields if it
  /// is null or None. `call` is the caller, for messages. Throws ValueError, TypeError.
  ///
  /// Making it may run Python code, during which fields may be added: take the table of the store
  /// again afterwards, which has all of types().
  BatchTree(PyObject* self, const FieldTable& fields, PyObject* names, const char* call);

  /// The type ids of the leaves, each once.
  const std::vector<TypeId>& types() const noexcept { return types_; }

  /// `out` or `max_length` with the leaves of structs by their flat names. Objects that are no
  /// mapping are returned unchanged; null stays null.
  nb::object FlatOut(PyObject* out) const { return Flat("flatten_out", out); }

  nb::object FlatLengths(PyObject* max_length) const { return Flat("flatten_lengths", max_length); }

  /// The batch of a flat dict.
  nb::object Nest(nb::object flat) const;

 private:
  nb::object Flat(const char* method, PyObject* given) const;

  std::vector<TypeId> types_;
  nb::object plan_;  // a BatchPlan of Python; invalid if the batch is flat
};

}  // namespace stream_store::python
