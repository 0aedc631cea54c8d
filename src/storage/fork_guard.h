// The list of live Writers of this process, for the child handler of fork().
#pragma once

namespace stream_store::internal {

class Writer;

/// Adds a Writer; the first call installs the pthread_atfork handlers.
void GuardAgainstFork(Writer* writer);
void UnguardAgainstFork(Writer* writer) noexcept;

}  // namespace stream_store::internal
