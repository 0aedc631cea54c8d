// STREAM_STORE_API marks the functions that a shared library of StreamStore exports.
//
// All other symbols are hidden. In a static library nothing is exported either, so that calls
// between its own functions stay direct when it is linked into another shared library, such as the
// Python extension. CMake defines STREAM_STORE_EXPORTS while it builds the shared library itself;
// users of the library define nothing.
#pragma once

#ifdef STREAM_STORE_EXPORTS
#define STREAM_STORE_API __attribute__((visibility("default")))
#else
#define STREAM_STORE_API
#endif
