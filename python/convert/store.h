// StoreObject: the C++ part of a StreamStore of Python, which is a writer, a reader or a snapshot.
//
// It is the class _core.Store, the base of `class StreamStore` in Python. A store is in one of
// these states:
//   - undeclared: a writer without fields; nothing is on disk yet;
//   - writing;
//   - reading: mode "r", follows the writer of another process;
//   - snapshot: a fixed number of rows;
//   - closed.
// A writer has a Reader too, which is refreshed in each call that reads. Between calls, the thread
// that drops rows may take it away (interop::KeptReader), so that their disk space is free.
//
// Thread rules: the GIL guards every member. A call that releases it works on a copy of the Reader
// (reads) or holds the append lock of the store (writes, see AppendLock). Foreign code may run
// whenever Python objects are allocated or converted, and may then close the store, clear it or
// declare other fields: Current(), RequireFields() and generation() detect this.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "stream_store/interop.h"
#include "stream_store/reader.h"
#include "stream_store/store.h"

#include "convert/field_table.h"
#include "convert/gil_mutex.h"
#include "convert/python.h"
#include "convert/scratch.h"

namespace stream_store::python {

/// A call releases the GIL if it reads or writes at least this many bytes; for less, releasing
/// costs more than it gains.
inline constexpr std::uint64_t kReleaseBytes = std::uint64_t{32} << 10;

/// Releases the GIL from construction to destruction, if `release` is true.
class MaybeWithoutGil {
 public:
  explicit MaybeWithoutGil(bool release) : state_(release ? PyEval_SaveThread() : nullptr) {}

  ~MaybeWithoutGil() {
    if (state_ != nullptr) {
      PyEval_RestoreThread(state_);
    }
  }

