// STREAM_STORE_API: what a shared library of StreamStore exports.
//
// Everything is hidden unless marked. In a static library nothing is marked either: calls between
// its own functions stay direct when it is linked into another shared library, such as the Python
// extension. CMake defines STREAM_STORE_EXPORTS where it builds the shared library itself; users
// of it define nothing.
#pragma once

#ifdef STREAM_STORE_EXPORTS
#define STREAM_STORE_API __attribute__((visibility("default")))
#else
#define STREAM_STORE_API
#endif
