#include "base/host.h"

#include <array>

#include <unistd.h>

namespace stream_store::internal {

std::string HostName() {
  std::array<char, 256> host{};
  return ::gethostname(host.data(), host.size() - 1) == 0 ? host.data() : "";
}

}  // namespace stream_store::internal
