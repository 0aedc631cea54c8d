// STREAM_STORE_ASAN, STREAM_STORE_TSAN: which sanitizer a test is built with, for g++ and clang.
//
// Both are 1 or 0.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define STREAM_STORE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STREAM_STORE_ASAN 1
#endif
#endif
#ifndef STREAM_STORE_ASAN
#define STREAM_STORE_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__)
#define STREAM_STORE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define STREAM_STORE_TSAN 1
#endif
#endif
#ifndef STREAM_STORE_TSAN
#define STREAM_STORE_TSAN 0
#endif
