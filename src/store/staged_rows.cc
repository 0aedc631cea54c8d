// StagedRows: rows of many calls that become visible together, in the store itself or in a new one
// that replaces it.
//
// A new store (StageReplacement()) is built elsewhere, and everything in it is staged. Commit()
// publishes its rows there first, then moves it into place: a persistent store by renaming its
// directory, a temporary one by exchanging the writers.
#include <utility>

#include "base/directory.h"
#include "store/refusal_text.h"
#include "store/store_impl.h"

namespace stream_store {

using internal::RemoveTree;

struct StagedRows::Impl {
  StreamStore::Impl* store = nullptr;
  StreamStore::Impl fresh;        // the new store, if `replaces`
  std::filesystem::path sibling;  // directory in which a persistent new one is built
  bool replaces = false;
  bool staging = false;
  bool old_is_held = false;  // the replaced writer stages nothing, but refuses appends as if it did
  std::uint64_t rows = 0;

  internal::Writer& writer() const { return replaces ? *fresh.writer : *store->writer; }

  // Appends to the content that is about to be replaced would be lost.
  void HoldOld() {
    if (store->writer != nullptr) {
      store->writer->BeginStaging();
      old_is_held = true;
    }
  }

  void Begin() {
    writer().BeginStaging();
    staging = true;
  }

  void RequireStaging() const {
    if (!staging) {
      throw Error(ErrorCode::kState, store->Name() + ": import: its rows were committed already");
    }
  }

  ~Impl() {
    if (staging) {
      writer().DropStaged();
    }
    if (old_is_held) {
      store->writer->DropStaged();
    }
    if (replaces && !sibling.empty()) {
      fresh.SetAutoDrop(nullptr);
      fresh.writer.reset();
      RemoveTree(sibling);
    }
  }
};

StagedRows::StagedRows(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}

StagedRows::StagedRows(StagedRows&&) noexcept = default;
StagedRows& StagedRows::operator=(StagedRows&&) noexcept = default;
StagedRows::~StagedRows() = default;

const Schema& StagedRows::schema() const noexcept { return impl_->writer().schema(); }

std::uint64_t StagedRows::rows() const noexcept { return impl_->rows; }

std::optional<Step> StagedRows::last_step() const noexcept {
  const internal::Cursor at = impl_->writer().staged_cursor();
  return at.rows == 0 ? std::nullopt : std::optional<Step>(at.step);
}

void StagedRows::Extend(std::span<const Step> steps, std::span<const Column> columns) {
  impl_->RequireStaging();
  internal::Writer& writer = impl_->writer();
  const internal::Refusal refusal = writer.StageRows(steps, columns);
  if (refusal.code != ErrorCode::kOk) {
    internal::ThrowRefusal(refusal, writer, steps, columns, impl_->rows);
  }
  impl_->rows += steps.size();
}

Row StagedRows::Commit() {
  Impl& impl = *impl_;
  impl.RequireStaging();
  const auto first = static_cast<Row>(impl.writer().staged_cursor().rows - impl.rows);
  if (impl.replaces && impl.store->Closed()) {
    throw Error(ErrorCode::kClosed, impl.store->Name() + ": import on a store that is closed");
  }
  impl.writer().PublishStaged();
  impl.staging = false;
  if (!impl.replaces) {
    return first;
  }
  if (!impl.sibling.empty()) {
    internal::PublishStore(*impl.fresh.writer->files(), impl.store->path);
    impl.sibling.clear();
    impl.fresh.writer->FollowMove();
  }
  impl.store->SetSource(impl.fresh.Source());
  impl.fresh.DropSource();
  impl.store->recovery = impl.fresh.recovery;
  std::swap(impl.store->writer, impl.fresh.writer);
  impl.store->SetAutoDrop(impl.fresh.TakeAutoDrop());
  impl.old_is_held = false;
  return first;
}

StagedRows StreamStore::Stage() {
  impl_->Declared("import");
  auto impl = std::make_unique<StagedRows::Impl>();
  impl->store = impl_.get();
  impl->Begin();
  return StagedRows(std::move(impl));
}

StagedRows StreamStore::StageReplacement(std::vector<Field> fields) {
  if (closed()) {
    throw Error(ErrorCode::kClosed, impl_->Name() + ": import on a store that is closed");
  }
  if (impl_->writer != nullptr) {
    if (!impl_->path.empty()) {
      throw Error(ErrorCode::kReadOnly,
                  impl_->Name() +
                      ": import: only a temporary store can be replaced by the imported rows; "
                      "a store with a path is never deleted");
    }
  }
  auto impl = std::make_unique<StagedRows::Impl>();
  impl->store = impl_.get();
  impl->HoldOld();
  impl->replaces = true;
  impl->fresh.path = impl_->path;
  impl->fresh.options = impl_->options;
  impl->fresh.dropped = impl_->dropped;
  if (impl_->path.empty()) {
    impl->fresh.Create(std::move(fields));
  } else {
    const internal::OpenedStore built =
        internal::BuildStore(impl_->path, impl_->New(std::move(fields)));
    impl->sibling = built.files->path();
    impl->fresh.Start(built);
  }
  impl->Begin();
  return StagedRows(std::move(impl));
}

}  // namespace stream_store