  MaybeWithoutGil(const MaybeWithoutGil&) = delete;
  MaybeWithoutGil& operator=(const MaybeWithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

/// The path in a str, bytes or os.PathLike, encoded as the file system wants it.
std::filesystem::path NativePath(nb::handle path);

class StoreObject {
 public:
  enum class Kind : std::uint8_t { kWriter, kReader, kSnapshot };

  /// The arguments of opening besides path and mode.
  struct Arguments {
    std::uint64_t capacity = 0;
    std::uint64_t chunk_bytes = 0;  ///< Options::chunk_bytes
    double wait = 0;                ///< seconds, mode "r" only
    double sync_seconds = 0;        ///< Options::sync_interval; 0 disables it
    std::uint64_t sync_bytes = 0;   ///< Options::sync_bytes; 0 disables it
    bool safe_reads = false;        ///< mode "r" only
  };

  /// Opens a store; a temporary one if `path` is None.
  StoreObject(nb::object path, const std::string& mode, const Arguments& arguments);
  /// Wraps a Reader: of the store of a group at `path`, or of a temporary store of another process
  /// if that is None.
  StoreObject(Reader reader, nb::object path);
  /// A snapshot of `source`: of its first `num_rows` rows, or of all rows stored now.
  StoreObject(StoreObject& source, std::optional<std::uint64_t> num_rows);
  ~StoreObject();
  StoreObject(const StoreObject&) = delete;
  StoreObject& operator=(const StoreObject&) = delete;

  // --- reading ---

  /// The reader, refreshed to the rows stored now; null before fields are declared. Throws
  /// ValueError if the store is closed. Foreign code may refresh it, or replace it by another one.
  std::shared_ptr<Reader> Refresh();

  /// The reader as of the last Refresh(), whose result the caller keeps meanwhile. Throws ValueError
  /// if the store was closed since then, which foreign code in allocations and conversions may have
  /// done.
  std::shared_ptr<Reader> Current() {
    RequireOpen();
    return kind_ == Kind::kWriter ? kept_->Last() : reader_;
  }

  /// Number of values and of rows stored now.
  std::uint64_t size();
  std::uint64_t rows();

  // --- writing ---

  /// The writer. Throws ValueError if the store is closed, io.UnsupportedOperation if it is a
  /// reader or a snapshot; `what` names the call.
  StreamStore& Writer(const char* what);

  /// Throws as Writer() does. `operation` names the call in the message.
  void RequireWritable(const std::string& operation) { Writer(operation.c_str()); }

  void DefineFields(std::vector<Field> fields);
  void AddFields(std::vector<Field> fields);
  std::uint64_t Sync();
  void Close();
  void Clear();

  /// Removes all rows from `num_rows` on; returns how many. Throws IndexError if there are fewer.
  std::uint64_t Truncate(std::uint64_t num_rows);

  /// Drops all rows before `row`; returns how many. Throws IndexError, or DroppedError if the rows
  /// were dropped already.
  std::uint64_t DropBefore(std::uint64_t row);

  /// Replaces all limits of the store.
  void SetRetention(const Retention& retention);

  /// The limits of the store; before fields are declared, those that it will have.
  Retention retention();

  /// Stages the rows that `work` adds, and commits them: appended to the store, or with `fields` as
  /// its new fields and only rows. Runs `work` without the GIL, which it may acquire. An exception
  /// of `work` leaves the store as it was. Returns the number of rows.
  std::uint64_t Import(std::optional<std::vector<Field>> fields,
                       const std::function<void(StagedRows&)>& work);

  /// The default step of the next append: one more than the last, 0 in an empty store. Throws
  /// ValueError if int64 cannot hold it.
  Step NextStep() const;

  /// The step of the last row; none in an empty store.
  std::optional<Step> LastStep();

  /// Called after each append, so that NextStep() need not read the last row.
  void NoteLastStep(Step step) noexcept { last_step_ = step; }

  /// Lets rows be dropped from now on. Until then, the limits of the store can be changed.
  void StartDropping();

  // --- facts ---

  const FieldTable& fields() const noexcept { return *fields_; }

  /// Throws RuntimeError if `fields` is a table of an earlier declaration, because foreign code in a
  /// conversion, or another thread, has declared new fields. Fields may have been added.
  void RequireFields(const FieldTable& fields) const;

  /// Changes when positions and rows lose their meaning: new fields were declared, the store was
  /// cleared or truncated, or its rows were replaced.
  std::uint64_t generation() const noexcept { return generation_; }

  /// The table, kept alive while foreign code may declare new fields.
  std::shared_ptr<const FieldTable> shared_fields() const noexcept { return fields_; }

  /// Changes with every new table.
  std::uint64_t fields_version() const noexcept { return fields_version_; }

  /// The schema that fields() was made from; empty before fields are declared.
  Schema schema() const;

  const Recovery& recovery() const;
  std::string id() const;

  const nb::object& path() const noexcept { return path_; }

  const std::string& mode() const noexcept { return mode_; }

  bool is_snapshot() const noexcept { return kind_ == Kind::kSnapshot; }

  bool safe_reads() const noexcept { return safe_reads_; }

  bool temporary() const noexcept { return path_.is_none(); }

  bool closed() const noexcept { return closed_; }

  void RequireOpen() const;

  Scratch& scratch() noexcept { return scratch_; }

  NameCache& names() noexcept { return names_; }

 private:
  friend class AppendLock;
  void OpenReader(const Arguments& arguments);
  void KeepReader();

  bool has_reader() const noexcept { return reader_ != nullptr || keeps_; }

  void TakeFields(const Schema& schema);
  void TakeAddedFields(Schema schema);
  void FollowSchema();
  [[noreturn]] void ThrowClosed() const;
  void RequireNotForked(const char* what) const;

  nb::object path_;
  std::string mode_;
  Kind kind_ = Kind::kWriter;
  bool safe_reads_ = false;
  bool closed_ = false;
  Schema schema_seen_;  // the schema that fields_ was made from
  std::optional<StreamStore> writer_;
  int generation_of_process_;  // GenerationOfProcess() when writer_ was opened or declared
  // Of a writer. The function of interop::OnDrop() owns it, too.
  const std::shared_ptr<interop::KeptReader> kept_ = std::make_shared<interop::KeptReader>();
  bool keeps_ = false;              // whether it has a reader
  std::shared_ptr<Reader> reader_;  // of a reader or snapshot
  std::shared_ptr<const FieldTable> fields_ = std::make_shared<FieldTable>();
  std::uint64_t fields_version_ = 0;
  std::uint64_t declaration_ = 0;  // of fields_
  std::uint64_t generation_ = 0;
  std::optional<Step> last_step_;  // of a writer only
  Scratch scratch_;
  NameCache names_;
  GilMutex append_mutex_;  // held by an append that runs without the GIL
};

/// Serialises the appends of one store, also those that release the GIL. Otherwise "the last step",
/// which the default step follows, would not be that of the previous append.
///
/// The mutex is taken only by RunWithoutGil(): while an append keeps the GIL, no other can run
/// anyway. That spares the small appends all work but one test.
class AppendLock {
 public:
  /// Waits for an append that runs without the GIL. Throws RuntimeError if the calling thread is
  /// inside an import into the same store, ValueError if the store was closed meanwhile.
  explicit AppendLock(StoreObject& store) : store_(store) {
    if (store.append_mutex_.wanted()) {
      Wait();
    }
  }

  ~AppendLock();
  AppendLock(const AppendLock&) = delete;
  AppendLock& operator=(const AppendLock&) = delete;

  /// Runs `append`, which makes one C++ call: with the GIL, unless it would have to wait for rows to be
  /// dropped or for disk space. Then it runs again as by RunWithoutGil().
  template <class Append>
  void RunWithGil(Append&& append) {
    bool waits = false;
    {
      const interop::NoWaiting no_waiting;
      try {
        append();
      } catch (const Error&) {
        waits = no_waiting.refused();
        if (!waits) {
          throw;
        }
      }
    }
    if (waits) {
      RunWithoutGil(append);
    }
  }

  /// Runs `work` without the GIL; other appends wait.
  template <class Work>
  void RunWithoutGil(Work&& work) {
    store_.append_mutex_.Take();
    taken_ = true;
    const MaybeWithoutGil released(true);
    work();
  }

 private:
  void Wait();
  StoreObject& store_;
  bool taken_ = false;
};

}  // namespace stream_store::python
