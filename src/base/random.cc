// Random bytes from getrandom(), which may return fewer than asked for.

#include "base/random.h"

#include <cerrno>

#include "base/file.h"
#include "base/retry.h"
#include "base/syscalls.h"

namespace stream_store::internal {

std::array<std::uint8_t, 16> RandomBytes16() {
  std::array<std::uint8_t, 16> bytes{};
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t got = RetryInterrupted(
        [&] { return sys().getrandom(bytes.data() + filled, bytes.size() - filled, 0); });
    if (got < 0) {
      ThrowErrno("getrandom", "reading 16 random bytes", errno);
    }
    filled += static_cast<std::size_t>(got);
  }
  return bytes;
}

std::string RandomHex() {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : RandomBytes16()) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace stream_store::internal
