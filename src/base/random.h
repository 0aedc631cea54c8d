// Random bytes from the kernel, for store ids, checksum seeds and the names of siblings. Thread
// rules: any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace stream_store::internal {

/// Returns 16 bytes from getrandom(). Throws Error(kIo) if the kernel returns an error.
std::array<std::uint8_t, 16> RandomBytes16();

/// Returns RandomBytes16() as 32 hex digits, for names that cannot be guessed.
std::string RandomHex();

}  // namespace stream_store::internal
