// The extension module stream_store._core: its table of contents.

#include <cstdlib>
#include <exception>

#include "bindings/bind.h"
#include "convert/arrays.h"
#include "convert/arrow.h"
#include "convert/block_pool.h"
#include "convert/errors.h"
#include "convert/gil_mutex.h"
#include "convert/schema.h"

namespace stream_store::python {
namespace {

void Translate(const std::exception_ptr& exception, void* /*payload*/) {
  try {
    std::rethrow_exception(exception);
  } catch (const Error& error) {
    SetPythonError(error);
  }
}

}  // namespace
}  // namespace stream_store::python

// nanobind's macro defines functions without declaring them in a header.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"

NB_MODULE(_core, module) {
#pragma GCC diagnostic pop
  using namespace stream_store::python;  // NOLINT(google-build-using-namespace)
  ImportNumpy();
  WatchForks();
  // A store in a global variable of an interactive session is not a leak. Tests turn this on.
  nb::set_leak_warnings(std::getenv("STREAM_STORE_LEAK_WARNINGS") != nullptr);
  nb::register_exception_translator(Translate);
  module.doc() = "The compiled part of stream_store; import the package instead.";
  module.def("pooled_free_bytes", &PooledFreeBytes,
             "Bytes of recycled output memory that no array uses now.");
  module.def(
      "is_ready", [](nb::handle store) { return nb::inst_ready(store); },
      "Whether __init__ of a Store is done.");
  module.def("describe_arrow_stream", &DescribeStream,
             "The schema of an Arrow stream as nested tuples.");
  module.def("dtype_table", &DTypeTable, "The table of item types, a tuple for each.");
  BindVersion(module);
  BindNested(module);
  BindRecovery(module);
  BindReplication(module);
  BindStore(module);
  BindStatistics(module);
  BindGroup(module);
  BindSampler(module);
  BindVerify(module);
}
