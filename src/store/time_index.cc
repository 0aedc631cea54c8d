#include "store/time_index.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <mutex>
#include <string>
#include <vector>

#include "stream_store/error.h"
#include "stream_store/schema.h"

#include "base/assert.h"
#include "base/str_cat.h"
#include "format/encoding.h"
#include "store/read_functions.h"
#include "store/read_via.h"
#include "store/row_times.h"

namespace stream_store::internal {
namespace {

using Rest = TimeKey::Rest;

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();

// Flips the top bit, which takes the order of unsigned numbers to that of signed ones, and back.
std::int64_t Flipped(std::uint64_t number) noexcept {
  return std::bit_cast<std::int64_t>(number ^ (std::uint64_t{1} << 63));
}

// The bits of floats are in order as magnitudes with a sign; as two's complement, the negative ones
// are in the opposite order. The two zeros get one key. This is its own inverse.
std::int64_t FloatKey(double number) noexcept {
  const auto bits = std::bit_cast<std::int64_t>(number == 0 ? 0.0 : number);
  return bits < 0 ? bits ^ kMost : bits;
}

bool IsTimeKind(DTypeKind kind) noexcept {
  return kind == DTypeKind::kDate || kind == DTypeKind::kTime || kind == DTypeKind::kTimestamp ||
         kind == DTypeKind::kDuration;
}

// The DType of the field. Throws unless it has one number or time per row.
DType RequireTimes(const View& view, TypeId type) {
  const Schema& schema = view.store_schema->schema;
  const std::string& path = view.store_schema->path;
  if (type >= schema.size()) {
    throw Error(ErrorCode::kInvalidArgument, StrCat(path, ": row_at by type id ", type,
                                                    ": expected a type id below ", schema.size()));
  }
  const Field& field = schema[type];
  const bool fits =
      IsInteger(field.dtype) || IsFloat(field.dtype) || IsTimeKind(InfoOf(field.dtype).kind);
  if (!fits || !field.shape.empty() || field.packed || field.hidden) {
    throw Error(
        ErrorCode::kInvalidArgument,
        StrCat(path, ": row_at by field '", field.name,
               "': expected one number, date, time, timestamp or duration per row but it is ",
               FieldText(field)));
  }
  return field.dtype;
}

bool IsBefore(const TimeKey& a, const TimeKey& b) noexcept {
  if (a.rest == Rest::kBelowAll || b.rest == Rest::kBelowAll) {
    return b.rest != Rest::kBelowAll;
  }
  return a.key < b.key || (a.key == b.key && a.rest < b.rest);
}

// The row after the last one that cannot grow.
std::uint64_t FinalEnd(const View& view) noexcept {
  return view.rows_final || view.row_count == view.first_row ? view.row_count : view.row_count - 1;
}

// The value of a field in the last row.
std::optional<Value> LastValue(const ReadSource& source, const View& view, TypeId field) {
  const auto row = static_cast<Row>(view.row_count - 1);
  return ReadVia(source, view, FetchRange(row, row + 1, /*values=*/true),
                 [&](const View& there) -> std::optional<Value> {
                   for (const auto& [type, words] : ReadRow(there, row).entries) {
                     if (type == field && words.size() == 1) {
                       return words[0];
                     }
                   }
                   return std::nullopt;
                 });
}

// The index of the field that the Readers of a source share, or one for this call alone if the View
// has rows that the shared one does not have any more. An index is never made or destroyed while a
// ForkMutex is held.
std::shared_ptr<TimeIndex> IndexOf(ReadSource& source, const View& view, TypeId field) {
  const DType dtype = RequireTimes(view, field);
  auto index = std::static_pointer_cast<TimeIndex>(source.Kept(field));
  if (index != nullptr) {
    const std::scoped_lock lock(index->mutex());
    if (index->Fits(view, dtype)) {
      return index;
    }
  }
  auto made = std::make_shared<TimeIndex>(view, field);
  if (index == nullptr || index->first_row() <= view.first_row) {
    source.Keep(field, made);
  }
  return made;
}

}  // namespace

// The entries that a View has: those of the index in [begin, end), and after them its last row.
class TimeIndex::Entries {
 public:
  Entries(const TimeIndex& index, const View& view, std::optional<std::int64_t> last)
      : index_(index), last_row_(static_cast<Row>(view.row_count) - 1), last_(last) {
    const std::span<const Row> rows = index.rows_.all();
    const auto first_from = [rows](std::uint64_t row) {
      return static_cast<std::size_t>(std::ranges::lower_bound(rows, static_cast<Row>(row)) -
                                      rows.begin());
    };
    begin_ = first_from(view.first_row);
    indexed_end_ = std::max(begin_, first_from(FinalEnd(view)));
  }

