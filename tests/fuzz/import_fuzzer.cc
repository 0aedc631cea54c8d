// The importer under libFuzzer: `make fuzz`.
#include <cstddef>
#include <cstdint>

#include "import_mutant.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  stream_store::fuzz::ImportMutant({data, size});
  return 0;
}
