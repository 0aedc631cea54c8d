// The version compiled into the library, for callers to compare with that of their headers.

#include "stream_store/version.h"

namespace stream_store {

const char* LibraryVersion() noexcept { return kVersion; }

}  // namespace stream_store
