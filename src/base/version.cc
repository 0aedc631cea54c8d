// The version that was compiled into the library. Programs compare it with their headers' version.

#include "stream_store/version.h"

namespace stream_store {

const char* LibraryVersion() noexcept { return kVersion; }

}  // namespace stream_store
