#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace stream_store::internal {

void FailAssertion(const char* condition, const char* file, int line,
                   const char* function) noexcept {
  std::fprintf(stderr, "%s:%d: %s(): precondition violated: %s\n", file, line, function, condition);
  std::abort();
}

}  // namespace stream_store::internal
