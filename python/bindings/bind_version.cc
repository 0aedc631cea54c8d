// The version attributes of stream_store._core.

#include "stream_store/version.h"

#include "bindings/bind.h"

namespace stream_store::python {

void BindVersion(nb::module_& module) {
  module.attr("__version__") = LibraryVersion();
  module.attr("format_version") = kFormatVersion;
}

}  // namespace stream_store::python
