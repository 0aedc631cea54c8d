// Random bytes of the kernel: store ids, check seeds, names of siblings.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace stream_store::internal {

/// 16 bytes from getrandom(2). Throws Error(kIo) where the kernel gives none.
std::array<std::uint8_t, 16> RandomBytes16();

/// RandomBytes16() as 32 hex digits, for names nobody can guess.
std::string RandomHex();

}  // namespace stream_store::internal
