// Opening, refreshing, declaring and closing; see store.h for the states.

#include "convert/store.h"

#include <atomic>
#include <chrono>
#include <filesystem>
#include <limits>

#include "convert/assert.h"
#include "convert/ids.h"

namespace stream_store::python {
namespace {

using std::chrono::steady_clock;

bool Finalizing() {
#if PY_VERSION_HEX >= 0x030D0000
  return Py_IsFinalizing() != 0;
#else
  return _Py_IsFinalizing() != 0;
#endif
}

// Without this check, a call in a forked child would report its arguments first, because they are
// converted before the writer sees them.
int GenerationOfProcess() noexcept {
  static const std::atomic<int>& forks = interop::Forks();
  return forks.load(std::memory_order_relaxed);
}

// REQUIRES: seconds >= 0
std::chrono::nanoseconds Nanoseconds(double seconds) {
  STREAM_STORE_ASSERT(seconds >= 0);
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(std::min(seconds, 1e9)));
}

}  // namespace

std::filesystem::path NativePath(nb::handle path) {
  const nb::object bytes = Own(PyUnicode_EncodeFSDefault(Own(PyOS_FSPath(path.ptr())).ptr()));
  return {std::string(PyBytes_AS_STRING(bytes.ptr()),
                      static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.ptr())))};
}

StoreObject::StoreObject(nb::object path, const std::string& mode, const Arguments& arguments)
    : path_(std::move(path)), mode_(mode), generation_of_process_(GenerationOfProcess()) {
  if (mode == "r") {
    kind_ = Kind::kReader;
    safe_reads_ = arguments.safe_reads;
    OpenReader(arguments);
    return;
  }
  Options options;
  options.mode = mode == "x" ? Mode::kCreate : Mode::kAppend;
  options.capacity_values = arguments.capacity;
  options.chunk_bytes = arguments.chunk_bytes;
  options.sync_interval = Nanoseconds(arguments.sync_seconds);
  options.sync_bytes = arguments.sync_bytes;
  if (path_.is_none()) {
    writer_.emplace(StreamStore::Temporary(options));
  } else {
    const std::filesystem::path native = NativePath(path_);
    const MaybeWithoutGil released(true);
    writer_.emplace(interop::OpenWithoutDropping(native, options));
  }
  interop::OnDrop(*writer_, [kept = kept_] { return kept->LetGo(); });
  if (writer_->declared()) {
    KeepReader();
    TakeFields(writer_->schema());
    last_step_ = LastStep();
  }
}

StoreObject::StoreObject(Reader reader, nb::object path)
    : path_(std::move(path)),
      mode_("r"),
      kind_(Kind::kReader),
      generation_of_process_(GenerationOfProcess()) {
  reader_ = std::make_shared<Reader>(std::move(reader));
  TakeFields(reader_->schema());
}

StoreObject::StoreObject(StoreObject& source, std::optional<std::uint64_t> num_rows)
    : path_(source.path_),
      mode_("r"),
      kind_(Kind::kSnapshot),
      safe_reads_(source.safe_reads_),
      generation_of_process_(GenerationOfProcess()) {
  const std::shared_ptr<Reader> reader = source.Refresh();
  if (reader == nullptr) {
    Throw(PyExc_RuntimeError, "snapshot: no fields are declared yet; call define_fields() first");
  }
  reader_ = std::make_shared<Reader>(num_rows ? reader->Snapshot(*num_rows) : reader->Snapshot());
  fields_ = source.fields_;
  schema_seen_ = source.schema_seen_;
  fields_version_ = 1;
}

StoreObject::~StoreObject() {
  // Closing a writer may wait for the disk. During shutdown the GIL could not be acquired again.
  const MaybeWithoutGil released(writer_.has_value() && !closed_ && !Finalizing());
  kept_->Reset();
  writer_.reset();
  reader_.reset();
}

// Waits for the store in slices of 0.1 s, so that Ctrl-C can end it.
void StoreObject::OpenReader(const Arguments& arguments) {
  const std::filesystem::path native = NativePath(path_);
  const auto until = steady_clock::now() + Nanoseconds(arguments.wait);
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::nanoseconds>(until - steady_clock::now());
    ReaderOptions options;
    options.safe_reads = arguments.safe_reads;
    options.wait =
        std::clamp(left, std::chrono::nanoseconds(0), std::chrono::nanoseconds(100'000'000));
    try {
      const MaybeWithoutGil released(true);
      reader_ = std::make_shared<Reader>(Reader::Open(native, options));
      break;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kNotFound || steady_clock::now() >= until) {
        throw;
      }
    }
    Check(PyErr_CheckSignals());
  }
  TakeFields(reader_->schema());
}

void StoreObject::TakeFields(const Schema& schema) {
  ++declaration_;
  schema_seen_ = Schema();
  TakeAddedFields(schema);
}

