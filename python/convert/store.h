// Store: what a Python object holds: a writer, a reader or a snapshot, and what conversions need to
// know.
//
// Base of `class StreamStore` in Python. A store is in one of these states: undeclared (a writer
// without fields: nothing on disk yet), writing, reading (mode "r": follows another writer), a
// snapshot (fixed), closed. A writer reads through a Reader of its own, refreshed at each call.
// Thread rules: the GIL guards every member. What releases it works on a copy of the Reader (reads)
// or has the store's turn (appends, see AppendTurn); the C++ writer itself takes calls from any
// thread.
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

/// From how many bytes on a call releases the GIL around its C++ work.
inline constexpr std::uint64_t kReleaseBytes = std::uint64_t{32} << 10;

/// Releases the GIL, if asked to, for as long as it lives.
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

/// The path of a str or os.PathLike that holds one.
std::filesystem::path NativePath(nb::handle path);

class Store {
 public:
  enum class Kind : std::uint8_t { kWriter, kReader, kSnapshot };

  /// What opening takes beside path and mode.
  struct Arguments {
    std::uint64_t capacity = 0;
    double wait = 0;          ///< seconds, mode "r" only
    double sync_seconds = 0;  ///< 0: no sync for that reason
    std::uint64_t sync_bytes = 0;
    bool safe_reads = false;  ///< mode "r" only
  };

  /// `path` None: a temporary store.
  Store(nb::object path, const std::string& mode, const Arguments& arguments);
  /// A temporary store of another process, by duplicates of its descriptors, which are taken over.
  explicit Store(const interop::Handover& files);
  /// A snapshot of `source`: its first `num_rows` rows, or all.
  Store(Store& source, std::optional<std::uint64_t> num_rows);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // --- reading ---

  /// A Reader of what is stored now; null while no fields are declared. Throws ValueError when
  /// closed.
  Reader* Refresh();

  /// What the last Refresh() found, unless the store was closed meanwhile: between the two,
  /// allocations and conversions may have run foreign code.
  Reader* Current() {
    RequireOpen();
    return reader_ ? &*reader_ : nullptr;
  }

  /// Values and rows stored now.
  std::uint64_t size();
  std::uint64_t rows();

  // --- writing ---

  /// The writer. Throws ValueError (closed), io.UnsupportedOperation (a reader or snapshot); `what`
  /// names the call.
  StreamStore& Writer(const char* what);

  /// Throws as Writer() does. `operation` names the call in the message.
  void RequireWritable(const std::string& operation) { Writer(operation.c_str()); }

  void DefineFields(std::vector<Field> fields);
  std::uint64_t Sync();
  void Close();
  void Clear();

  /// Runs `work` on rows that are staged, then commits them: appended to what is there, or, with
  /// `fields`, in its place. Without the GIL, except where `work` takes it. Whatever it throws
  /// leaves the store as it was. Returns the rows.
  std::uint64_t Import(std::optional<std::vector<Field>> fields,
                       const std::function<void(StagedRows&)>& work);

  /// The step after the last one, 0 for the first. Throws ValueError past int64.
  Step NextStep() const;
  std::optional<Step> LastStep();

  void NoteLastStep(Step step) noexcept { last_step_ = step; }

  // --- facts ---

  const FieldTable& fields() const noexcept { return *fields_; }

  /// Throws RuntimeError if the fields are no longer those: foreign code in a conversion, or
  /// another thread, has declared them anew.
  void RequireFields(const FieldTable& fields) const;

  /// Changes when what is read becomes another store: fields were declared anew, or it was cleared
  /// or filled anew.
  std::uint64_t generation() const noexcept { return generation_; }

  /// Keeps the table alive across foreign code that may declare fields anew.
  std::shared_ptr<const FieldTable> shared_fields() const noexcept { return fields_; }

  /// Changes with every new table.
  std::uint64_t fields_version() const noexcept { return fields_version_; }

  const Schema* schema() const noexcept;
  const Recovery& recovery() const;
  std::string id() const;

  const nb::object& path() const noexcept { return path_; }

  const std::string& mode() const noexcept { return mode_; }

  /// Rows of a snapshot that was asked for with a number, for pickling; none otherwise.
  bool is_snapshot() const noexcept { return kind_ == Kind::kSnapshot; }

  bool safe_reads() const noexcept { return safe_reads_; }

  bool temporary() const noexcept { return path_.is_none(); }

  bool closed() const noexcept { return closed_; }

  void RequireOpen() const;

  Scratch& scratch() noexcept { return scratch_; }

  NameCache& names() noexcept { return names_; }

 private:
  friend class AppendTurn;
  void OpenReader(const Arguments& arguments);
  void TakeFields(const Schema& schema);
  [[noreturn]] void ThrowClosed() const;

  nb::object path_;
  std::string mode_;
  Kind kind_ = Kind::kWriter;
  bool safe_reads_ = false;
  bool closed_ = false;
  bool schema_final_ = false;       // rows exist: the fields cannot change any more
  std::vector<Field> fields_seen_;  // until then, what fields_ was made of
  std::optional<StreamStore> writer_;
  std::optional<Reader> reader_;
  std::shared_ptr<const FieldTable> fields_ = std::make_shared<FieldTable>();
  std::uint64_t fields_version_ = 0;
  std::uint64_t generation_ = 0;
  std::optional<Step> last_step_;  // of a writer
  Scratch scratch_;
  NameCache names_;
  GilMutex turn_;  // of an append that runs without the GIL
};

/// The turn of one append. Appends of one store run one after the other, also where one has
/// released the GIL: only so is "the last step" that of the append before.
class AppendTurn {
 public:
  explicit AppendTurn(Store& store) : store_(store) {
    if (store.turn_.wanted()) {
      Wait();
    }
  }

  ~AppendTurn();
  AppendTurn(const AppendTurn&) = delete;
  AppendTurn& operator=(const AppendTurn&) = delete;

  /// Runs `work` without the GIL; other appends wait.
  template <class Work>
  void RunWithoutGil(Work&& work) {
    store_.turn_.Take();
    mine_ = true;
    const MaybeWithoutGil released(true);
    work();
  }

 private:
  void Wait();
  Store& store_;
  bool mine_ = false;
};

}  // namespace stream_store::python