  std::size_t begin() const noexcept { return begin_; }

  std::size_t indexed_end() const noexcept { return indexed_end_; }

  std::size_t end() const noexcept { return indexed_end_ + (last_ ? 1 : 0); }

  std::int64_t key(std::size_t i) const noexcept {
    return i < indexed_end_ ? index_.keys_[i] : *last_;
  }

  Row row(std::size_t i) const noexcept { return i < indexed_end_ ? index_.rows_[i] : last_row_; }

  /// The first entry from `from` on whose key is not less than what is asked for, or with `after` is
  /// greater. All entries before `from` are less. The steps double before they are halved, so that a
  /// near entry is found quickly.
  std::size_t First(std::size_t from, const TimeKey& asked, bool after) const noexcept {
    const auto reached = [&](std::size_t i) {
      if (asked.rest == Rest::kBelowAll) {
        return true;
      }
      return after || asked.rest != Rest::kNone ? key(i) > asked.key : key(i) >= asked.key;
    };
    std::size_t step = 1;
    std::size_t high = from;
    while (high < end() && !reached(high)) {
      from = high + 1;
      high = std::min(end(), high + step);
      step *= 2;
    }
    while (from < high) {
      const std::size_t middle = from + (high - from) / 2;
      if (reached(middle)) {
        high = middle;
      } else {
        from = middle + 1;
      }
    }
    return from;
  }

