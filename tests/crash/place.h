// The directories of the crash tests, and the numbers that they read from the environment.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <unistd.h>

namespace stream_store::crash {

/// Returns a number from the environment, such as a count of crashes or a seed.
inline std::uint64_t FromEnvironment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

/// Returns EFFORT percent of `full`, at least 1. Sanitized builds run with a lower EFFORT.
inline std::uint64_t Effort(std::uint64_t full) {
  const std::uint64_t share = full * FromEnvironment("EFFORT", 100) / 100;
  return share == 0 ? 1 : share;
}

/// A new directory, memory-backed if possible: its files survive processes that die, and syncs cost
/// nothing. Deleted with all its content by the destructor. The environment variable CRASH_PLACE
/// chooses another place.
class FastDirectory {
 public:
  FastDirectory() {
    const std::filesystem::path memory = "/dev/shm";
    const bool usable = ::access(memory.c_str(), W_OK) == 0;
    const char* chosen = std::getenv("CRASH_PLACE");
    const std::filesystem::path place = chosen != nullptr ? chosen
                                        : usable          ? memory
                                                          : std::filesystem::temp_directory_path();
    std::string name = (place / "stream_store_crash_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }

  FastDirectory(const FastDirectory&) = delete;
  FastDirectory& operator=(const FastDirectory&) = delete;

  ~FastDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const noexcept { return path_; }

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace stream_store::crash
