// Reader: public methods that read through a View.
//
// Reads of rows, values and segments end with CheckNotTruncated(): if a writer truncated the store
// meanwhile, the bytes that were read may be those of newer records, so the result is not returned.
#include "stream_store/reader.h"

#include <algorithm>
#include <thread>
#include <tuple>
#include <utility>

#include "base/str_cat.h"
#include "storage/locate.h"
#include "storage/read_source.h"
#include "storage/safe_copy.h"
#include "storage/store_files.h"
#include "store/limits.h"
#include "store/read_functions.h"
#include "store/read_via.h"
#include "store/record_cursor.h"
#include "store/time_index.h"

namespace stream_store {

using internal::Encoding;
using internal::FetchRange;
using internal::FetchRows;
using internal::FetchRuns;
using internal::FetchWindows;
using internal::HintSlots;
using internal::kHintStride;
using internal::ReadSource;
using internal::ReadVia;
using internal::ReadViaKept;
using internal::Record;
using internal::SafeCopy;
using internal::StrCat;
using internal::View;

namespace {

// Whether decoded items are signed: dates, times and durations are int64; the items of text and
// float16 are unsigned.
bool IsSigned(DType dtype) {
  return (dtype >= DType::kInt8 && dtype <= DType::kInt64) || dtype == DType::kFloat32 ||
         dtype == DType::kFloat64 || (dtype >= DType::kDate32 && dtype <= DType::kDurationNs);
}

// Whether the lengths of a field are among its values, and not only in the layouts.
bool LengthsAreValues(const View& view, TypeId type) {
  const std::vector<Encoding>& encodings = view.store_schema->encodings;
  return type < encodings.size() && encodings[type].block;
}

}  // namespace

Reader Reader::Open(const std::filesystem::path& path, const ReaderOptions& options) {
  // A store appears under its path when it is complete, so only "not found" is worth waiting for.
  constexpr auto kPause = std::chrono::milliseconds(2);
  const auto deadline = std::chrono::steady_clock::now() + options.wait;
  while (true) {
    try {
      return Reader(ReadSource::Attach(path, options.safe_reads));
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kNotFound || std::chrono::steady_clock::now() >= deadline) {
        throw;
      }
    }
    std::this_thread::sleep_for(kPause);
  }
}

Reader::Reader(std::shared_ptr<ReadSource> source)
    : source_(std::move(source)), view_(std::make_unique<View>()) {
  source_->Advance(*view_);
}

Reader::Reader(const Reader& other)
    : source_(other.source_), view_(std::make_unique<View>(*other.view_)), fixed_(other.fixed_) {}

Reader& Reader::operator=(const Reader& other) {
  *this = Reader(other);
  return *this;
}

Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;
Reader::~Reader() = default;

std::uint64_t Reader::Refresh() {
  if (!fixed_) {
    source_->Advance(*view_);
  }
  return view_->value_count;
}

Reader Reader::Snapshot(std::uint64_t num_rows) const {
  if (num_rows > view_->row_count) {
    throw Error(ErrorCode::kOutOfRange,
                StrCat(view_->store_schema->path, ": a snapshot of ", num_rows,
                       " rows: expected at most ", view_->row_count));
  }
  if (num_rows < view_->first_row) {
    throw Error(ErrorCode::kDropped,
                StrCat(view_->store_schema->path, ": a snapshot of ", num_rows,
                       " rows: the rows before row ", view_->first_row, " were dropped"));
  }
  Reader reader(*this);
  reader.fixed_ = true;
  if (num_rows < view_->row_count) {
    View& view = *reader.view_;
    // The snapshot ends where the first row after it begins.
    const auto next = static_cast<Row>(num_rows);
    std::tie(view.record_count, view.value_count) = ReadVia(
        *source_, *view_, FetchRange(next, next + 1, /*values=*/false), [&](const View& all) {
          if (num_rows == all.first_row) {
            return std::pair(all.begin_record, all.first_position);
          }
          const std::uint64_t end = internal::RecordOfRow(all, next);
          const std::uint64_t start = internal::LoadOnce(all.records[end].start);
          if (start < all.first_position || start > all.value_count) {
            internal::ThrowStartsOutside(all, end, start);
          }
          return std::pair(end, start);
        });
    view.row_count = num_rows;
    // Hints beyond the snapshot refer to records beyond it, which must not be used as guesses.
    view.position_hint_end = std::min(view.position_hint_end, HintSlots(view.value_count));
    view.row_hint_end = std::min(view.row_hint_end, HintSlots(view.row_count));
    view.rows_final = true;  // a later row exists, so the last one cannot grow
  }
  return reader;
}

