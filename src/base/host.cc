#include "base/host.h"

#include <array>
#include <ctime>

#include <unistd.h>

#include "base/random.h"
#include "base/str_cat.h"

namespace stream_store::internal {
namespace {

constexpr std::size_t kMostHost = 64;      // characters of a host name in a file name
constexpr std::size_t kRandomDigits = 12;  // 48 random bits

bool IsPlain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

}  // namespace

std::string HostName() {
  std::array<char, 256> host{};
  return ::gethostname(host.data(), host.size() - 1) == 0 ? host.data() : "";
}

std::string UniqueName() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::array<char, 32> time{};
  std::strftime(time.data(), time.size(), "%Y%m%dT%H%M%SZ", &utc);
  std::string host = HostName().substr(0, kMostHost);
  for (char& c : host) {
    c = IsPlain(c) ? c : '_';
  }
  return StrCat(time.data(), "-", host.empty() ? "host" : host, "-", ::getpid(), "-",
                RandomHex().substr(0, kRandomDigits));
}

}  // namespace stream_store::internal