 private:
  const TimeIndex& index_;
  Row last_row_;
  std::optional<std::int64_t> last_;
  std::size_t begin_ = 0;
  std::size_t indexed_end_ = 0;
};

TimeIndex::TimeIndex(const View& view, TypeId field)
    : field_(field),
      dtype_(RequireTimes(view, field)),
      order_(IsFloat(dtype_)            ? Order::kFloat
             : dtype_ == DType::kUInt64 ? Order::kUnsigned
                                        : Order::kSigned),
      first_row_(view.first_row),
      scanner_(ScanFields{.time = field}) {
  scanner_.GoToBegin(view);
}

bool TimeIndex::Fits(const View& view, DType dtype) const noexcept {
  if (view.first_row < first_row_ || dtype != dtype_ || broken_) {
    return false;
  }
  const std::span<const Row> rows = rows_.all();
  const auto dropped = static_cast<std::uint64_t>(
      std::ranges::lower_bound(rows, static_cast<Row>(view.first_row)) - rows.begin());
  return dropped <= kFewDropped || dropped <= rows.size() / 2;
}

std::optional<std::int64_t> TimeIndex::KeyOf(Value value) const noexcept {
  if (order_ == Order::kFloat) {
    const double time = FloatAsRead(dtype_, value);
    return std::isnan(time) ? std::nullopt : std::optional(FloatKey(time));
  }
  if (value == kLeast && IsTimeKind(InfoOf(dtype_).kind)) {
    return std::nullopt;  // NaT
  }
  return order_ == Order::kUnsigned ? Flipped(static_cast<std::uint64_t>(value)) : value;
}

void TimeIndex::Extend(const ReadSource& source, const View& view) {
  if (scanner_.next_row() < view.first_row) {
    scanner_.GoToBegin(view);
  }
  const std::uint64_t end = FinalEnd(view);
  if (scanner_.next_row() >= end) {
    return;
  }
  const auto add = [&](std::uint64_t row, const RowFacts& facts) {
    const std::optional<std::int64_t> key = facts.time ? KeyOf(*facts.time) : std::nullopt;
    if (!key) {
      return;
    }
    broken_ = true;  // unless there is memory for it
    if (!keys_.empty() && *key < keys_[keys_.size() - 1]) {
      falls_.Add(keys_.size());
    }
    keys_.Add(*key);
    rows_.Add(static_cast<Row>(row));
    broken_ = false;
  };
  ReadInParts(source, view, static_cast<Row>(scanner_.next_row()), static_cast<Row>(end),
              [&](const View& part, Row, Row part_end) {
                scanner_.ReadTo(part, static_cast<std::uint64_t>(part_end), add);
                return true;
              });
}

TimeKey TimeIndex::KeyOfInteger(const AskedTimes& asked, std::size_t i) const noexcept {
  const unsigned char* item = static_cast<const unsigned char*>(asked.data) + i * asked.bytes;
  std::uint64_t bits = 0;  // of the number, in the byte order of all machines that are supported
  std::memcpy(&bits, item, asked.bytes);
  const auto unused = static_cast<int>(64 - 8 * asked.bytes);
  const std::int64_t number = asked.is_signed ? static_cast<std::int64_t>(bits << unused) >> unused
                                              : static_cast<std::int64_t>(bits);
  const bool negative = asked.is_signed && number < 0;
  const bool large = !asked.is_signed && number < 0;  // 2^63 or more
  if (order_ == Order::kUnsigned) {
    return negative ? TimeKey{.rest = Rest::kBelowAll}
                    : TimeKey{.key = Flipped(static_cast<std::uint64_t>(number))};
  }
  return large ? TimeKey{.key = kMost, .rest = Rest::kUpperHalf} : TimeKey{.key = number};
}

TimeKey TimeIndex::KeyOfDouble(double time) const noexcept {
  if (order_ == Order::kFloat) {
    return {.key = FloatKey(time)};
  }
  const double whole = std::floor(time);
  const bool is_signed = order_ == Order::kSigned;
  if (whole < (is_signed ? -0x1p63 : 0.0)) {
    return {.rest = Rest::kBelowAll};
  }
  if (whole >= (is_signed ? 0x1p63 : 0x1p64)) {
    return {.key = kMost, .rest = Rest::kUpperHalf};
  }
  const double part = time - whole;
  return {.key = is_signed ? static_cast<std::int64_t>(whole)
                           : Flipped(static_cast<std::uint64_t>(whole)),
          .rest = part == 0     ? Rest::kNone
                  : part <= 0.5 ? Rest::kLowerHalf
                                : Rest::kUpperHalf};
}

TimeKey TimeIndex::AskedKey(const AskedTimes& asked, std::size_t i) const {
  const unsigned char* item = static_cast<const unsigned char*>(asked.data) + i * asked.bytes;
  if (!asked.is_floating) {
    TimeKey key = KeyOfInteger(asked, i);
    if (asked.rests != nullptr && key.rest == Rest::kNone) {
      key.rest = static_cast<Rest>(std::min<std::uint8_t>(asked.rests[i], 3));
    }
    if (order_ == Order::kFloat) {
      std::int64_t number = 0;
      std::memcpy(&number, item, asked.bytes);
      return KeyOfDouble(asked.is_signed || asked.bytes < 8
                             ? static_cast<double>(key.key)
                             : static_cast<double>(static_cast<std::uint64_t>(number)));
    }
    return key;
  }
  double time = 0;
  if (asked.bytes == sizeof(float)) {
    float narrow = 0;
    std::memcpy(&narrow, item, sizeof(narrow));
    time = static_cast<double>(narrow);
  } else {
    std::memcpy(&time, item, sizeof(time));
  }
  if (std::isnan(time)) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("row_at: expected times but time ", i, " is NaN"));
  }
  return KeyOfDouble(time);
}

double TimeIndex::TimeOf(std::int64_t key) const noexcept {
  return std::bit_cast<double>(key < 0 ? key ^ kMost : key);
}

std::string TimeIndex::TimeText(std::int64_t key) const {
  if (order_ == Order::kFloat) {
    const double time = TimeOf(key);
    return ItemText(Source::kFloat64, &time, 0);
  }
  const std::int64_t number =
      order_ == Order::kUnsigned ? Flipped(static_cast<std::uint64_t>(key)) : key;
  return ItemText(order_ == Order::kUnsigned ? Source::kUInt64 : Source::kInt64, &number, 0);
}

