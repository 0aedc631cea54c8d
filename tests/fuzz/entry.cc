// The entry point of libFuzzer. Built once per target, with STREAM_STORE_FUZZ_TARGET as its
// function.
#include <cstddef>
#include <cstdint>

#include "fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  stream_store::fuzz::STREAM_STORE_FUZZ_TARGET({data, size});
  return 0;
}
