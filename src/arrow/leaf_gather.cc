// The half of LeafLoader that takes rows one by one: in any order, out of views and dictionaries.
#include <algorithm>
#include <cstring>

#include "arrow/leaf_loader.h"
#include "arrow/loads.h"

namespace stream_store::arrow {

Column LeafLoader::LoadRows(std::span<const ColumnView> views, std::span<const RowRef> rows,
                            std::uint64_t first) {
  Begin(first, rows.size());
  bytes_.clear();
  if (GatherPlain(views, rows)) {
    offsets_.clear();
    return Made(bytes_.data(), rows.size());
  }
  offsets_.assign(1, 0);
  bytes_.clear();
  for (std::uint64_t i = 0; i < rows.size(); ++i) {
    Gather(views[rows[i].batch], rows[i].row, i);
  }
  return FinishGathered(rows.size());
}

namespace {

template <class Item>
void CopyPlain(std::span<const ColumnView> views, std::span<const RowRef> rows, std::byte* out) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const ArrayView& item = views[rows[i].batch].item;
    std::memcpy(out + i * sizeof(Item), item.first + (item.shift + rows[i].row) * sizeof(Item),
                sizeof(Item));
  }
}

}  // namespace

// Scalars without nulls: one load each. False if there is anything else.
bool LeafLoader::GatherPlain(std::span<const ColumnView> views, std::span<const RowRef> rows) {
  const std::uint64_t bytes = leaf_.item_bytes;
  if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8) {
    return false;
  }
  if (!std::ranges::all_of(rows, [&](const RowRef& row) { return views[row.batch].plain; })) {
    return false;
  }
  bytes_.resize(rows.size() * bytes);
  std::byte* out = bytes_.data();
  bytes == 1   ? CopyPlain<std::uint8_t>(views, rows, out)
  : bytes == 2 ? CopyPlain<std::uint16_t>(views, rows, out)
  : bytes == 4 ? CopyPlain<std::uint32_t>(views, rows, out)
               : CopyPlain<std::uint64_t>(views, rows, out);
  return true;
}

void LeafLoader::Gather(const ColumnView& view, std::uint64_t row, std::uint64_t place) {
  Span span;
  if (!Locate(view, row, place, span)) {
    present_[place] = 0;
    missing_ = true;
    offsets_.push_back(offsets_.back());
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

Column LeafLoader::FinishGathered(std::uint64_t count) { return Made(bytes_.data(), count); }

// False where the row is missing.
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
      Refuse(place, "the index " + std::to_string(index) + " into a dictionary of " +
                        std::to_string(view.top().length));
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

void LeafLoader::LocateText(const ArrayView& array, std::uint64_t at, std::uint64_t place,
                            Span& span) const {
  constexpr std::int32_t kInline = 12;
  if (array.type.bits != 0) {
    const std::int64_t begin = LoadOffset(array.first, array.type.bits, at);
    const std::int64_t end = LoadOffset(array.first, array.type.bits, at + 1);
    if (begin < 0 || end < begin || (array.second == nullptr && end > begin)) {
      Refuse(place, "text from byte " + std::to_string(begin) + " to " + std::to_string(end));
    }
    span = {array.second, static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(end)};
    return;
  }
  const std::byte* view = array.first + at * 16;
  const auto bytes = Load<std::int32_t>(view, 0);
  if (bytes >= 0 && bytes <= kInline) {
    span = {view + 4, 0, static_cast<std::uint64_t>(bytes)};
    return;
  }
  const auto buffer = Load<std::int32_t>(view, 2);
  const auto offset = Load<std::int32_t>(view, 3);
  const bool known = bytes >= 0 && buffer >= 0 && offset >= 0 &&
                     static_cast<std::uint64_t>(buffer) < array.text_count &&
                     array.texts[buffer] != nullptr;
  if (!known || std::int64_t{offset} + bytes >
                    Load<std::int64_t>(array.text_sizes, static_cast<std::uint64_t>(buffer))) {
    Refuse(place, "a view of " + std::to_string(bytes) + " bytes at " + std::to_string(offset) +
                      " of buffer " + std::to_string(buffer) + ", which are not there");
  }
  span = {static_cast<const std::byte*>(array.texts[buffer]), static_cast<std::uint64_t>(offset),
          static_cast<std::uint64_t>(offset) + static_cast<std::uint64_t>(bytes)};
}

// The list of one row, and into it level by level.
void LeafLoader::LocateInList(const ColumnView& view, std::uint64_t at, std::uint64_t place,
                              Span& span) const {
  std::uint64_t begin = at;
  std::uint64_t end = at + 1;
  for (std::size_t level = 0; level < view.lists.size(); ++level) {
    const ArrayView& list = view.lists[level];
    const std::uint64_t child_length =
        level + 1 < view.lists.size() ? view.lists[level + 1].length : view.item.length;
    if (level > 0 && list.validity.bits != nullptr && !AllSet(list.validity, begin, end)) {
      Refuse(place, kNullInside);
    }
    if (list.type.kind == Kind::kFixedList) {
      const auto size = static_cast<std::uint64_t>(list.type.size);
      begin = (begin + list.shift) * size;
      end = (end + list.shift) * size;
      continue;
    }
    const bool is_view = list.type.kind == Kind::kListView;
    std::int64_t first = 0;
    std::int64_t last = 0;
    for (std::uint64_t i = begin; i < end; ++i) {
      const std::int64_t from = LoadOffset(list.first, list.type.bits, list.shift + i);
      const std::int64_t size =
          is_view ? LoadOffset(list.second, list.type.bits, list.shift + i)
                  : LoadOffset(list.first, list.type.bits, list.shift + i + 1) - from;
      if (from < 0 || size < 0 || static_cast<std::uint64_t>(from) > child_length ||
          static_cast<std::uint64_t>(size) > child_length - static_cast<std::uint64_t>(from)) {
        Refuse(place, "a list of " + std::to_string(size) + " items at " + std::to_string(from) +
                          " of " + std::to_string(child_length));
      }
      if (level > 0 && size != std::int64_t{leaf_.shape[level]}) {
        Refuse(place, "an inner list of " + std::to_string(size) + " items; expected " +
                          std::to_string(leaf_.shape[level]));
      }
      if (i > begin && from != last) {
        Refuse(place, "inner lists that do not lie one after the other; cast the column to lists");
      }
      first = i == begin ? from : first;
      last = from + size;
    }
    begin = static_cast<std::uint64_t>(first);
    end = static_cast<std::uint64_t>(last);
  }
  const bool null =
      view.item.type.kind == Kind::kNull
          ? begin < end
          : view.item.validity.bits != nullptr && !AllSet(view.item.validity, begin, end);
  if (null) {
    Refuse(place, kNullInside);
  }
  span = {view.item.first, view.item.shift + begin, view.item.shift + end};
}

}  // namespace stream_store::arrow
