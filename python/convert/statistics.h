// StatisticsObject: stream_store::Statistics for Python, with results as tuples of arrays.
//
// It is the class _core.Statistics, which python/stream_store/_statistics.py wraps. Thread rules: the
// caller makes sure that one thread at a time uses an object; reading releases the GIL.
#pragma once

#include <vector>

#include "stream_store/statistics.h"

#include "convert/python.h"
#include "convert/store.h"

namespace stream_store::python {

class StatisticsObject {
 public:
  /// The statistics of the fields `types` of a store. Throws RuntimeError before fields are declared.
  StatisticsObject(StoreObject& store, const std::vector<TypeId>& types);

  /// Reads the rows that were not read yet. Returns a list with one tuple for each field:
  ///
  ///     (rows, missing, (least length, most length, total length), items)
  ///
  /// `items` is a tuple of arrays: count, nan, min, max, mean, std of shape (n,), and quantiles of shape
  /// (quantiles, n). n is 0 for a field without statistics of items. min and max are float64 for float
  /// fields, else int64.
  ///
  /// progress  None, or called with (done, total) rows. Ctrl-C and any exception that it raises end the
  ///           work.
  nb::object Read(StoreObject& store, const std::vector<double>& quantiles, nb::handle progress);

 private:
  Schema schema_;
  Statistics statistics_;
};

}  // namespace stream_store::python
