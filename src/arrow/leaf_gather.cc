// The part of LeafLoader that copies rows one by one: rows in any order, string views, list views
// and dictionaries.
//
// A column without nulls takes one of the loops of GatherFast(); any other goes through Locate(),
// which finds the items of a row level by level.
#include <algorithm>
#include <cstring>

#include "arrow/leaf_loader.h"
#include "arrow/loads.h"
#include "arrow/view_text.h"
#include "base/str_cat.h"

namespace stream_store::arrow {

using internal::StrCat;

Column LeafLoader::LoadRows(std::span<const ColumnView> views, std::span<const RowRef> rows,
                            std::uint64_t first) {
  Begin(first, rows.size());
  const Column column = LoadRowsUnchecked(views, rows);
  if (leaf_.not_null && missing_) {
    for (std::uint64_t i = 0; i < loaded_rows(); ++i) {
      CheckNotNull(i, views[rows[i].batch].around, rows[i].row);
    }
  }
  return column;
}

Column LeafLoader::LoadRowsUnchecked(std::span<const ColumnView> views,
                                     std::span<const RowRef> rows) {
  if (leaf_.is_nested) {
    return LoadCellRows(views, rows);
  }
  if (GatherFast(views, rows)) {
    return MakeColumn(bytes_.data(), rows.size());
  }
  offsets_.assign(1, 0);
  bytes_.clear();
  for (std::uint64_t i = 0; i < rows.size(); ++i) {
    Gather(views[rows[i].batch], rows[i].row, i);
  }
  return MakeColumn(bytes_.data(), rows.size());
}

namespace {

// Returns end - begin, or -1 if that overflows: both are foreign and may be any number.
std::int64_t Difference(std::int64_t end, std::int64_t begin) noexcept {
  std::int64_t difference = 0;
  return __builtin_sub_overflow(end, begin, &difference) ? -1 : difference;
}

template <class Item>
void CopyScalars(std::span<const ColumnView> views, std::span<const RowRef> rows, std::byte* out) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const ArrayView& item = views[rows[i].batch].item;
    std::memcpy(out + i * sizeof(Item), item.first + (item.shift + rows[i].row) * sizeof(Item),
                sizeof(Item));
  }
}

void CopyBools(std::span<const ColumnView> views, std::span<const RowRef> rows, std::byte* out) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const ArrayView& item = views[rows[i].batch].item;
    out[i] = static_cast<std::byte>(
        GetBit(reinterpret_cast<const std::uint8_t*>(item.first), item.shift + rows[i].row));
  }
}

}  // namespace

// Gathers columns without nulls with one loop for all rows. Returns false, having done nothing, if
// any of the batches needs the general way: a column may have nulls in some batches only.
bool LeafLoader::GatherFast(std::span<const ColumnView> views, std::span<const RowRef> rows) {
  const auto all = [&](ColumnView::FastGather path) {
    return std::ranges::all_of(
        rows, [&](const RowRef& row) { return views[row.batch].fast_gather == path; });
  };
  if (all(ColumnView::FastGather::kRagged)) {
    GatherRagged(views, rows);
    return true;
  }
  if (!all(ColumnView::FastGather::kScalars)) {
    return false;
  }
  offsets_.clear();
  bytes_.resize(rows.size() * leaf_.item_bytes);
  std::byte* out = bytes_.data();
  if (leaf_.item.kind == Kind::kBool) {
    CopyBools(views, rows, out);
    return true;
  }
  switch (leaf_.item_bytes) {
    case 1:
      CopyScalars<std::uint8_t>(views, rows, out);
      return true;
    case 2:
      CopyScalars<std::uint16_t>(views, rows, out);
      return true;
    case 4:
      CopyScalars<std::uint32_t>(views, rows, out);
      return true;
    case 8:
      CopyScalars<std::uint64_t>(views, rows, out);
      return true;
    default:
      return false;
  }
}

