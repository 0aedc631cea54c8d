// STREAM_STORE_ASSERT(condition): checks a precondition, in the words of the comment that states
// it.
//
// The counterpart of src/base/assert.h for this folder, which sees only the public headers of the
// library. Compiled in when STREAM_STORE_ASSERTIONS is defined; otherwise the condition is not
// evaluated, but must still compile. A violated precondition is a bug in the extension, so the
// process is aborted; errors of callers are reported as Python exceptions.
#pragma once

#ifdef STREAM_STORE_ASSERTIONS
#undef NDEBUG  // assertions are chosen by the macro above, independently of the type of the build
#include <cassert>
#define STREAM_STORE_ASSERT(...) assert((__VA_ARGS__))
#else
#define STREAM_STORE_ASSERT(...) static_cast<void>(sizeof((__VA_ARGS__) ? 1 : 0))
#endif
