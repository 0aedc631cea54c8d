// What threads need of the operating system: a barrier in all of them, a thread without signals,
// handlers of fork().
#pragma once

#include <functional>
#include <thread>

namespace stream_store::internal {

/// Whether ThreadBarrier() does something here: membarrier(2), private expedited. Registers the
/// process on the first call; children of fork inherit that.
bool ThreadBarriersWork() noexcept;

/// Makes every running thread of this process execute a full memory barrier. Costs microseconds.
/// REQUIRES: ThreadBarriersWork().
void ThreadBarrier() noexcept;

/// Starts a thread that takes no signals: handlers belong to the host's threads.
std::thread StartThreadWithoutSignals(std::function<void()> run);

/// pthread_atfork: before fork in the forking thread, after it in the parent and in the child.
void InstallForkHandlers(void (*before)(), void (*in_parent)(), void (*in_child)());

}  // namespace stream_store::internal