// Gathers text or lists without nulls in two passes: the first finds and prefetches the items of
// each row, the second copies them. In a single pass, each copy would wait for the cache miss of
// its own offsets and then of its items.
void LeafLoader::GatherRagged(std::span<const ColumnView> views, std::span<const RowRef> rows) {
  const std::uint64_t item_bytes = leaf_.item_bytes;
  offsets_.resize(rows.size() + 1);
  sources_.resize(rows.size());
  offsets_[0] = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const ColumnView& view = views[rows[i].batch];
    const ArrayView& top = view.top();
    const bool text = view.lists.empty();
    const std::int64_t begin = LoadOffset(top.first, top.type.bits, top.shift + rows[i].row);
    const std::int64_t end = LoadOffset(top.first, top.type.bits, top.shift + rows[i].row + 1);
    const std::int64_t most = text ? INT64_MAX : static_cast<std::int64_t>(view.item.length);
    const std::byte* items = text ? view.item.second : view.item.first;
    if (begin < 0 || end < begin || end > most || (items == nullptr && end > begin)) {
      Refuse(i, StrCat("expected offsets that rise, up to ", most, ", but found ", begin, " and ",
                       end));
    }
    const std::uint64_t shift = text ? 0 : view.item.shift;
    sources_[i] = items + (shift + static_cast<std::uint64_t>(begin)) * item_bytes;
    __builtin_prefetch(sources_[i]);
    offsets_[i + 1] = offsets_[i] + (end - begin);
  }
  bytes_.resize(static_cast<std::size_t>(offsets_.back()) * item_bytes);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto count = static_cast<std::size_t>(offsets_[i + 1] - offsets_[i]) * item_bytes;
    if (count > 0) {
      std::memcpy(bytes_.data() + static_cast<std::size_t>(offsets_[i]) * item_bytes, sources_[i],
                  count);
    }
  }
}

// Appends the items of one row to bytes_.
void LeafLoader::Gather(const ColumnView& view, std::uint64_t row, std::uint64_t place) {
  if (leaf_.nested) {
    GatherFromCell(view, row, place);
    return;
  }
  Span span;
  if (!Locate(view, row, place, span)) {
    AddMissing(place);
    return;
  }
  const std::uint64_t count = span.end - span.begin;
  offsets_.push_back(offsets_.back() + static_cast<std::int64_t>(count));
  const std::size_t at = bytes_.size();
  bytes_.resize(at + count * leaf_.item_bytes);
  if (count == 0) {
    return;
  }
  if (leaf_.item.kind == Kind::kBool) {
    UnpackBits(reinterpret_cast<const std::uint8_t*>(span.items), span.begin, count,
               reinterpret_cast<std::uint8_t*>(bytes_.data() + at));
  } else {
    std::memcpy(bytes_.data() + at, span.items + span.begin * leaf_.item_bytes,
                count * leaf_.item_bytes);
  }
}

void LeafLoader::AddMissing(std::uint64_t place) {
  present_[place] = 0;
  missing_ = true;
  offsets_.push_back(offsets_.back());
}

// Finds the items of one row. Returns false if the row is null.
bool LeafLoader::Locate(const ColumnView& view, std::uint64_t row, std::uint64_t place,
                        Span& span) const {
  for (const Validity& validity : view.around.validities) {
    if (!IsSet(validity, row)) {
      return false;
    }
  }
  std::uint64_t at = row;
  if (leaf_.is_dictionary) {
    if (!IsSet(view.index.validity, row)) {
      return false;
    }
    const std::uint64_t bytes = static_cast<std::uint64_t>(leaf_.index.bits) / 8;
    const std::int64_t index =
        LoadInteger(leaf_.index, view.index.first + (view.index.shift + row) * bytes);
    if (index < 0 || static_cast<std::uint64_t>(index) >= view.top().length) {
      Refuse(place,
             StrCat("index ", index, " is outside [0, ", view.top().length, ") of the dictionary"));
    }
    at = static_cast<std::uint64_t>(index);
  }
  if (!IsSet(view.top().validity, at)) {
    return false;
  }
  if (!leaf_.lists.empty()) {
    LocateInList(view, at, place, span);
  } else if (leaf_.item.is_bytes()) {
    LocateText(view.item, view.item.shift + at, place, span);
  } else {
    span = {view.item.first, view.item.shift + at, view.item.shift + at + 1};
  }
  return true;
}

