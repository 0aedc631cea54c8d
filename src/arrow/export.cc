// The exported stream: builds batches on demand from a Reader of its own.
//
// Each batch takes two passes over its records: the first decides where it ends and how large it
// is, the second copies its content. Every buffer is therefore allocated once, at its final size,
// which costs less than growing buffers and copying them. Nested fields are different: the sizes
// of their buffers follow from the content of their blocks, so the first pass copies it already.

#include "arrow/export.h"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "stream_store/error.h"
#include "stream_store/interop.h"

#include "arrow/assemble.h"
#include "arrow/batch_size.h"
#include "arrow/leaf_builder.h"
#include "arrow/nested_builder.h"
#include "arrow/not_null.h"
#include "base/str_cat.h"

namespace stream_store::arrow {

using internal::StrCat;

namespace {

// The private_data of an exported ArrowArrayStream.
class Exporter {
 public:
  Exporter(const Reader& reader, const ArrowExportOptions& options, std::uint64_t offset_limit)
      : reader_(reader.Snapshot()),
        plan_(PlanExport(reader_.schema(), options)),
        next_(options.begin.value_or(0)),
        end_(options.end.value_or(static_cast<Row>(reader_.num_rows()))),
        batch_bytes_(options.batch_bytes),
        offset_limit_(offset_limit),
        pool_(std::make_shared<ArrowBlockPool>(2 * options.batch_bytes)) {
    const auto first = static_cast<Row>(reader_.first_row());
    if (!options.begin && end_ >= 0) {
      next_ = std::min(first, end_);
    }
    if (next_ < 0 || end_ < next_ || end_ > static_cast<Row>(reader_.num_rows())) {
      throw Error(ErrorCode::kOutOfRange, StrCat("exporting to Arrow: rows [", next_, ", ", end_,
                                                 ") are outside [0, ", reader_.num_rows(), ")"));
    }
    if (next_ < first && next_ < end_) {
      throw Error(ErrorCode::kDropped,
                  StrCat("exporting to Arrow: rows [", next_, ", ", end_, ") begin before row ",
                         first, ", the first that the store still has"));
    }
    if (options.requested == nullptr) {
      AllowMissingValues(reader_, next_, end_, plan_);
    }
    for (const LeafPlan& leaf : plan_.leaves) {
      builders_.emplace_back(reader_, leaf);
      nested_.push_back(leaf.nested ? std::make_unique<NestedBuilder>(leaf, offset_limit_)
                                    : nullptr);
      (leaf.nested ? has_nested_ : has_flat_) = true;
    }
    const std::uint64_t bytes = (reader_.size() - reader_.first_position()) * sizeof(Value);
    if (bytes > 0) {
      usual_rows_ = static_cast<std::uint64_t>(static_cast<double>(reader_.kept_rows()) *
                                               static_cast<double>(batch_bytes_) /
                                               static_cast<double>(bytes));
    }
    has_steps_ = std::ranges::any_of(plan_.columns, [](const ColumnPlan& column) {
      return column.role == ColumnPlan::Role::kStep;
    });
  }

  void Schema(ArrowSchema* out) const { ExportNode(plan_.schema, out); }

  // Makes the next batch, or at the end a released array, as the specification demands.
  void Next(ArrowArray* out) {
    out->release = nullptr;
    if (next_ == end_) {
      return;
    }
    auto memory = std::make_shared<BatchMemory>(pool_);
    const BatchExtent extent = MeasureAndNest(memory);
    const auto rows = static_cast<std::uint64_t>(extent.end - next_);
    for (std::size_t i = 0; i < builders_.size(); ++i) {
      if (!nested_[i]) {
        builders_[i].Begin(*memory, next_, rows, extent.units[i]);
      }
    }
    BatchParts parts{.memory = *memory, .first_row = next_, .rows = rows};
    if (has_flat_ || has_steps_) {
      parts.steps = Fill(*memory, extent.end);
    }
    for (std::size_t i = 0; i < builders_.size(); ++i) {
      LeafArray& leaf = parts.leaves.emplace_back();
      leaf.array = nested_[i] ? nested_[i]->Finish(rows) : builders_[i].Finish();
      leaf.validity = nested_[i] ? nested_[i]->validity() : builders_[i].validity();
    }
    OutArray batch;
    batch.length = rows;
    batch.buffers = {nullptr};
    for (const ColumnPlan& column : plan_.columns) {
      batch.children.push_back(AssembleColumn(column, parts));
    }
    ExportArray(memory, std::move(batch), out);
    next_ = extent.end;
  }

