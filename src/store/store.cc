// StreamStore: forwards to the Writer of a store, and turns its refusals into errors. A store is in
// one of three states: without fields, open, closed.
#include "stream_store/store.h"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "base/str_cat.h"
#include "storage/open.h"
#include "store/append_result_access.h"
#include "store/refusal_text.h"
#include "store/store_impl.h"

namespace stream_store {

using internal::OpenedStore;
using internal::PathText;
using internal::Refusal;
using internal::StrCat;
using internal::Writer;
using Results = internal::AppendResultAccess;

namespace {

void CheckOptions(const Options& options) {
  if (options.capacity_values == 0) {
    throw Error(ErrorCode::kInvalidArgument, "capacity: expected at least 1 value but found 0");
  }
  internal::CheckLimits(options);
  if (options.sync_interval.count() < 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "sync_interval: expected at least 0 but found a negative number");
  }
}

std::string NamesOf(const std::vector<Field>& fields) {
  std::string names;
  for (const Field& field : fields) {
    names += field.hidden ? "" : StrCat(names.empty() ? "" : ", ", field.name);
  }
  return names;
}

// The declared fields, or the hidden ones. Those of a store to which fields were added alternate.
std::vector<Field> FieldsOf(const Schema& schema, bool hidden) {
  std::vector<Field> fields = schema.fields();
  std::erase_if(fields, [hidden](const Field& field) { return field.hidden != hidden; });
  return fields;
}

// Returns the fields of `wanted` that the store lacks. They must come after all of its own.
std::vector<Field> NewFields(const std::string& path, const Schema& stored, const Schema& wanted) {
  std::vector<Field> added;
  for (const bool hidden : {false, true}) {
    const std::vector<Field> ours = FieldsOf(stored, hidden);
    const std::vector<Field> theirs = FieldsOf(wanted, hidden);
    if (ours.size() > theirs.size() || !std::equal(ours.begin(), ours.end(), theirs.begin())) {
      throw Error(ErrorCode::kInvalidArgument,
                  StrCat(path, ": opening with fields: expected those of the store (",
                         NamesOf(stored.fields()), ")"));
    }
    added.insert(added.end(), theirs.begin() + static_cast<std::ptrdiff_t>(ours.size()),
                 theirs.end());
  }
  return added;
}

// The refusal of a closed store, or in a forked child, comes before all others.
AppendResult ResultOf(const Refusal& refusal, const Writer& writer, Step step,
                      std::span<const FieldWrite> writes) noexcept {
  const Refusal state = writer.RefuseWrite();
  return Results::Of(state.code == ErrorCode::kOk ? refusal : state, step, writes);
}

// The result of append(), which stores a step or throws.
template <class Append>
AppendResult Tried(const Append& append) noexcept {
  try {
    return append();
  } catch (const Error& error) {
    return Results::Because(error.code());
  } catch (...) {
    return Results::Because(AppendReason::kNoMemory);  // std::bad_alloc
  }
}

}  // namespace

// Attaches without the lock, which is held for moments only. If two threads attach, each gets its
// own source.
std::shared_ptr<internal::ReadSource> StreamStore::Impl::Source() const {
  {
    const internal::ForkMutexLock lock(mutex);
    if (auto known = shared_source.lock()) {
      return known;
    }
  }
  if (path.empty()) {
    throw Error(ErrorCode::kClosed,
                "temporary store: reader of a store that is closed: its rows are gone");
  }
  auto attached = internal::ReadSource::Attach(path, /*copies=*/false);
  if (attached->files().identity().id != writer->files()->identity().id) {
    throw Error(ErrorCode::kNotFound,
                StrCat(Name(), ": reader of a store that is closed: another store is at its path"),
                ENOENT);
  }
  const internal::ForkMutexLock lock(mutex);
  shared_source = attached;
  return attached;
}

StreamStore::StreamStore(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}

StreamStore::StreamStore(StreamStore&&) noexcept = default;
StreamStore& StreamStore::operator=(StreamStore&&) noexcept = default;
StreamStore::~StreamStore() = default;

StreamStore StreamStore::Open(const std::filesystem::path& path, const Options& options) {
  return Impl::Open(path, options, /*drops=*/true);
}

StreamStore StreamStore::Impl::Open(const std::filesystem::path& path, const Options& options,
                                    bool drops) {
  CheckOptions(options);
  internal::RefuseTemporaryName(path);
  auto impl = std::make_unique<Impl>();
  impl->drops = drops;
  impl->path = path;
  impl->options = options;
  const internal::PathState there = internal::InspectPath(path);
  if (there == internal::PathState::kSomethingElse) {
    throw Error(ErrorCode::kAlreadyExists,
                StrCat(PathText(path),
                       ": opening a store: expected a store, an empty directory "
                       "or nothing but found something else"));
  }
  if (there == internal::PathState::kStore) {
    if (options.mode == Mode::kCreate) {
      throw Error(ErrorCode::kAlreadyExists,
                  StrCat(PathText(path), ": creating a store: expected none but found one"));
    }
    const OpenedStore opened = internal::OpenForWriting(path);
    std::vector<Field> added;
    if (!options.fields.empty()) {
      added =
          NewFields(PathText(path), opened.files->store_schema()->schema, Schema(options.fields));
    }
    if (!added.empty() && !options.add_fields) {
      throw Error(ErrorCode::kInvalidArgument,
                  StrCat(PathText(path), ": opening with fields: the store lacks ", NamesOf(added),
                         "; open it with add_fields = true to add them"));
    }
    impl->Start(opened);
    if (!added.empty()) {
      impl->writer->AddFields(std::move(added));
    }
  } else if (!options.fields.empty()) {
    impl->Create(options.fields);
  }
  return StreamStore(std::move(impl));
}

