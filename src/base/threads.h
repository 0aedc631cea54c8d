// Operating-system services for threads: a barrier in all threads, threads without signals, names
// of threads, fork handlers. Used by base/fork_mutex, base/helper_executor and storage.
#pragma once

#include <functional>
#include <thread>

namespace stream_store::internal {

/// Whether ThreadBarrier() works on this kernel: membarrier(2) with private expedited barriers. The
/// first call registers the process, which may take milliseconds; children of fork inherit that.
/// Thread rules: any thread.
bool ThreadBarriersWork() noexcept;

/// Makes every running thread of this process execute a full memory barrier. Cost: microseconds.
/// REQUIRES: ThreadBarriersWork().
void ThreadBarrier() noexcept;

/// Starts a thread that runs `run` with all signals blocked, so that the handlers of the host
/// program never run in it. Throws std::system_error if there cannot be another thread.
std::thread StartThreadWithoutSignals(std::function<void()> run);

/// Sets the name of the calling thread, which tools such as top show. At most 15 characters; a
/// longer name is ignored.
void NameThisThread(const char* name) noexcept;

/// Registers functions that run around every fork() of the process (pthread_atfork): `before` in
/// the forking thread, `in_parent` and `in_child` after it. Each may be null. They
/// cannot be unregistered.
void InstallForkHandlers(void (*before)(), void (*in_parent)(), void (*in_child)());

}  // namespace stream_store::internal
