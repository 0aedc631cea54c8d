#include "crash/shim.h"

#include <cerrno>
#include <csignal>
#include <type_traits>

#include <sys/mman.h>
#include <unistd.h>

namespace stream_store::crash {

using internal::RealSyscalls;
using internal::sys;
using internal::Syscalls;

namespace {

struct Plan {
  std::uint64_t nth = 0;
  Shim::Fault fault = Shim::Fault::kNone;
  int error = 0;
  std::uint64_t calls = 0;
  std::uint64_t faults = 0;
  std::string name;
};

Plan plan;

bool Fails(const char* name) {
  plan.calls += 1;
  if (plan.calls < plan.nth || plan.fault == Shim::Fault::kNone) return false;
  const bool once = plan.fault == Shim::Fault::kOnce || plan.fault == Shim::Fault::kKill;
  if (once && plan.calls > plan.nth) return false;
  if (plan.error == EINTR && plan.faults >= 100) return false;
  if (plan.fault == Shim::Fault::kKill) ::kill(::getpid(), SIGKILL);
  if (plan.faults++ == 0) plan.name = name;
  errno = plan.error;
  return true;
}

template <class Result>
Result Failure() {
  if constexpr (std::is_same_v<Result, void*>) {
    return MAP_FAILED;
  } else {
    return -1;
  }
}

// The table entry that runs before the real call.
template <auto kEntry>
struct Before;

template <class Result, class... Arguments, Result (*Syscalls::*kEntry)(Arguments...)>
struct Before<kEntry> {
  static inline const char* name = nullptr;

  static Result Call(Arguments... arguments) {
    if (Fails(name)) {
      // The kernel closes and unmaps even if it reports an error.
      constexpr bool kLetsGo = std::is_same_v<Before, Before<&Syscalls::close>> ||
                               std::is_same_v<Before, Before<&Syscalls::munmap>>;
      if constexpr (kLetsGo) (RealSyscalls().*kEntry)(arguments...);
      errno = plan.error;
      return Failure<Result>();
    }
    return (RealSyscalls().*kEntry)(arguments...);
  }

  static void Install(const char* text) {
    name = text;
    sys().*kEntry = Call;
  }
};

}  // namespace

Shim::Shim(std::uint64_t nth, Fault fault, int error) {
  plan = Plan{};
  plan.nth = nth;
  plan.fault = fault;
  plan.error = error;
  Before<&Syscalls::open_at>::Install("open");
  Before<&Syscalls::close>::Install("close");
  Before<&Syscalls::file_stat>::Install("fstat");
  Before<&Syscalls::path_stat>::Install("stat");
  Before<&Syscalls::stat_at>::Install("fstatat");
  Before<&Syscalls::pread>::Install("pread");
  Before<&Syscalls::pwrite>::Install("pwrite");
  Before<&Syscalls::fallocate>::Install("fallocate");
  Before<&Syscalls::ftruncate>::Install("ftruncate");
  Before<&Syscalls::fdatasync>::Install("fdatasync");
  Before<&Syscalls::fsync>::Install("fsync");
  Before<&Syscalls::mkdir_at>::Install("mkdir");
  Before<&Syscalls::unlink_at>::Install("unlink");
  Before<&Syscalls::rename_at2>::Install("rename");
  Before<&Syscalls::lock>::Install("lock");
  Before<&Syscalls::mmap>::Install("mmap");
  Before<&Syscalls::munmap>::Install("munmap");
  Before<&Syscalls::madvise>::Install("madvise");
  Before<&Syscalls::mprotect>::Install("mprotect");
  Before<&Syscalls::msync>::Install("msync");
  Before<&Syscalls::fchmod>::Install("fchmod");
  Before<&Syscalls::fstatfs>::Install("fstatfs");
  Before<&Syscalls::getrlimit>::Install("getrlimit");
  Before<&Syscalls::getrandom>::Install("getrandom");
  // Waiting for disk space takes no time, and cannot fail.
  sys().nanosleep = [](const struct timespec*, struct timespec*) { return 0; };
}

Shim::~Shim() { sys() = RealSyscalls(); }

std::uint64_t Shim::calls() const noexcept { return plan.calls; }

std::uint64_t Shim::faults() const noexcept { return plan.faults; }

const std::string& Shim::name() const noexcept { return plan.name; }

}  // namespace stream_store::crash
