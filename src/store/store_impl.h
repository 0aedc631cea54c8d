// StreamStore::Impl: the state of a store. Before fields are declared there is no writer;
// afterwards there is one, with the source of its readers.
//
// Used by store.cc, and by staged_rows.cc, which builds a second one and exchanges their writers.
// Thread rules: those of StreamStore.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "stream_store/store.h"

#include "base/fork_mutex.h"
#include "base/str_cat.h"
#include "storage/open.h"
#include "storage/read_source.h"
#include "storage/writer.h"
#include "store/auto_drop.h"
#include "store/limits.h"

namespace stream_store {

struct StreamStore::Impl {
  static StreamStore Open(const std::filesystem::path& path, const Options& options, bool drops);

  std::filesystem::path path;  // empty for a temporary store
  Options options;
  std::unique_ptr<internal::Writer> writer;  // null until fields are declared
  std::shared_ptr<internal::AutoDrop> auto_drop GUARDED_BY(mutex);  // null without limits
  Recovery recovery;
  bool closed_undeclared = false;  // closed before fields were declared
  bool drops = true;               // false until interop::StartDropping()
  std::function<bool()> dropped;   // see interop::OnDrop()
  mutable internal::ForkMutex mutex{internal::ForkMutex::Rank::kInner};
  // Of the readers. Closing the store drops it, so that it ends with the last Reader; the second
  // one is the same source, or after closing one that was attached to the path.
  std::shared_ptr<internal::ReadSource> source GUARDED_BY(mutex);
  mutable std::weak_ptr<internal::ReadSource> shared_source GUARDED_BY(mutex);

  ~Impl() { DropExcess(); }

  // Returns the source for a new Reader. Throws Error(kClosed) if the store is temporary and
  // released, and the errors of ReadSource::Attach().
  std::shared_ptr<internal::ReadSource> Source() const;

  void SetSource(std::shared_ptr<internal::ReadSource> other) {
    const internal::ForkMutexLock lock(mutex);
    shared_source = other;
    source.swap(other);  // the old one is destroyed after the lock is released
  }

  void DropSource() noexcept {
    std::shared_ptr<internal::ReadSource> old;  // destroyed after the lock is released
    const internal::ForkMutexLock lock(mutex);
    old.swap(source);
  }

  // Returns the writer. Throws Error(kClosed, kState), naming the operation, if there is none.
  internal::Writer& Declared(const char* operation) const {
    if (closed_undeclared) {
      throw Error(ErrorCode::kClosed,
                  internal::StrCat(Name(), ": ", operation, " on a store that is closed"));
    }
    if (writer == nullptr) {
      throw Error(ErrorCode::kState,
                  internal::StrCat(Name(), ": ", operation,
                                   " needs declared fields: call define_fields() first"));
    }
    return *writer;
  }

  bool Closed() const noexcept {
    return closed_undeclared || (writer != nullptr && writer->closed());
  }

  std::string Name() const { return path.empty() ? "temporary store" : internal::PathText(path); }

  void Start(const internal::OpenedStore& opened) {
    const internal::WriterOptions wishes{.capacity_values = options.capacity_values,
                                         .grow_ahead = options.grow_ahead,
                                         .sync_interval = options.sync_interval,
                                         .sync_bytes = options.sync_bytes};
    recovery = opened.recovery;
    const internal::StoreFiles& files = *opened.files;
    const std::shared_ptr<const internal::StoreSchema> fields = files.store_schema();
    const internal::Retention limits =
        internal::LimitsOf(options, opened.start.newest.retention,
                           {fields->schema, files.identity().chunk_bytes, files.path_text()});
    SetSource(std::make_shared<internal::ReadSource>(opened.files, recovery, opened.start.cursor));
    auto fresh = std::make_unique<internal::Writer>(opened.files, opened.start, wishes);
    Limit(*fresh, limits);
    writer = std::move(fresh);
  }

  // Sets the limits of a writer, and starts the helper that drops rows. The helper of the limits from
  // before is stopped first: it must not drop rows that the new ones retain.
  void Limit(internal::Writer& to, const internal::Retention& limits) {
    to.RequireWritable("setting what is retained");
    std::shared_ptr<internal::AutoDrop> dropper;
    if (drops && limits.limited()) {
      dropper = std::make_shared<internal::AutoDrop>(to, limits, dropped);
    }
    to.StopUpkeep();
    to.SetRetention(limits);
    if (dropper != nullptr) {
      const std::uint64_t chunk_bytes = to.files()->identity().chunk_bytes;
      const std::uint64_t most_bytes =
          limits.bytes == 0 ? 0 : internal::AutoDrop::MostDiskBytes(limits.bytes, chunk_bytes);
      to.StartUpkeep([dropper] { return dropper->Round(); }, most_bytes);
    }
    SetAutoDrop(std::move(dropper));
  }

  void SetAutoDrop(std::shared_ptr<internal::AutoDrop> other) {
    const internal::ForkMutexLock lock(mutex);
    auto_drop.swap(other);  // the old one is destroyed after the lock is released
  }

  std::shared_ptr<internal::AutoDrop> TakeAutoDrop() {
    const internal::ForkMutexLock lock(mutex);
    return std::exchange(auto_drop, nullptr);
  }

  // Drops the rows that are too many, before the store is closed. They do no harm, so errors are
  // ignored, except one that ends the writer: its Close() would not report that. Returns such an error.
  std::optional<Error> DropExcess() noexcept {
    const std::shared_ptr<internal::AutoDrop> dropper = TakeAutoDrop();
    if (dropper == nullptr || writer == nullptr || writer->closed() || writer->forked() ||
        writer->failed()) {
      return std::nullopt;
    }
    try {
      dropper->DropExcess();
    } catch (const Error& error) {
      return writer->failed() ? std::optional(error) : std::nullopt;
    } catch (...) {  // no memory
    }
    return std::nullopt;
  }

  void Create(std::vector<Field> fields) {
    const internal::NewStore store = New(std::move(fields));
    internal::LimitsOf(options, {}, {store.schema, store.identity.chunk_bytes, Name()});  // checks
    Start(path.empty() ? internal::CreateTemporaryStore(options.temporary_directory, store)
                       : internal::CreateStore(path, store));
  }

  internal::NewStore New(std::vector<Field> fields) const {
    const std::uint64_t chunk_bytes = internal::ChunkBytesOf(options);
    return {.schema = Schema(std::move(fields)),
            .identity = internal::NewIdentity(chunk_bytes),
            .begin = {}};
  }
};

// For interop.cc and replication.cc.
struct internal::StoreAccess {
  static StreamStore::Impl& Of(StreamStore& store) { return *store.impl_; }

  static StreamStore Open(const std::filesystem::path& path, const Options& options, bool drops) {
    return StreamStore::Impl::Open(path, options, drops);
  }

  /// Creates a store that appears at its path with the records that `fill` appends. Throws as
  /// StreamStore::Open() with Mode::kCreate, and what `fill` throws; nothing is left at `path` then.
  static StreamStore CreateFilled(const std::filesystem::path& path, const Options& options,
                                  const NewStore& store, const std::function<void(Writer&)>& fill);
};

}  // namespace stream_store