Reader Reader::Snapshot() const {
  Reader reader(*this);
  reader.fixed_ = true;
  return reader;
}

const Schema& Reader::schema() const noexcept { return view_->store_schema->schema; }

std::uint64_t Reader::size() const noexcept { return view_->value_count; }

std::uint64_t Reader::num_rows() const noexcept { return view_->row_count; }

std::uint64_t Reader::first_row() const noexcept { return view_->first_row; }

std::uint64_t Reader::first_position() const noexcept { return view_->first_position; }

std::uint64_t Reader::kept_rows() const noexcept { return view_->row_count - view_->first_row; }

Retention Reader::retention() const {
  const internal::StoreFiles& files = source_->files();
  return internal::PublicLimits(files.control.NewestSlot(files.identity().id).retention, schema());
}

std::uint64_t Reader::records() const noexcept { return view_->record_count; }

bool Reader::live() const { return source_->live(); }

std::uint64_t Reader::durable_rows() const { return source_->durable_rows(); }

const std::filesystem::path& Reader::path() const noexcept { return source_->files().path(); }

const std::array<std::uint8_t, 16>& Reader::id() const noexcept {
  return source_->files().identity().id;
}

const Recovery& Reader::recovery() const noexcept { return source_->recovery(); }

std::uint64_t Reader::field_writes() const { return source_->CountFieldWrites(*view_); }

std::uint64_t Reader::bytes() const {
  const View& view = *view_;
  const std::uint64_t hints = HintSlots(view.value_count) - view.first_position / kHintStride +
                              HintSlots(view.row_count) - view.first_row / kHintStride;
  return (view.value_count - view.first_position) * sizeof(Value) +
         (view.record_count - view.begin_record + 1) * sizeof(Record) +
         (view.layout_words - view.layout_begin + hints) * sizeof(std::uint64_t);
}

// Without a writer, a last row that lacks fields counts as complete, because no append can complete
// it.
std::uint64_t Reader::complete_rows() const {
  const std::uint64_t final_rows = internal::ReaderAccess::FinalRows(*this);
  return final_rows == view_->row_count || live() ? final_rows : view_->row_count;
}

bool Reader::Wait(std::uint64_t num_rows, std::chrono::nanoseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  std::chrono::nanoseconds pause = std::chrono::microseconds(20);
  while (true) {
    Refresh();
    if (this->num_rows() >= num_rows) {
      return true;
    }
    const auto left = deadline - std::chrono::steady_clock::now();
    if (left <= std::chrono::nanoseconds(0) || fixed_) {
      return false;
    }
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(left, pause));
    pause = std::min<std::chrono::nanoseconds>(pause * 2, std::chrono::milliseconds(2));
  }
}

