// Annotations that say which lock guards which member; clang checks them with -Wthread-safety.
//
// Other compilers ignore them. The names are those of clang's documentation, "Thread Safety
// Analysis", with a prefix, since macros have no namespace.
#pragma once

#if defined(__clang__)
#define STREAM_STORE_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define STREAM_STORE_THREAD_ATTRIBUTE(x)
#endif

/// On a class: its objects are locks.
#define CAPABILITY(name) STREAM_STORE_THREAD_ATTRIBUTE(capability(name))
/// On a class: its objects hold a lock from construction to destruction.
#define SCOPED_CAPABILITY STREAM_STORE_THREAD_ATTRIBUTE(scoped_lockable)
/// On a member: read and written only while the lock is held.
#define GUARDED_BY(lock) STREAM_STORE_THREAD_ATTRIBUTE(guarded_by(lock))
/// On a pointer: the object it points to is read and written only while the lock is held.
#define PT_GUARDED_BY(lock) STREAM_STORE_THREAD_ATTRIBUTE(pt_guarded_by(lock))
/// On a function: the caller holds the lock, and still does afterwards.
#define REQUIRES_LOCK(...) STREAM_STORE_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
/// On a function: it acquires the lock, which the caller does not hold.
#define ACQUIRE(...) STREAM_STORE_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
/// On a function: it releases the lock, which the caller holds.
#define RELEASE(...) STREAM_STORE_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))
/// On a function: it acquires the lock if it returns the given value.
#define TRY_ACQUIRE(...) STREAM_STORE_THREAD_ATTRIBUTE(try_acquire_capability(__VA_ARGS__))
/// On a function: the caller does not hold the lock.
#define EXCLUDES(...) STREAM_STORE_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
/// On a member that is a lock: it is acquired before the given one.
#define ACQUIRED_BEFORE(...) STREAM_STORE_THREAD_ATTRIBUTE(acquired_before(__VA_ARGS__))
/// On a function whose locking the analysis cannot follow; a comment says why it is right.
#define NO_THREAD_SAFETY_ANALYSIS STREAM_STORE_THREAD_ATTRIBUTE(no_thread_safety_analysis)