  std::string error;  // of the last call, empty if it succeeded

 private:
  // The first pass: decides where the batch ends, and writes its nested fields.
  BatchExtent MeasureAndNest(std::shared_ptr<BatchMemory>& memory) {
    BeginNested(*memory);
    TakeRows take;
    if (has_nested_) {
      take = [this](const interop::RecordRun& run, std::uint64_t rows) {
        return TakeNested(run, rows);
      };
    }
    BatchExtent extent =
        MeasureBatch(reader_, plan_, next_, end_, {batch_bytes_, offset_limit_}, take);
    // A row may be written to one nested field before another field turns out to have no room for
    // it. It cannot be taken back, but this is rare enough to write the batch again without it.
    const auto rows = static_cast<std::uint64_t>(extent.end - next_);
    const bool is_too_long = std::ranges::any_of(
        nested_, [&](const auto& nested) { return nested && nested->next_row() > rows; });
    if (is_too_long) {
      memory = std::make_shared<BatchMemory>(pool_);
      BeginNested(*memory);
      interop::ScanRows(reader_, next_, extent.end, [&](const interop::RecordRun& run) {
        if (TakeNested(run, run.count) != run.count) {
          throw Error(ErrorCode::kCorrupt,
                      StrCat("exporting to Arrow: row ", run.row,
                             ": expected the values read before but found others"));
        }
        return true;
      });
    }
    return extent;
  }

  void BeginNested(BatchMemory& memory) {
    memory.ExpectRows(std::min(static_cast<std::uint64_t>(end_ - next_), usual_rows_));
    for (const std::unique_ptr<NestedBuilder>& nested : nested_) {
      if (nested) {
        nested->Begin(memory, next_);
      }
    }
  }

  // Writes the nested fields of the first `rows` rows of a run. Returns how many of them fit.
  //
  // The batch ends once its nested arrays are large. The size of their blocks says little about
  // that: a null takes a bit there, but in Arrow it may take a list of any size.
  std::uint64_t TakeNested(const interop::RecordRun& run, std::uint64_t rows) {
    const auto first = static_cast<std::uint64_t>(run.row - next_);
    for (std::uint64_t i = 0; i < rows; ++i) {
      const bool begins_row = run.begins_row && first + i > 0;
      if ((begins_row && NestedBytes() >= batch_bytes_) || !WriteNested(run, i)) {
        return i;
      }
    }
    return rows;
  }

  // Writes the nested fields of record `i` of a run. Returns false if one of them does not fit.
  bool WriteNested(const interop::RecordRun& run, std::uint64_t i) {
    const std::uint64_t row = static_cast<std::uint64_t>(run.row - next_) + i;
    const Value* values = run.values + i * run.stride;
    return std::ranges::all_of(run.parts, [&](const interop::RecordRun::Part& part) {
      const std::uint32_t leaf = plan_.leaf_of_type[part.type];
      NestedBuilder* nested = leaf == kNotExported ? nullptr : nested_[leaf].get();
      return nested == nullptr || nested->Write(row, {values + part.begin, part.length});
    });
  }

  std::uint64_t NestedBytes() const {
    std::uint64_t bytes = 0;
    for (const std::unique_ptr<NestedBuilder>& nested : nested_) {
      bytes += nested ? nested->bytes() : 0;
    }
    return bytes;
  }