// Making a table runs Python code, during which another thread may add fields, too. Its table has
// more fields, and stays.
void StoreObject::TakeAddedFields(Schema schema) {
  const std::uint64_t declaration = declaration_;
  auto fields = std::make_shared<const FieldTable>(schema, declaration);
  if (declaration != declaration_ || schema.revision() < schema_seen_.revision()) {
    return;
  }
  fields_ = std::move(fields);
  schema_seen_ = std::move(schema);
  ++fields_version_;
  names_.Clear();
}

// Takes over the fields that the writer of another process has added, or has declared while there
// were no rows.
void StoreObject::FollowSchema() {
  const Schema schema = reader_->schema();
  if (schema.revision() > schema_seen_.revision() && schema.Extends(schema_seen_)) {
    TakeAddedFields(schema);
  } else {
    ++generation_;
    TakeFields(schema);
  }
}

void StoreObject::ThrowClosed() const {
  Throw(PyExc_ValueError,
        (path_.is_none() ? std::string("a temporary store") : ShortRepr(path_.ptr())) +
            ": the store is closed");
}

void StoreObject::RequireOpen() const {
  if (closed_) {
    ThrowClosed();
  }
}

void StoreObject::RequireFields(const FieldTable& fields) const {
  if (fields_->declaration() != fields.declaration()) {
    Throw(PyExc_RuntimeError, "new fields were declared while the arguments were converted");
  }
}

// Called by every read, so it must be fast.
std::shared_ptr<Reader> StoreObject::Refresh() {
  RequireOpen();
  if (kind_ == Kind::kWriter) {
    return kept_->Use();
  }
  reader_->Refresh();
  // Python code runs in FollowSchema(), and may have closed or refreshed the store.
  while (kind_ == Kind::kReader && reader_->schema().revision() != schema_seen_.revision())
      [[unlikely]] {
    FollowSchema();
    RequireOpen();
  }
  return reader_;
}

std::uint64_t StoreObject::size() {
  const std::shared_ptr<Reader> reader = Refresh();
  return reader == nullptr ? 0 : reader->size();
}

std::uint64_t StoreObject::rows() {
  const std::shared_ptr<Reader> reader = Refresh();
  return reader == nullptr ? 0 : reader->num_rows();
}

StreamStore& StoreObject::Writer(const char* what) {
  if (closed_) {
    ThrowClosed();
  }
  if (kind_ != Kind::kWriter) {
    throw Error(ErrorCode::kReadOnly,
                std::string(what) + " needs a store opened for writing; " +
                    (kind_ == Kind::kSnapshot ? std::string("this is a snapshot")
                     : path_.is_none() ? std::string("this is a temporary store of another process")
                                       : ShortRepr(path_.ptr()) + " was opened with mode='r'"));
  }
  if (generation_of_process_ != GenerationOfProcess()) [[unlikely]] {
    RequireNotForked(what);
  }
  return *writer_;
}

// A store without fields has nothing on disk yet, so a child may declare them and own the store.
void StoreObject::RequireNotForked(const char* what) const {
  if (writer_->declared()) {
    throw Error(ErrorCode::kReadOnly,
                (path_.is_none() ? std::string("temporary store") : ShortRepr(path_.ptr())) + ": " +
                    what +
                    " in a forked child: only the process that opened the store may write to it");
  }
}

void StoreObject::DefineFields(std::vector<Field> fields) {
  StreamStore& writer = Writer("define_fields");
  AppendLock lock(*this);
  lock.RunWithoutGil([&] { writer.DefineFields(std::move(fields)); });
  generation_of_process_ = GenerationOfProcess();
  KeepReader();
  ++generation_;
  TakeFields(writer.schema());
}

// Keeps the GIL: another thread must not meet fields that the table lacks.
void StoreObject::AddFields(std::vector<Field> fields) {
  if (writer_ && !writer_->declared()) {
    DefineFields(std::move(fields));
    return;
  }
  StreamStore& writer = Writer("add_fields");
  const AppendLock lock(*this);
  writer.AddFields(std::move(fields));
  KeepReader();
  TakeAddedFields(writer.schema());
}

std::uint64_t StoreObject::Sync() {
  StreamStore& writer = Writer("sync");
  if (temporary()) {
    // clear() and an import in another thread may replace the writer of a temporary store. There is
    // nothing to sync, so the lock is held for a moment only.
    const AppendLock lock(*this);
    return writer.Sync();
  }
  const MaybeWithoutGil released(true);
  return writer.Sync();
}

// Sets closed_ before it releases the GIL, so that no other thread begins a call on the closing
// writer.
void StoreObject::Close() {
  if (closed_) {
    return;
  }
  {
    const AppendLock lock(*this);
    closed_ = true;
  }
  // The reader goes first: it would keep the files open, also if closing the writer throws.
  kept_->Reset();
  keeps_ = false;
  reader_.reset();
  names_.Clear();
  if (writer_) {
    const MaybeWithoutGil released(true);
    writer_->Close();
  }
}

