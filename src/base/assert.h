// STREAM_STORE_ASSERT(condition): checks a precondition, in the words of the comment that states
// it.
//
// Functions whose comment says `REQUIRES:` assert it in their first line. Assertions are compiled
// in when STREAM_STORE_ASSERTIONS is defined, as in the debug, sanitizer and fuzzing builds;
// without it the condition is not evaluated, but must still compile. A violated precondition is a
// bug in StreamStore itself, so the process is aborted; errors of callers are reported as
// exceptions.
#pragma once

namespace stream_store::internal {

/// Prints the condition and the place where it failed to standard error, and aborts.
[[noreturn]] void FailAssertion(const char* condition, const char* file, int line,
                                const char* function) noexcept;

}  // namespace stream_store::internal

#ifdef STREAM_STORE_ASSERTIONS
// The conditional operator, rather than `if`, so that the macro is an expression and can be used in
// constexpr functions.
#define STREAM_STORE_ASSERT(...) \
  ((__VA_ARGS__)                 \
       ? static_cast<void>(0)    \
       : ::stream_store::internal::FailAssertion(#__VA_ARGS__, __FILE__, __LINE__, __func__))
#else
#define STREAM_STORE_ASSERT(...) static_cast<void>(sizeof((__VA_ARGS__) ? 1 : 0))
#endif
