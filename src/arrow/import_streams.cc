// ImportArrow() and ImportArrowRows(): an ArrowImporter for the batches of a stream.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "stream_store/arrow.h"
#include "stream_store/error.h"
#include "stream_store/store.h"

#include "arrow/owned.h"
#include "base/str_cat.h"

namespace stream_store {

using arrow::OwnedArrow;
using internal::StrCat;

namespace {

[[noreturn]] void RefuseStream(const std::string& problem) {
  throw Error(ErrorCode::kInvalidArgument, StrCat("importing from Arrow: ", problem));
}

// The batches of a stream, which is released at the end.
class Batches {
 public:
  explicit Batches(ArrowArrayStream* stream) : stream_(stream) {
    if (stream_.empty()) {
      RefuseStream("the stream was released already");
    }
    Check(stream_->get_schema(stream_.get(), schema_.get()));
    if (schema_.empty()) {
      RefuseStream("the stream has no schema");
    }
  }

  const ArrowSchema& schema() const noexcept { return *schema_; }

  // The next batch; none at the end.
  std::optional<OwnedArrow<ArrowArray>> Next() {
    std::optional<OwnedArrow<ArrowArray>> batch(std::in_place);
    Check(stream_->get_next(stream_.get(), batch->get()));
    if (batch->empty()) {
      batch.reset();
    }
    return batch;
  }

 private:
  void Check(int code) {
    if (code == 0) {
      return;
    }
    const char* text = stream_->get_last_error(stream_.get());
    throw Error(code == EINVAL ? ErrorCode::kInvalidArgument : ErrorCode::kIo,
                StrCat("importing from Arrow: the stream failed: ",
                       text != nullptr ? text : std::strerror(code)),
                code);
  }

  OwnedArrow<ArrowArrayStream> stream_;
  OwnedArrow<ArrowSchema> schema_;
};

// The row numbers in a batch of `picks`.
std::span<const std::uint64_t> NumbersOf(const ArrowSchema& schema, const ArrowArray& batch) {
  const bool one_column = schema.n_children == 1 && batch.n_children == 1 &&
                          std::string_view(schema.children[0]->format) == "L";
  const ArrowArray* column = one_column ? batch.children[0] : nullptr;
  if (column == nullptr || column->n_buffers != 2 || column->null_count > 0 || batch.length < 0 ||
      column->offset < 0 || batch.offset < 0 || column->length - batch.offset < batch.length ||
      (column->buffers[1] == nullptr && batch.length > 0)) {
    RefuseStream("expected the row numbers as one uint64 column without nulls");
  }
  return {static_cast<const std::uint64_t*>(column->buffers[1]) + column->offset + batch.offset,
          static_cast<std::size_t>(batch.length)};
}

}  // namespace

std::uint64_t ImportArrow(StagedRows& rows, ArrowArrayStream* stream,
                          const ArrowImportOptions& options) {
  Batches batches(stream);
  ArrowImporter importer(rows, batches.schema(), options);
  const std::uint64_t before = rows.rows();
  while (auto batch = batches.Next()) {
    importer.Append(batch->get());
    if (options.progress) {
      options.progress(rows.rows() - before);
    }
  }
  return rows.rows() - before;
}

// Keeps all batches until the end, because the picks may name any row at any time.
std::uint64_t ImportArrowRows(StagedRows& rows, ArrowArrayStream* stream, ArrowArrayStream* picks,
                              const ArrowImportOptions& options) {
  constexpr std::size_t kAtOnce = 65'536;  // so that progress is reported now and then
  Batches numbers(picks);
  Batches batches(stream);
  ArrowImporter importer(rows, batches.schema(), options);
  const std::uint64_t before = rows.rows();
  while (auto batch = batches.Next()) {
    importer.Keep(batch->get());
  }
  while (auto batch = numbers.Next()) {
    auto left = NumbersOf(numbers.schema(), **batch);
    while (!left.empty()) {
      const auto now = left.first(std::min(kAtOnce, left.size()));
      left = left.subspan(now.size());
      importer.AppendKept(now);
      if (options.progress) {
        options.progress(rows.rows() - before);
      }
    }
  }
  return rows.rows() - before;
}

}  // namespace stream_store
