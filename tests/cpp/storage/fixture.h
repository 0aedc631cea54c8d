// Shared by the tests of storage: a store with three small fields, its content as one line of text,
// writers that die, and system calls that fail or are logged.
#pragma once

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stream_store/store.h"

#include "base/directory.h"
#include "base/str_cat.h"
#include "format/control.h"
#include "support/chunks.h"
#include "support/scratch.h"

namespace stream_store::internal {

using List = std::vector<std::int64_t>;

/// "0{0:7 1:1,2} 3{}": each row's step, then type:values of its field-writes.
inline std::string Show(const Reader& reader) {
  std::string text;
  for (Row row = 0; row < static_cast<Row>(reader.num_rows()); ++row) {
    const RowView view = reader.row(row);
    text += StrCat(text.empty() ? "" : " ", view.step(), "{");
    const char* between = "";
    for (const auto& [type, values] : view) {
      text += StrCat(between, type, ":");
      between = " ";
      for (std::size_t i = 0; i < values.size(); ++i) text += StrCat(i == 0 ? "" : ",", values[i]);
    }
    text += "}";
  }
  return text;
}

/// Makes system calls fail from the n-th on, and logs the names of all that are made.
class Faults {
 public:
  Faults() {
    plan() = Plan{};
    Install();
  }

  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;

  ~Faults() { sys() = RealSyscalls(); }

  /// The n-th call of that name from now fails with `error`; then `times - 1` more do.
  static void Fail(const std::string& name, int error, int n = 1, int times = 1) {
    plan().name = name;
    plan().error = error;
    plan().before = n - 1;
    plan().times = times;
    plan().failed = 0;
  }

  static void Stop() { plan().times = 0; }

  static int failed() { return plan().failed; }

  static std::vector<std::string>& log() { return plan().log; }

 private:
  struct Plan {
    std::string name;
    int error = 0;
    int before = 0;
    int times = 0;
    int failed = 0;
    std::vector<std::string> log;
  };

  static Plan& plan() {
    static Plan instance;
    return instance;
  }

  static std::string FileOf(int fd) {
    std::array<char, 512> target{};
    const std::string link = StrCat("/proc/self/fd/", fd);
    if (::readlink(link.c_str(), target.data(), target.size() - 1) < 0) return "?";
    const std::string name = std::filesystem::path(target.data()).filename().string();
    return name.find(".tmp-") == std::string::npos ? name : "sibling";
  }

  // The name of the file that is mapped at an address.
  static std::string FileAt(const void* address) {
    const auto wanted = reinterpret_cast<std::uintptr_t>(address);
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      const std::size_t dash = line.find('-');
      const std::uintptr_t begin = std::stoull(line, nullptr, 16);
      const std::uintptr_t end = std::stoull(line.substr(dash + 1), nullptr, 16);
      if (begin <= wanted && wanted < end) return line.substr(line.rfind('/') + 1);
    }
    return "?";
  }

  static bool Fails(const char* name, int fd) { return FailsOn(name, fd < 0 ? "" : FileOf(fd)); }

  static bool FailsOn(const char* name, const std::string& file) {
    Plan& at = plan();
    at.log.push_back(file.empty() ? std::string(name) : StrCat(name, " ", file));
    if (at.name != name || at.times == 0 || at.before-- > 0) return false;
    at.times -= 1;
    at.failed += 1;
    errno = at.error;
    return true;
  }

  static void Install() {
    Syscalls& table = sys();
    table.fallocate = [](int fd, int mode, off_t offset, off_t length) {
      return Fails("fallocate", fd) ? -1 : RealSyscalls().fallocate(fd, mode, offset, length);
    };
    table.fdatasync = [](int fd) {
      return Fails("fdatasync", fd) ? -1 : RealSyscalls().fdatasync(fd);
    };
    table.fsync = [](int fd) { return Fails("fsync", fd) ? -1 : RealSyscalls().fsync(fd); };
    table.msync = [](void* address, std::size_t size, int flags) {
      return FailsOn("msync", FileAt(address)) ? -1 : RealSyscalls().msync(address, size, flags);
    };
    table.pwrite = [](int fd, const void* bytes, std::size_t count, off_t at) -> ssize_t {
      return Fails("pwrite", fd) ? -1 : RealSyscalls().pwrite(fd, bytes, count, at);
    };
    table.ftruncate = [](int fd, off_t size) {
      return Fails("ftruncate", fd) ? -1 : RealSyscalls().ftruncate(fd, size);
    };
    table.open_at = [](int directory, const char* name, int flags, mode_t mode) {
      return Fails("open", -1) ? -1 : RealSyscalls().open_at(directory, name, flags, mode);
    };
    table.mkdir_at = [](int directory, const char* name, mode_t mode) {
      return Fails("mkdir", -1) ? -1 : RealSyscalls().mkdir_at(directory, name, mode);
    };
    table.rename_at2 = [](int from, const char* name, int to, const char* other, unsigned flags) {
      return Fails("rename", -1) ? -1 : RealSyscalls().rename_at2(from, name, to, other, flags);
    };
    table.mmap = [](void* at, std::size_t size, int protection, int flags, int fd, off_t offset) {
      return Fails("mmap", -1) ? MAP_FAILED
                               : RealSyscalls().mmap(at, size, protection, flags, fd, offset);
    };
  }
};