// Finds the text at index `at` of the buffers, by offsets or through a view.
void LeafLoader::LocateText(const ArrayView& array, std::uint64_t at, std::uint64_t place,
                            Span& span) const {
  if (array.type.bits != 0) {
    const std::int64_t begin = LoadOffset(array.first, array.type.bits, at);
    const std::int64_t end = LoadOffset(array.first, array.type.bits, at + 1);
    if (begin < 0 || end < begin || (array.second == nullptr && end > begin)) {
      Refuse(place, StrCat("text from byte ", begin, " to byte ", end));
    }
    span = {array.second, static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(end)};
    return;
  }
  const auto text = FindViewText(array, at);
  if (!text) {
    Refuse(place, BadViewText(array, at));
  }
  span = {text->data(), 0, text->size()};
}

// Finds the items of the list at index `at`, level by level.
void LeafLoader::LocateInList(const ColumnView& view, std::uint64_t at, std::uint64_t place,
                              Span& span) const {
  Span range{nullptr, at, at + 1};
  for (std::size_t level = 0; level < view.lists.size(); ++level) {
    const ArrayView& list = view.lists[level];
    if (level > 0 && list.validity.bits != nullptr &&
        !AllSet(list.validity, range.begin, range.end)) {
      RefuseNullInside(place);
    }
    if (list.type.kind == Kind::kFixedList) {
      const auto size = static_cast<std::uint64_t>(list.type.size);
      range.begin = (range.begin + list.shift) * size;
      range.end = (range.end + list.shift) * size;
    } else {
      EnterLists(view, level, place, range);
    }
  }
  const bool null = view.item.type.kind == Kind::kNull
                        ? range.begin < range.end
                        : view.item.validity.bits != nullptr &&
                              !AllSet(view.item.validity, range.begin, range.end);
  if (null) {
    RefuseNullInside(place);
  }
  span = {view.item.first, view.item.shift + range.begin, view.item.shift + range.end};
}

// Replaces a range of lists that have offsets by the range of their children. The children must be
// contiguous, because a Span is one range. Those of lists always are; list views may lie in any
// order.
void LeafLoader::EnterLists(const ColumnView& view, std::size_t level, std::uint64_t place,
                            Span& range) const {
  const ArrayView& list = view.lists[level];
  const auto most = static_cast<std::int64_t>(
      level + 1 < view.lists.size() ? view.lists[level + 1].length : view.item.length);
  const auto offset_at = [&](const std::byte* from, std::uint64_t i) {
    return LoadOffset(from, list.type.bits, list.shift + i);
  };
  std::int64_t first = 0;
  std::int64_t last = 0;
  for (std::uint64_t i = range.begin; i < range.end; ++i) {
    const std::int64_t from = offset_at(list.first, i);
    const std::int64_t size = list.type.kind == Kind::kListView
                                  ? offset_at(list.second, i)
                                  : Difference(offset_at(list.first, i + 1), from);
    if (from < 0 || from > most || size < 0 || size > most - from) {
      Refuse(place, StrCat("a list of ", size, " items at ", from, ", outside the ", most,
                           " items of its array"));
    }
    if (level > 0 && size != std::int64_t{leaf_.shape[level]}) {
      Refuse(place,
             StrCat("expected an inner list of ", leaf_.shape[level], " items but found ", size));
    }
    if (i > range.begin && from != last) {
      Refuse(place, "inner list views out of order; cast the column to lists");
    }
    first = i == range.begin ? from : first;
    last = from + size;
  }
  range.begin = static_cast<std::uint64_t>(first);
  range.end = static_cast<std::uint64_t>(last);
}

}  // namespace stream_store::arrow