  // The second pass: writes rows [next_, end) into the builders, and returns their steps, if a
  // column holds them.
  Step* Fill(BatchMemory& memory, Row end) {
    Step* steps = nullptr;
    if (has_steps_) {
      steps = reinterpret_cast<Step*>(
          memory.Make(static_cast<std::size_t>(end - next_) * sizeof(Step)));
    }
    interop::ScanRows(reader_, next_, end, [&](const interop::RecordRun& run) {
      const auto row = static_cast<std::uint64_t>(run.row - next_);
      for (const interop::RecordRun::Part& part : run.parts) {
        const std::uint32_t leaf = plan_.leaf_of_type[part.type];
        if (leaf != kNotExported && !nested_[leaf]) {
          builders_[leaf].Write(row, run.count, run.values + part.begin, run.stride, part.length);
        }
      }
      if (steps != nullptr && run.begins_row) {
        for (std::uint64_t i = 0; i < run.count; ++i) {
          steps[row + i] = run.step(i);
        }
      }
      return true;
    });
    return steps;
  }

  Reader reader_;
  ExportPlan plan_;
  Row next_;
  Row end_;
  const std::uint64_t batch_bytes_;
  const std::uint64_t offset_limit_;
  std::shared_ptr<ArrowBlockPool> pool_;
  // By leaf. A nested field has a NestedBuilder, and its LeafBuilder is not used.
  std::vector<LeafBuilder> builders_;
  std::vector<std::unique_ptr<NestedBuilder>> nested_;
  std::uint64_t usual_rows_ = 0;  // of a batch, if all rows are of the same size
  bool has_nested_ = false;
  bool has_flat_ = false;
  bool has_steps_ = false;
};

int ErrnoOf(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kOutOfRange:
      return EINVAL;
    case ErrorCode::kNoSpace:
      return ENOMEM;
    default:
      return EIO;
  }
}

// Runs `body` on the exporter of a stream and turns exceptions into errno values and a text,
// because no exception may cross a C function.
template <class Body>
int Guarded(ArrowArrayStream* stream, const Body& body) noexcept {
  auto& exporter = *static_cast<Exporter*>(stream->private_data);
  int code = EIO;
  try {
    try {
      exporter.error.clear();
      body(exporter);
      return 0;
    } catch (const Error& error) {
      code = ErrnoOf(error);
      exporter.error = error.what();
    } catch (const std::bad_alloc&) {
      code = ENOMEM;
      exporter.error = "exporting to Arrow: out of memory";
    } catch (const std::exception& error) {
      exporter.error = error.what();
    }
  } catch (...) {
    return ENOMEM;  // thrown while copying the text of an error
  }
  return code;
}

int GetSchema(ArrowArrayStream* stream, ArrowSchema* out) {
  return Guarded(stream, [&](const Exporter& exporter) { exporter.Schema(out); });
}

int GetNext(ArrowArrayStream* stream, ArrowArray* out) {
  return Guarded(stream, [&](Exporter& exporter) { exporter.Next(out); });
}

const char* GetLastError(ArrowArrayStream* stream) {
  const std::string& error = static_cast<Exporter*>(stream->private_data)->error;
  return error.empty() ? nullptr : error.c_str();
}

void ReleaseStream(ArrowArrayStream* stream) {
  delete static_cast<Exporter*>(stream->private_data);
  stream->private_data = nullptr;
  stream->release = nullptr;
}

}  // namespace

void ExportWithOffsetLimit(const Reader& reader, const ArrowExportOptions& options,
                           std::uint64_t offset_limit, ArrowArrayStream* out) {
  auto exporter = std::make_unique<Exporter>(reader, options, offset_limit);
  out->get_schema = &GetSchema;
  out->get_next = &GetNext;
  out->get_last_error = &GetLastError;
  out->release = &ReleaseStream;
  out->private_data = exporter.release();
}

}  // namespace stream_store::arrow

namespace stream_store {

void ExportArrow(const Reader& reader, const ArrowExportOptions& options, ArrowArrayStream* out) {
  arrow::ExportWithOffsetLimit(reader, options, INT32_MAX, out);
}

void ExportArrowSchema(const Schema& schema, const ArrowExportOptions& options, ArrowSchema* out) {
  arrow::ExportNode(arrow::PlanExport(schema, options).schema, out);
}

}  // namespace stream_store