Row Reader::RowAt(Step step, Side side) const {
  const bool after = side == Side::kRight || side == Side::kBackward;
  const Row found = source_->copies() ? SafeCopy::RowAtStep(source_->files(), *view_, step, after)
                                      : internal::RowAtStep(*view_, step, after);
  const auto end = static_cast<Row>(view_->row_count);
  const bool has_before = found > static_cast<Row>(view_->first_row);
  if (side == Side::kBackward) {
    return has_before ? found - 1 : end;
  }
  if (side != Side::kNearest || !has_before) {
    return found;
  }
  if (found == end) {
    return found - 1;
  }
  const auto distance = [](Step from, Step to) {
    return static_cast<std::uint64_t>(to) - static_cast<std::uint64_t>(from);
  };
  const std::uint64_t back = distance(row(found - 1).step(), step);
  return back <= distance(step, row(found).step()) && row(found).step() != step ? found - 1 : found;
}

void Reader::CheckRoom(std::size_t times, std::size_t rows) {
  if (times != rows) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("row_at: expected room for ", times, " rows but found ", rows));
  }
}

void Reader::FindTimes(const void* times, ItemType item, TypeId field, Side side,
                       std::span<Row> out) const {
  internal::FindTimes(source_, *view_,
                      {.data = times,
                       .bytes = item.bytes,
                       .is_floating = item.is_floating,
                       .is_signed = item.is_signed},
                      field, side, out);
}

RowView Reader::row(Row row) const {
  RowView view;
  internal::RowEntries read;
  view.owner_ =
      ReadViaKept(*source_, *view_, FetchRows(std::span<const Row>(&row, 1), 1, /*values=*/true),
                  [&](const View& from) { read = internal::ReadRow(from, row); });
  source_->CheckNotTruncated();
  view.step_ = read.step;
  view.entries_.reserve(read.entries.size());
  for (const auto& [type, values] : read.entries) {
    view.entries_.push_back(RowView::Entry{type, values});
  }
  return view;
}

void Reader::RowOf(std::span<const Position> positions, std::span<Row> out) const {
  ReadVia(*source_, *view_, FetchWindows(positions, 1),
          [&](const View& view) { internal::RowOf(view, positions, out); });
  source_->CheckNotTruncated();
}

void Reader::PositionOf(std::span<const Row> rows, std::span<Position> out) const {
  ReadVia(*source_, *view_, FetchRows(rows, 1, /*values=*/false),
          [&](const View& view) { internal::PositionOf(view, rows, out); });
  source_->CheckNotTruncated();
}

void Reader::ReadWindows(std::span<const Position> starts, std::uint64_t width,
                         const WindowsOut& out) const {
  ReadVia(*source_, *view_, FetchWindows(starts, width),
          [&](const View& view) { internal::ReadWindows(view, starts, width, out); });
  source_->CheckNotTruncated();
}

void Reader::Gather(std::span<const Position> positions, const WindowsOut& out) const {
  ReadVia(*source_, *view_, FetchWindows(positions, 1),
          [&](const View& view) { internal::Gather(view, positions, out); });
  source_->CheckNotTruncated();
}

std::shared_ptr<const void> Reader::ReadRows(std::span<const Row> rows, std::uint64_t length,
                                             std::span<const RowsColumn> columns,
                                             Step* steps) const {
  auto owner = ReadViaKept(
      *source_, *view_, FetchRows(rows, length, /*values=*/true),
      [&](const View& view) { internal::ReadRows(view, rows, length, columns, steps); });
  source_->CheckNotTruncated();
  return owner;
}

std::shared_ptr<const void> Reader::ReadRows(std::span<const RowRun> runs,
                                             std::span<const RowsColumn> columns,
                                             Step* steps) const {
  auto owner =
      ReadViaKept(*source_, *view_, FetchRuns(runs, /*values=*/true),
                  [&](const View& view) { internal::ReadRows(view, runs, columns, steps); });
  source_->CheckNotTruncated();
  return owner;
}

std::uint64_t Reader::LongestInRows(std::span<const RowRun> runs, TypeId type) const {
  const std::uint64_t longest =
      ReadVia(*source_, *view_, FetchRuns(runs, LengthsAreValues(*view_, type)),
              [&](const View& view) { return internal::LongestInRows(view, runs, type); });
  source_->CheckNotTruncated();
  return longest;
}

