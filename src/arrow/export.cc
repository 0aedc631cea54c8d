// The exported stream: builds batches on demand from a Reader of its own.
//
// Each batch takes two passes over its records: the first decides where it ends and how large it
// is, the second copies its content. Every buffer is therefore allocated once, at its final size,
// which costs less than growing buffers and copying them.

#include "arrow/export.h"

#include <cerrno>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <utility>

#include "stream_store/error.h"
#include "stream_store/interop.h"

#include "arrow/batch_size.h"
#include "arrow/bits.h"
#include "arrow/leaf_builder.h"
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
        next_(options.begin),
        end_(options.end.value_or(static_cast<Row>(reader_.num_rows()))),
        batch_bytes_(options.batch_bytes),
        offset_limit_(offset_limit),
        pool_(std::make_shared<ArrowBlockPool>(2 * options.batch_bytes)) {
    if (next_ < 0 || end_ < next_ || end_ > static_cast<Row>(reader_.num_rows())) {
      throw Error(ErrorCode::kOutOfRange, StrCat("exporting to Arrow: rows [", next_, ", ", end_,
                                                 ") are outside [0, ", reader_.num_rows(), ")"));
    }
    for (const LeafPlan& leaf : plan_.leaves) {
      builders_.emplace_back(reader_, leaf);
    }
  }

  void Schema(ArrowSchema* out) const { ExportNode(plan_.schema, out); }

  // Makes the next batch, or at the end a released array, as the specification demands.
  void Next(ArrowArray* out) {
    out->release = nullptr;
    if (next_ == end_) {
      return;
    }
    const BatchExtent extent =
        MeasureBatch(reader_, plan_, next_, end_, batch_bytes_, offset_limit_);
    const auto memory = std::make_shared<BatchMemory>(pool_);
    const auto rows = static_cast<std::uint64_t>(extent.end - next_);
    for (std::size_t i = 0; i < builders_.size(); ++i) {
      builders_[i].Begin(*memory, next_, rows, extent.units[i]);
    }
    Fill(*memory, extent.end);
    OutArray batch;
    batch.length = rows;
    batch.buffers = {nullptr};
    std::vector<OutArray> leaves;
    leaves.reserve(builders_.size());
    for (LeafBuilder& builder : builders_) {
      leaves.push_back(builder.Finish());
    }
    for (const ColumnPlan& column : plan_.columns) {
      batch.children.push_back(Column(*memory, column, rows, leaves));
    }
    ExportArray(memory, std::move(batch), out);
    next_ = extent.end;
  }

  std::string error;  // of the last call, empty if it succeeded

 private:
  // The second pass: writes rows [next_, end) into the builders and the steps.
  void Fill(BatchMemory& memory, Row end) {
    steps_ = nullptr;
    for (const ColumnPlan& column : plan_.columns) {
      if (column.role == ColumnPlan::Role::kStep) {
        steps_ = reinterpret_cast<Step*>(
            memory.Make(static_cast<std::size_t>(end - next_) * sizeof(Step)));
      }
    }
    interop::ScanRows(reader_, next_, end, [&](const interop::RecordRun& run) {
      const auto row = static_cast<std::uint64_t>(run.row - next_);
      for (const interop::RecordRun::Part& part : run.parts) {
        builders_[plan_.leaf_of_type[part.type]].Write(row, run.count, run.values + part.begin,
                                                       run.stride, part.length);
      }
      if (steps_ != nullptr && run.begins_row) {
        for (std::uint64_t i = 0; i < run.count; ++i) {
          steps_[row + i] = run.step(i);
        }
      }
      return true;
    });
  }

  // Assembles a column from the arrays of its leaves.
  OutArray Column(BatchMemory& memory, const ColumnPlan& column, std::uint64_t rows,
                  std::vector<OutArray>& leaves) {
    if (column.role == ColumnPlan::Role::kLeaf) {
      return std::move(leaves[column.leaf]);
    }
    OutArray out;
    out.length = rows;
    if (column.role == ColumnPlan::Role::kStep) {
      out.buffers = {nullptr, steps_};
      return out;
    }
    auto* valid = reinterpret_cast<std::uint8_t*>(memory.MakeZeroed(BitmapBytes(rows)));
    if (!AddValidity(column, rows, valid)) {
      out.null_count = rows;
      for (std::uint64_t byte = 0; byte < BitmapBytes(rows); ++byte) {
        out.null_count -= static_cast<std::uint64_t>(__builtin_popcount(valid[byte]));
      }
    }
    out.buffers = {out.null_count == 0 ? nullptr : valid};
    for (const ColumnPlan& child : column.children) {
      out.children.push_back(Column(memory, child, rows, leaves));
    }
    return out;
  }

  // Adds the rows in which a column is present to `valid`; a struct is present where its marker or
  // any of its members is. Returns true, and may leave `valid` incomplete, if that is every row.
  bool AddValidity(const ColumnPlan& column, std::uint64_t rows, std::uint8_t* valid) const {
    const auto add = [&](std::size_t leaf) {
      const std::uint8_t* bits = builders_[leaf].validity();
      for (std::uint64_t byte = 0; bits != nullptr && byte < BitmapBytes(rows); ++byte) {
        valid[byte] = static_cast<std::uint8_t>(valid[byte] | bits[byte]);
      }
      return bits == nullptr;
    };
    if (column.role == ColumnPlan::Role::kLeaf) {
      return add(column.leaf);
    }
    for (const std::size_t marker : column.markers) {
      if (add(marker)) {
        return true;
      }
    }
    for (const ColumnPlan& child : column.children) {
      if (AddValidity(child, rows, valid)) {
        return true;
      }
    }
    return false;
  }

  Reader reader_;
  ExportPlan plan_;
  Row next_;
  Row end_;
  const std::uint64_t batch_bytes_;
  const std::uint64_t offset_limit_;
  std::shared_ptr<ArrowBlockPool> pool_;
  std::vector<LeafBuilder> builders_;
  Step* steps_ = nullptr;
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