void StoreObject::Clear() {
  StreamStore& writer = Writer("clear");
  AppendLock lock(*this);
  lock.RunWithoutGil([&] { writer.Clear(); });
  if (writer.declared()) {
    KeepReader();
  }
  ++generation_;
  last_step_.reset();
}

// The rows are synced without the GIL first, so that little is left to write. The truncation itself
// keeps the GIL: a read of another thread must not meet the reader from before.
std::uint64_t StoreObject::Truncate(std::uint64_t num_rows) {
  StreamStore& writer = Writer("truncate");
  AppendLock lock(*this);
  if (num_rows < rows()) {
    lock.RunWithoutGil([&] { writer.Sync(); });
  }
  const auto renew = [&] {
    if (writer.declared()) {
      KeepReader();
    }
    ++generation_;
    last_step_ = LastStep();
  };
  std::uint64_t removed = 0;
  try {
    removed = writer.Truncate(num_rows);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kIo) {
      renew();  // the rows may be removed
    }
    throw;
  }
  if (removed > 0) {
    renew();
  }
  return removed;
}

// Makes the reader that the writer keeps; the one before is let go.
void StoreObject::KeepReader() {
  kept_->Set(writer_->reader());
  keeps_ = true;
}

void StoreObject::StartDropping() {
  if (kind_ == Kind::kWriter) {
    interop::StartDropping(Writer("opening"));
  }
}

// Reads of other threads may go on: their readers keep the rows.
std::uint64_t StoreObject::DropBefore(std::uint64_t row) {
  StreamStore& writer = Writer("drop_before");
  AppendLock lock(*this);
  std::uint64_t dropped = 0;
  lock.RunWithoutGil([&] { dropped = writer.DropBefore(static_cast<Row>(row)); });
  kept_->LetGo();
  return dropped;
}

// Keeps the GIL: close() must not run meanwhile.
void StoreObject::SetRetention(const Retention& retention) {
  StreamStore& writer = Writer("setting what is retained");
  const AppendLock lock(*this);
  writer.SetRetention(retention);
}

Retention StoreObject::retention() {
  const std::shared_ptr<Reader> reader = Refresh();
  return reader != nullptr ? reader->retention() : writer_->retention();
}

// Holds the append lock for the whole import, which may be long; reads are not affected.
std::uint64_t StoreObject::Import(std::optional<std::vector<Field>> fields,
                                  const std::function<void(StagedRows&)>& work) {
  StreamStore& writer = Writer("import");
  AppendLock lock(*this);
  std::uint64_t rows = 0;
  const bool replaces = fields.has_value();
  lock.RunWithoutGil([&] {
    StagedRows staged = replaces ? writer.StageReplacement(std::move(*fields)) : writer.Stage();
    work(staged);
    rows = staged.rows();
    staged.Commit();
  });
  generation_of_process_ = GenerationOfProcess();
  KeepReader();
  if (replaces) {
    ++generation_;
    TakeFields(writer.schema());
  }
  last_step_ = LastStep();
  return rows;
}

Step StoreObject::NextStep() const {
  if (!last_step_) {
    return 0;
  }
  if (*last_step_ == std::numeric_limits<Step>::max()) {
    Throw(PyExc_ValueError, "the last step is 2**63 - 1, and no int64 follows it; pass the step");
  }
  return *last_step_ + 1;
}

std::optional<Step> StoreObject::LastStep() {
  const std::shared_ptr<Reader> reader = Refresh();
  if (reader == nullptr || reader->kept_rows() == 0) {
    return std::nullopt;
  }
  return reader->row(static_cast<Row>(reader->num_rows() - 1)).step();
}

Schema StoreObject::schema() const { return has_reader() ? schema_seen_ : Schema(); }

const Recovery& StoreObject::recovery() const {
  RequireOpen();
  static const Recovery clean;
  return writer_ ? writer_->recovery() : reader_ ? reader_->recovery() : clean;
}

std::string StoreObject::id() const {
  RequireOpen();
  if (!has_reader()) {
    return "";
  }
  return HexOf(writer_ ? writer_->id() : reader_->id());
}

void AppendLock::Wait() {
  // Of the calls that run without the GIL, only an import acquires it in between, for the foreign
  // code of its source.
  if (store_.append_mutex_.mine()) {
    Throw(PyExc_RuntimeError,
          "this store is the target of an import; the source of the import cannot write to it");
  }
  store_.append_mutex_.Wait();
  store_.RequireOpen();
}

AppendLock::~AppendLock() {
  if (taken_) {
    store_.append_mutex_.Free();
  }
}

}  // namespace stream_store::python
