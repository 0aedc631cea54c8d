// The name of this machine, for messages and for names of stores. Thread rules: any thread.
#pragma once

#include <string>

namespace stream_store::internal {

/// Returns the host name; empty if it cannot be found out.
std::string HostName();

}  // namespace stream_store::internal