/// While alive, scratch directories are in memory where that is possible: syncs are free there.
class InMemory {
 public:
  explicit InMemory(bool wanted) {
    if (!wanted || ::access("/dev/shm", W_OK) != 0) return;
    if (const char* place = std::getenv("TMPDIR")) before_ = place;
    ::setenv("TMPDIR", "/dev/shm", 1);
    changed_ = true;
  }

  InMemory(const InMemory&) = delete;
  InMemory& operator=(const InMemory&) = delete;

  ~InMemory() {
    if (!changed_) return;
    before_ ? ::setenv("TMPDIR", before_->c_str(), 1) : ::unsetenv("TMPDIR");
  }

 private:
  std::optional<std::string> before_;
  bool changed_ = false;
};

class StoreTest : public ::testing::Test {
 protected:
  explicit StoreTest(bool on_disk = false) {
    const InMemory place(!on_disk);
    scratch_.emplace();
    path_ = Scratch("store");
  }

  static std::vector<Field> Fields() {
    return {Field{.name = "number"}, Field{.name = "list", .shape = {kRagged}},
            Field{.name = "flag", .dtype = DType::kBool}};
  }

  StreamStore Open() const { return StreamStore::Open(path_, options_); }

  std::string Stored() const { return Show(Reader::Open(path_)); }

  /// Runs `work` in a child process that ends without closing anything; its exit code.
  static int InChild(const std::function<void()>& work) {
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        work();
      } catch (const std::exception& error) {
        ::fprintf(stderr, "child: %s\n", error.what());
        ::_exit(1);
      }
      ::_exit(::testing::Test::HasFailure() ? 2 : 0);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }

  /// A writer that appends and dies without closing.
  void WriteAndDie(const std::function<void(StreamStore&)>& work) const {
    const auto write = [&] { work(*new StreamStore(Open())); };
    ASSERT_EQ(InChild(write), 0);
  }

  std::array<std::optional<Slot>, 2> Slots() const {
    const Directory directory = Directory::Open(path_);
    const File control = directory.OpenFile("control", false);
    std::array<std::byte, 512> bytes{};
    control.ReadAt(bytes, kIdentityOffset);
    const Identity identity = DecodeIdentity(bytes, "control");
    std::array<std::optional<Slot>, 2> slots;
    for (std::size_t i = 0; i < 2; ++i) {
      control.ReadAt(bytes, kSlotOffset[i]);
      slots[i] = DecodeSlot(bytes, identity.id);
    }
    return slots;
  }

  LiveWords Live() const {
    LiveWords live{};
    const File control = Directory::Open(path_).OpenFile("control", false);
    control.ReadAt(std::as_writable_bytes(std::span(&live, 1)), kLiveOffset);
    return live;
  }

  void SetLive(const LiveWords& live) const {
    const File control = Directory::Open(path_).OpenFile("control", true);
    control.WriteAt(std::as_bytes(std::span(&live, 1)), kLiveOffset);
  }

  /// Flips a bit of the file.
  void Flip(const char* name, std::uint64_t at, int bit = 0) const {
    std::byte byte{};
    const File file = Directory::Open(path_).OpenFile(FileOf(name).c_str(), true);
    file.ReadAt(std::span(&byte, 1), at);
    byte ^= std::byte{1} << bit;
    file.WriteAt(std::span(&byte, 1), at);
  }

  std::uint64_t SizeOf(const char* name) const {
    return std::filesystem::file_size(path_ / FileOf(name));
  }

  std::filesystem::path Scratch(const std::string& name) const { return *scratch_ / name; }

  std::optional<ScratchDirectory> scratch_;
  std::filesystem::path path_;
  Options options_{.capacity_values = 1,
                   .fields = Fields(),
                   .grow_ahead = false,
                   .sync_interval = {},
                   .sync_bytes = 0};
};

}  // namespace stream_store::internal