// Whether `before` is as near as `after`, or nearer. REQUIRES: before <= asked.key && asked.key <=
// after.
bool TimeIndex::IsNearer(std::int64_t before, const TimeKey& asked,
                         std::int64_t after) const noexcept {
  STREAM_STORE_ASSERT(before <= asked.key && asked.key <= after);
  if (order_ == Order::kFloat) {
    const double time = TimeOf(asked.key);
    return time - TimeOf(before) <= TimeOf(after) - time;
  }
  const auto distance = [](std::int64_t from, std::int64_t to) {
    return static_cast<std::uint64_t>(to) - static_cast<std::uint64_t>(from);
  };
  // From asked.key; the rest makes the distance to `before` longer, and that to `after` shorter.
  const std::uint64_t back = distance(before, asked.key);
  const std::uint64_t ahead = distance(asked.key, after);
  switch (asked.rest) {
    case Rest::kNone:
      return back <= ahead;
    case Rest::kLowerHalf:
      return back < ahead;
    default:
      return back < ahead && back + 1 < ahead;
  }
}

void TimeIndex::RequireOrder(const View& view, const Entries& entries) const {
  const std::span<const std::size_t> falls = falls_.all();
  std::size_t fall = 0;  // 0: none, because the first key falls from nothing
  if (const auto found = std::ranges::upper_bound(falls, entries.begin());
      found != falls.end() && *found < entries.indexed_end()) {
    fall = *found;
  } else if (entries.end() > entries.indexed_end() && entries.indexed_end() > entries.begin() &&
             entries.key(entries.indexed_end()) < entries.key(entries.indexed_end() - 1)) {
    fall = entries.indexed_end();
  }
  if (fall != 0) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat(view.store_schema->path, ": row_at by field '",
                       view.store_schema->schema[field_].name,
                       "': expected times that never decrease but found ",
                       TimeText(entries.key(fall - 1)), " in row ", entries.row(fall - 1), " and ",
                       TimeText(entries.key(fall)), " in row ", entries.row(fall)));
  }
}

void TimeIndex::Find(const View& view, std::optional<std::int64_t> last, const AskedTimes& asked,
                     Side side, std::span<Row> out) const {
  STREAM_STORE_ASSERT(scanner_.next_row() >= FinalEnd(view));
  const Entries entries(*this, view, last);
  RequireOrder(view, entries);
  const bool after = side == Side::kRight || side == Side::kBackward;
  std::vector<Row> found(out.size());
  TimeKey previous{.rest = Rest::kBelowAll};
  std::size_t from = entries.begin();
  for (std::size_t i = 0; i < out.size(); ++i) {
    const TimeKey key = AskedKey(asked, i);
    const bool rises = !IsBefore(key, previous);
    from = entries.First(rises ? from : entries.begin(), key, after);
    previous = key;
    std::size_t entry = from;
    if (side == Side::kBackward) {
      entry = from > entries.begin() ? from - 1 : entries.end();
    } else if (side == Side::kNearest && from > entries.begin() &&
               (from == entries.end() ||
                ((key.rest != Rest::kNone || entries.key(from) != key.key) &&
                 IsNearer(entries.key(from - 1), key, entries.key(from))))) {
      entry = entries.First(entries.begin(), {.key = entries.key(from - 1)}, /*after=*/false);
    }
    found[i] = entry == entries.end() ? static_cast<Row>(view.row_count) : entries.row(entry);
  }
  std::ranges::copy(found, out.begin());
}

void FindTimes(const std::shared_ptr<ReadSource>& source, const View& view, const AskedTimes& asked,
               TypeId field, Side side, std::span<Row> out) {
  const std::shared_ptr<TimeIndex> index = IndexOf(*source, view, field);
  const std::uint64_t final_end = FinalEnd(view);
  const std::optional<Value> last =
      final_end < view.row_count ? LastValue(*source, view, field) : std::nullopt;
  {
    const std::scoped_lock lock(index->mutex());
    index->Extend(*source, view);
    index->Find(view, last ? index->KeyOf(*last) : std::nullopt, asked, side, out);
  }
  source->CheckNotTruncated();
}

}  // namespace stream_store::internal