StreamStore StreamStore::Temporary(const Options& options) {
  CheckOptions(options);
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  if (!options.fields.empty()) {
    impl->Create(options.fields);
  }
  return StreamStore(std::move(impl));
}

void StreamStore::DefineFields(std::vector<Field> fields) {
  if (closed()) {
    throw Error(ErrorCode::kClosed,
                StrCat(impl_->Name(), ": define_fields on a store that is closed"));
  }
  if (impl_->writer == nullptr) {
    impl_->Create(std::move(fields));
    return;
  }
  impl_->writer->Redeclare(Schema(std::move(fields)));
}

void StreamStore::AddFields(std::vector<Field> fields) {
  if (closed()) {
    throw Error(ErrorCode::kClosed,
                StrCat(impl_->Name(), ": add_fields on a store that is closed"));
  }
  if (impl_->writer == nullptr) {
    impl_->Create(std::move(fields));
    return;
  }
  impl_->writer->AddFields(std::move(fields));
}

bool StreamStore::declared() const noexcept { return impl_->writer != nullptr; }

const Schema& StreamStore::schema() const { return impl_->Declared("schema").schema(); }

TypeId StreamStore::type_id(std::string_view field) const {
  if (const auto type = schema().find(field)) {
    return *type;
  }
  throw Error(ErrorCode::kInvalidArgument,
              StrCat("Unknown field '", field, "'; declared are ", NamesOf(schema().fields())));
}

// The cursor in the message of a refusal is read after the refused call: another thread may have
// appended since, so the step it names may be later than the one that refused the call.
Row StreamStore::Append(Step step, std::span<const FieldWrite> writes) {
  Writer& writer = impl_->Declared("append");
  Row row = 0;
  Refusal refusal;
  if (!writer.Append(step, writes, &row, &refusal)) [[unlikely]] {
    internal::ThrowRefusal(refusal, writer, step, writes, writer.cursor().step);
  }
  return row;
}

// Neighbouring field-writes of one step form a group, which becomes one record.
void StreamStore::Append(std::span<const Step> steps, std::span<const FieldWrite> writes) {
  Writer& writer = impl_->Declared("append");
  if (steps.size() != writes.size()) {
    writer.RequireWritable("append");
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("append: steps and field-writes must have equal length, found ",
                       steps.size(), " and ", writes.size()));
  }
  std::vector<internal::Group> groups;
  for (std::size_t begin = 0; begin < steps.size();) {
    std::size_t end = begin + 1;
    while (end < steps.size() && steps[end] == steps[begin]) {
      ++end;
    }
    groups.push_back({steps[begin], writes.subspan(begin, end - begin)});
    begin = end;
  }
  if (groups.size() == 1) {
    Append(groups[0].step, groups[0].writes);
    return;
  }
  std::size_t failed = 0;
  const Refusal refusal = writer.AppendGroups(groups, &failed);
  if (refusal.code != ErrorCode::kOk) {
    const Step before = failed > 0 ? groups[failed - 1].step : writer.cursor().step;
    internal::ThrowRefusal(refusal, writer, groups[failed].step, groups[failed].writes, before);
  }
}

AppendResult StreamStore::TryAppend(Step step, std::span<const FieldWrite> writes) noexcept {
  Writer* const writer = impl_->writer.get();
  if (writer == nullptr) [[unlikely]] {
    return Results::Because(impl_->closed_undeclared ? AppendReason::kClosed
                                                     : AppendReason::kNoFields);
  }
  return Tried([&] {
    Row row = 0;
    Refusal refusal;
    return writer->Append(step, writes, &row, &refusal) ? Results::Stored(row)
                                                        : ResultOf(refusal, *writer, step, writes);
  });
}

Step StreamStore::AppendStep(std::span<const FieldWrite> writes) {
  Writer& writer = impl_->Declared("append");
  Row row = 0;
  Step step = 0;
  Refusal refusal;
  if (!writer.AppendStep(writes, &row, &step, &refusal)) [[unlikely]] {
    internal::ThrowRefusal(refusal, writer, step, writes, writer.cursor().step);
  }
  return step;
}

AppendResult StreamStore::TryAppendStep(std::span<const FieldWrite> writes, Step* step) noexcept {
  Writer* const writer = impl_->writer.get();
  if (writer == nullptr) [[unlikely]] {
    return Results::Because(impl_->closed_undeclared ? AppendReason::kClosed
                                                     : AppendReason::kNoFields);
  }
  return Tried([&] {
    Row row = 0;
    Step chosen = 0;
    Refusal refusal;
    if (!writer->AppendStep(writes, &row, &chosen, &refusal)) {
      return ResultOf(refusal, *writer, chosen, writes);
    }
    if (step != nullptr) {
      *step = chosen;
    }
    return Results::Stored(row);
  });
}