std::uint64_t Reader::LongestInRows(std::span<const Row> rows, std::uint64_t length,
                                    TypeId type) const {
  const std::uint64_t longest =
      ReadVia(*source_, *view_, FetchRows(rows, length, LengthsAreValues(*view_, type)),
              [&](const View& view) { return internal::LongestInRows(view, rows, length, type); });
  source_->CheckNotTruncated();
  return longest;
}

void Reader::CheckColumn(TypeId type, ItemType item, std::size_t places, std::size_t out_items,
                         std::size_t present_items) const {
  const std::string& path = view_->store_schema->path;
  if (type >= schema().size()) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat(path, ": reading rows of type id ", type, ": expected a type id below ",
                       schema().size()));
  }
  const Field& field = schema()[type];
  const auto refuse = [&](const std::string& problem) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat(path, ": reading rows of field '", field.name, "' (type id ", type, "), ",
                       DTypeName(field.dtype), ": ", problem));
  };
  const Encoding& encoding = view_->store_schema->encodings[type];
  if (encoding.block) {
    refuse(StrCat("expected a field of fixed length but found ", FieldText(field),
                  "; read it with a RowsColumn, or with row() and PackedBytes()"));
  }
  if (encoding.ragged) {
    refuse("expected a field of fixed length but found a ragged one; read it with a RowsColumn");
  }
  const bool is_floating = field.dtype == DType::kFloat32 || field.dtype == DType::kFloat64;
  if (item.bytes != encoding.item_bytes || item.is_floating != is_floating ||
      item.is_signed != IsSigned(field.dtype)) {
    refuse(StrCat("expected ",
                  is_floating             ? "floating"
                  : IsSigned(field.dtype) ? "signed"
                                          : "unsigned",
                  " items of ", int{encoding.item_bytes}, " bytes but found ",
                  item.is_floating ? "floating"
                  : item.is_signed ? "signed"
                                   : "unsigned",
                  " ones of ", item.bytes));
  }
  if (out_items != places * encoding.items) {
    refuse(StrCat("expected room for ", places * encoding.items, " items but found ", out_items));
  }
  if (present_items != 0 && present_items != places) {
    refuse(StrCat("expected room for ", places, " present flags but found ", present_items));
  }
}

void Reader::Decode(std::span<const Value> values, TypeId type, void* out) const {
  internal::Decode(*view_, values, type, out);
}

std::vector<IndexEntry> Reader::IndexTable(Row begin, Row end) const {
  std::vector<IndexEntry> entries;
  ReadVia(*source_, *view_, FetchRange(begin, end, /*values=*/false), [&](const View& view) {
    entries.resize(internal::CountIndex(view, begin, end));
    internal::ReadIndex(view, begin, end, entries);
  });
  source_->CheckNotTruncated();
  return entries;
}

std::vector<std::pair<Row, Row>> Reader::Segments(std::span<const TypeId> types) const {
  const auto all = FetchRange(static_cast<Row>(view_->first_row),
                              static_cast<Row>(view_->row_count), /*values=*/true);
  auto segments = ReadVia(*source_, *view_, all,
                          [&](const View& view) { return internal::Segments(view, types); });
  source_->CheckNotTruncated();
  return segments;
}

namespace internal {

Reader ReaderAccess::Make(std::shared_ptr<ReadSource> source) { return Reader(std::move(source)); }

std::uint64_t ReaderAccess::FinalRows(const Reader& reader) {
  const View& view = ViewOf(reader);
  const auto rows = static_cast<Row>(view.row_count);
  return ReadVia(*reader.source_, view,
                 FetchRange(std::max(rows - 1, static_cast<Row>(view.first_row)), rows,
                            /*values=*/false),
                 [](const View& there) { return internal::FinalRows(there); });
}

}  // namespace internal

}  // namespace stream_store
