// The name of this machine, and names that no other process on any machine makes. Thread rules: any
// thread.
#pragma once

#include <string>

namespace stream_store::internal {

/// Returns the host name; empty if it cannot be found out.
std::string HostName();

/// Returns a name of a file that sorts by time, such as "20261129T195415Z-host-1234-9f3a2c017d00": time,
/// host, process and random digits. Throws Error(kIo).
std::string UniqueName();

}  // namespace stream_store::internal