Row StreamStore::Extend(std::span<const Step> steps, std::span<const Column> columns) {
  Writer& writer = impl_->Declared("extend");
  Row first = 0;
  const Refusal refusal = writer.Extend(steps, columns, &first);
  if (refusal.code != ErrorCode::kOk) {
    internal::ThrowRefusal(refusal, writer, steps, columns, 0);
  }
  return first;
}

void StreamStore::Reserve(std::uint64_t values, std::uint64_t records) {
  impl_->Declared("reserve").Reserve(values, records);
}

std::uint64_t StreamStore::Sync() { return impl_->Declared("sync").Sync(); }

// A forked child keeps the source: the files are released with the object there.
void StreamStore::Close() {
  if (impl_->writer == nullptr) {
    impl_->closed_undeclared = true;
    return;
  }
  const std::optional<Error> failure = impl_->DropExcess();
  try {
    impl_->writer->Close();
  } catch (const Error&) {
    impl_->DropSource();
    throw;
  }
  if (!impl_->writer->forked()) {
    impl_->DropSource();
  }
  if (failure) {
    throw Error(*failure);
  }
}

// The source of the readers is replaced also after a failure, which may have removed the rows.
std::uint64_t StreamStore::Truncate(std::uint64_t num_rows) {
  Writer& writer = impl_->Declared("truncate");
  const auto renew_source = [&] {
    impl_->SetSource(
        std::make_shared<internal::ReadSource>(writer.files(), impl_->recovery, writer.cursor()));
  };
  std::uint64_t removed = 0;
  try {
    removed = writer.Truncate(num_rows);
  } catch (const Error&) {
    if (writer.failed()) {  // by a sync, which may have been out of space
      renew_source();
    }
    throw;
  }
  if (removed > 0) {
    renew_source();
  }
  return removed;
}

std::uint64_t StreamStore::DropBefore(Row row) {
  Writer& writer = impl_->Declared("drop_before");
  if (row < 0) {
    writer.RequireWritable("drop_before");
    throw Error(ErrorCode::kOutOfRange,
                StrCat(impl_->Name(), ": drop_before row ", row, ": expected at least 0"));
  }
  return writer.DropBefore(static_cast<std::uint64_t>(row));
}

Retention StreamStore::retention() const {
  if (const Writer* writer = impl_->writer.get()) {
    return internal::PublicLimits(writer->retention(), writer->schema());
  }
  const auto limit = [](const std::optional<std::uint64_t>& wanted) {
    return wanted == Options::kUnlimited ? std::nullopt : wanted;
  };
  const Options& options = impl_->options;
  return {.rows = limit(options.retain_rows),
          .bytes = limit(options.retain_bytes),
          .segments = limit(options.retain_segments),
          .segment_by = options.segment_by};
}

// The options keep the limits for a store that is created later, by DefineFields() or Clear().
void StreamStore::SetRetention(const Retention& retention) {
  Options wanted = internal::ExactLimits(retention);
  if (closed()) {
    throw Error(ErrorCode::kClosed,
                StrCat(impl_->Name(), ": setting what is retained of a store that is closed"));
  }
  if (Writer* writer = impl_->writer.get()) {
    const internal::StoreFiles& files = *writer->files();
    impl_->Limit(*writer,
                 internal::LimitsOf(
                     wanted, {}, {writer->schema(), files.identity().chunk_bytes, impl_->Name()}));
  }
  impl_->options.retain_rows = wanted.retain_rows;
  impl_->options.retain_bytes = wanted.retain_bytes;
  impl_->options.retain_segments = wanted.retain_segments;
  impl_->options.segment_by = std::move(wanted.segment_by);
}

// The old files are deleted with the last Reader of them.
void StreamStore::Clear() {
  Writer& writer = impl_->Declared("clear");
  if (!impl_->path.empty()) {
    throw Error(
        ErrorCode::kReadOnly,
        StrCat(impl_->Name(),
               ": clear: only a temporary store can be emptied; a store with a path is never "
               "deleted"));
  }
  if (writer.closed()) {
    throw Error(ErrorCode::kClosed, "temporary store: clear on a store that is closed");
  }
  writer.RequireNotStaging("clear");
  impl_->Create(writer.schema().fields());
}

Reader StreamStore::reader() const {
  impl_->Declared("reader");
  return Reader(impl_->Source());
}

bool StreamStore::closed() const noexcept { return impl_->Closed(); }

std::uint64_t StreamStore::durable_rows() const noexcept {
  return impl_->writer == nullptr ? 0 : impl_->writer->durable_rows();
}

const std::filesystem::path& StreamStore::path() const noexcept { return impl_->path; }

const std::array<std::uint8_t, 16>& StreamStore::id() const {
  return impl_->Declared("id").files()->identity().id;
}

const Recovery& StreamStore::recovery() const noexcept { return impl_->recovery; }

}  // namespace stream_store
