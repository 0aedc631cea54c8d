// The part of LeafLoader that passes on rows in sequence where they lie, and the checks of items.

#include "arrow/leaf_loader.h"

#include <algorithm>

#include "stream_store/error.h"

#include "arrow/bits.h"
#include "arrow/exact.h"
#include "arrow/loads.h"
#include "base/str_cat.h"

namespace stream_store::arrow {

using internal::StrCat;

void LeafLoader::Refuse(std::uint64_t row, const std::string& problem) const {
  throw Error(ErrorCode::kInvalidArgument, StrCat("importing from Arrow: column '", leaf_.name,
                                                  "', row ", first_ + row, ": ", problem));
}

void LeafLoader::RefuseNullInside(std::uint64_t row) const {
  Refuse(row, StrCat("a null inside a list, which only a nested field can hold: fill the null, or "
                     "declare the field as \"nested ",
                     leaf_.nested_text, "\""));
}

void LeafLoader::Begin(std::uint64_t first, std::uint64_t count) {
  first_ = first;
  missing_ = false;
  loaded_bytes_ = 0;
  present_.assign(count, 1);
}

// Clears the rows of present_ that are null in `validity`. Most columns have no null in most
// ranges, which AllSet() finds out a byte at a time.
void LeafLoader::ClearAbsent(const Validity& validity, std::uint64_t begin, std::uint64_t count) {
  if (validity.bits == nullptr || AllSet(validity, begin, begin + count)) {
    return;
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    present_[i] = static_cast<std::uint8_t>(present_[i] & (IsSet(validity, begin + i) ? 1 : 0));
  }
  missing_ = true;
}

Column LeafLoader::LoadRange(const ColumnView& view, std::uint64_t begin, std::uint64_t count,
                             std::uint64_t first) {
  Begin(first, count);
  const Column column = LoadRangeUnchecked(view, begin, count);
  if (leaf_.not_null && missing_) {
    for (std::uint64_t i = 0; i < loaded_rows(); ++i) {
      CheckNotNull(i, view.around, begin + i);
    }
  }
  return column;
}

// Checks row `place` of the load, which is row `row` of its batch.
void LeafLoader::CheckNotNull(std::uint64_t place, const StructView& around,
                              std::uint64_t row) const {
  if (!IsPresent(place) && IsPresentIn(around, row)) {
    Refuse(place, "expected a value, because the column is declared not null, but found a null");
  }
}

Column LeafLoader::LoadRangeUnchecked(const ColumnView& view, std::uint64_t begin,
                                      std::uint64_t count) {
  if (leaf_.is_nested) {
    return LoadCellRange(view, begin, count);
  }
  // Views and dictionaries refer to items in any order, so they cannot be passed on where they lie.
  const bool views = (leaf_.item.is_bytes() && leaf_.item.bits == 0) ||
                     std::ranges::any_of(leaf_.lists, [](const Type& list) {
                       return list.kind == Kind::kListView;
                     });
  if (views || leaf_.is_dictionary || leaf_.nested) {
    offsets_.assign(1, 0);
    bytes_.clear();
    for (std::uint64_t i = 0; i < count; ++i) {
      Gather(view, begin + i, i);
    }
    return MakeColumn(bytes_.data(), count);
  }
  for (const Validity& validity : view.around.validities) {
    ClearAbsent(validity, begin, count);
  }
  ClearAbsent(view.top().validity, begin, count);
  if (!leaf_.lists.empty()) {
    return LoadLists(view, begin, count);
  }
  return leaf_.item.is_bytes() ? LoadText(view, begin, count) : LoadFixed(view, begin, count);
}

// --- rows in sequence ---

Column LeafLoader::LoadFixed(const ColumnView& view, std::uint64_t begin, std::uint64_t count) {
  const std::uint64_t at = view.item.shift + begin;
  offsets_.clear();
  if (leaf_.item.kind == Kind::kBool) {
    bytes_.resize(count);
    UnpackBits(reinterpret_cast<const std::uint8_t*>(view.item.first), at, count,
               reinterpret_cast<std::uint8_t*>(bytes_.data()));
    return MakeColumn(bytes_.data(), count);
  }
  return MakeColumn(view.item.first + at * leaf_.item_bytes, count);
}

// Reads the offsets of rows [begin, begin + count] into offsets_. Each must be in [0, most] and
// none less than the one before. The first loop only notes whether they rise, so that it can be
// vectorised; a second one finds the row of an error.
void LeafLoader::ReadOffsets(const ArrayView& array, std::uint64_t begin, std::uint64_t count,
                             std::uint64_t most) {
  offsets_.resize(count + 1);
  const std::uint64_t at = array.shift + begin;
  std::int64_t before = 0;
  bool rises = true;
  for (std::uint64_t i = 0; i <= count; ++i) {
    const std::int64_t offset = LoadOffset(array.first, array.type.bits, at + i);
    rises &= offset >= before;
    offsets_[i] = before = offset;
  }
  if (rises && static_cast<std::uint64_t>(before) <= most) {
    return;
  }
  for (std::uint64_t i = 0; i <= count; ++i) {
    const std::int64_t least = i == 0 ? 0 : offsets_[i - 1];
    if (offsets_[i] < least || static_cast<std::uint64_t>(offsets_[i]) > most) {
      Refuse(i == 0 ? 0 : i - 1,
             StrCat("expected an offset from ", least, " to ", most, " but found ", offsets_[i]));
    }
  }
}

Column LeafLoader::LoadText(const ColumnView& view, std::uint64_t begin, std::uint64_t count) {
  ReadOffsets(view.item, begin, count, INT64_MAX);
  if (view.item.second == nullptr && offsets_.back() > offsets_.front()) {
    Refuse(0, StrCat("expected a buffer of ", offsets_.back(), " bytes of text but found none"));
  }
  // The length of the text buffer is not recorded anywhere, so the offsets cannot be checked
  // against it. The bytes of the text are the items of the column.
  ArrayView text = view.item;
  text.first = view.item.second;
  text.shift = 0;
  return MakeRagged(text, count);
}

// Reads the offsets of the outermost lists, then goes one level in at a time: after each step,
// offsets_ delimits the rows among the elements of the next level.
Column LeafLoader::LoadLists(const ColumnView& view, std::uint64_t begin, std::uint64_t count) {
  const auto length_below = [&](std::size_t level) {
    return level + 1 < view.lists.size() ? view.lists[level + 1].length : view.item.length;
  };
  const ArrayView& outer = view.lists.front();
  if (outer.type.kind == Kind::kFixedList) {
    offsets_.resize(count + 1);
    for (std::uint64_t i = 0; i <= count; ++i) {
      offsets_[i] = static_cast<std::int64_t>(outer.shift + begin + i) * outer.type.size;
    }
  } else {
    ReadOffsets(outer, begin, count, length_below(0));
  }
  for (std::size_t level = 1; level < view.lists.size(); ++level) {
    EnterInner(view.lists[level], leaf_.shape[level], length_below(level), count);
  }
  CheckNoNulls(view.item, count);
  return MakeRagged(view.item, count);
}

// Replaces the ranges of inner lists in offsets_ by the ranges of their children. Every inner list
// must have `dimension` children; fields cannot be ragged inside.
void LeafLoader::EnterInner(const ArrayView& list, std::uint32_t dimension,
                            std::uint64_t child_length, std::uint64_t count) {
  CheckNoNulls(list, count);
  if (list.type.kind == Kind::kFixedList) {
    for (std::int64_t& offset : offsets_) {
      offset = (offset + static_cast<std::int64_t>(list.shift)) * list.type.size;
    }
    return;
  }
  if (offsets_.back() == offsets_.front()) {  // no inner lists, and perhaps no buffer of offsets
    std::ranges::fill(offsets_, 0);
    return;
  }
  const auto offset_at = [&](std::int64_t i) {
    return LoadOffset(list.first, list.type.bits, list.shift + static_cast<std::uint64_t>(i));
  };
  std::int64_t before = offset_at(offsets_[0]);
  if (before < 0) {
    Refuse(0, StrCat("expected an offset of at least 0 inside a list but found ", before));
  }
  std::int64_t next = before;
  for (std::uint64_t row = 0; row < count; ++row) {
    for (std::int64_t i = offsets_[row]; i < offsets_[row + 1]; ++i) {
      const std::int64_t end = offset_at(i + 1);
      if (end < next || static_cast<std::uint64_t>(end) > child_length) {
        Refuse(row, StrCat("expected an offset from ", next, " to ", child_length,
                           " inside a list but found ", end));
      }
      // A null row may have inner lists too; they are skipped, whatever their length.
      if (end - next != dimension && IsPresent(row)) {
        Refuse(row,
               StrCat("expected an inner list of ", dimension, " items but found ", end - next));
      }
      next = end;
    }
    offsets_[row] = before;
    before = next;
  }
  offsets_[count] = next;
}

// Checks that no element of a present row is null; offsets_ delimits the rows. One test of the
// whole range decides in the usual case that there is no null at all.
void LeafLoader::CheckNoNulls(const ArrayView& array, std::uint64_t count) const {
  const auto at = [&](std::uint64_t i) { return static_cast<std::uint64_t>(offsets_[i]); };
  const bool any = array.type.kind == Kind::kNull ||
                   (array.validity.bits != nullptr && !AllSet(array.validity, at(0), at(count)));
  for (std::uint64_t row = 0; any && row < count; ++row) {
    const bool bad = array.type.kind == Kind::kNull ? at(row) < at(row + 1)
                                                    : !AllSet(array.validity, at(row), at(row + 1));
    if (bad && IsPresent(row)) {
      RefuseNullInside(row);
    }
  }
}

// Makes the column of the rows that offsets_ delimits among the items. Afterwards offsets_ counts
// from the first of these items.
Column LeafLoader::MakeRagged(const ArrayView& item, std::uint64_t count) {
  const std::int64_t begin = offsets_.front();
  const auto items = static_cast<std::uint64_t>(offsets_.back() - begin);
  for (std::int64_t& offset : offsets_) {
    offset -= begin;
  }
  const std::uint64_t at = item.shift + static_cast<std::uint64_t>(begin);
  if (leaf_.item.kind == Kind::kBool) {
    bytes_.resize(items);
    if (items > 0) {
      UnpackBits(reinterpret_cast<const std::uint8_t*>(item.first), at, items,
                 reinterpret_cast<std::uint8_t*>(bytes_.data()));
    }
    return MakeColumn(bytes_.data(), count);
  }
  return MakeColumn(items == 0 ? nullptr : item.first + at * leaf_.item_bytes, count);
}

// --- the end of both ways ---

// Makes the column of rows that offsets_ delimits among `items`, or of one item each if offsets_ is
// empty. Rows of equal length are passed without offsets: Extend() has a faster way for them.
Column LeafLoader::MakeColumn(const std::byte* items, std::uint64_t count) {
  if (NeedsCheck()) {
    CheckItems(items, count);
  }
  Column column;
  column.type = leaf_.type;
  column.source = leaf_.source;
  column.data = items;
  column.present = present();
  column.row_items = leaf_.source_items;
  loaded_bytes_ = count * leaf_.item_bytes;
  if (offsets_.empty() || count == 0) {
    return column;
  }
  loaded_bytes_ = static_cast<std::uint64_t>(offsets_.back()) * leaf_.item_bytes;
  const auto scale = static_cast<std::int64_t>(leaf_.source_items);
  const std::int64_t each = offsets_[1];
  bool regular = !missing_;
  for (std::uint64_t i = 0; i < count && regular; ++i) {
    regular = offsets_[i + 1] - offsets_[i] == each;
  }
  if (regular) {
    column.row_items = static_cast<std::uint64_t>(each * scale);
    return column;
  }
  if (scale != 1) {
    for (std::int64_t& offset : offsets_) {
      offset *= scale;
    }
  }
  column.offsets = offsets_.data();
  return column;
}

// Checks the items that the types alone do not guarantee to be valid.
void LeafLoader::CheckItems(const std::byte* items, std::uint64_t count) const {
  for (std::uint64_t row = 0; row < count; ++row) {
    if (!IsPresent(row)) {
      continue;
    }
    const std::uint64_t begin = offsets_.empty() ? row : static_cast<std::uint64_t>(offsets_[row]);
    const std::uint64_t end =
        offsets_.empty() ? row + 1 : static_cast<std::uint64_t>(offsets_[row + 1]);
    for (std::uint64_t i = begin; i < end; ++i) {
      const std::byte* item = items + i * leaf_.item_bytes;
      if (IsAllowed(item)) {
        continue;
      }
      if (leaf_.exact_bits == 0) {
        Refuse(row, StrCat("expected a number below ", leaf_.classes,
                           ", the number of classes, but found ", LoadInteger(leaf_.item, item)));
      }
      Refuse(row,
             StrCat("a ", TypeText(leaf_.item), " that is not exact as float", leaf_.exact_bits,
                    "; cast the column, which rounds, or declare the field as ",
                    TypeText(leaf_.item)));
    }
  }
}

bool LeafLoader::IsAllowed(const std::byte* item) const {
  if (leaf_.exact_bits == 0) {
    return LoadInteger(leaf_.item, item) < leaf_.classes;
  }
  return leaf_.item.bits == 64 ? IsExact(ItemAt<std::uint64_t>(item, 0), leaf_.exact_bits)
                               : IsExactHalf(ItemAt<std::uint32_t>(item, 0));
}

}  // namespace stream_store::arrow
