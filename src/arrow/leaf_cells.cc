// The part of LeafLoader that goes through cells: nested fields, whose cells are stored, and flat
// fields whose columns have run ends, or dictionaries inside lists.
#include <cstring>

#include "arrow/leaf_loader.h"
#include "arrow/loads.h"
#include "base/str_cat.h"
#include "format/nested_block.h"

namespace stream_store::arrow {

using internal::StrCat;

namespace {

// Loading stops after this many bytes, because the size of cells is not known in advance.
constexpr std::uint64_t kMostLoadedBytes = 512 << 10;

}  // namespace

Column LeafLoader::LoadCellRange(const ColumnView& view, std::uint64_t begin, std::uint64_t count) {
  return LoadCells(count, [&](std::uint64_t i) { return std::pair(&view, begin + i); });
}

Column LeafLoader::LoadCellRows(std::span<const ColumnView> views, std::span<const RowRef> rows) {
  return LoadCells(rows.size(),
                   [&](std::uint64_t i) { return std::pair(&views[rows[i].batch], rows[i].row); });
}

// Stores each cell as the words of a field-write: the number of bytes, the block, zeros up to a
// whole word.
template <class Where>
Column LeafLoader::LoadCells(std::uint64_t count, const Where& where) {
  cells_.Clear();
  offsets_.assign(1, 0);
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto [view, row] = where(i);
    const std::size_t begin = cells_.size();
    cells_.Extend(sizeof(Value));
    const std::size_t block = begin + sizeof(Value);
    if (!WriteCell(*view, row, i) || !EnterStructs(block)) {
      cells_.Truncate(begin);
      AddMissing(i);
      continue;
    }
    if (const std::size_t outer = leaf_.outer_structs; outer > 0) {
      std::memmove(cells_.at(block), cells_.at(block + outer), cells_.size() - block - outer);
      cells_.Truncate(cells_.size() - outer);
    }
    const std::uint64_t bytes = cells_.size() - block;
    std::memcpy(cells_.at(begin), &bytes, sizeof(bytes));
    const std::size_t padding = (sizeof(Value) - bytes % sizeof(Value)) % sizeof(Value);
    std::memset(cells_.Extend(padding), 0, padding);
    offsets_.push_back(static_cast<std::int64_t>(cells_.size() / sizeof(Value)));
    if (cells_.size() >= kMostLoadedBytes) {
      count = i + 1;
    }
  }
  present_.resize(count);
  return MakeColumn(cells_.at(0), count);
}

// Writes one cell to the end of cells_. Returns false if the row is null.
bool LeafLoader::WriteCell(const ColumnView& view, std::uint64_t row, std::uint64_t place) {
  for (const Validity& validity : view.around.validities) {
    if (!IsSet(validity, row)) {
      return false;
    }
  }
  try {
    return writer_->Write(view.nested, row, cells_);
  } catch (const CellError& error) {
    if (error.is_null && !leaf_.is_nested) {
      RefuseNullInside(place);
    }
    Refuse(place, error.place.empty() ? error.problem
                                      : StrCat(leaf_.name, error.place, ": ", error.problem));
  }
}

// Whether the column is present in a cell of structs that were behind layers: each of them has a
// header before that of the column, and a bitmap if the next one is null.
bool LeafLoader::EnterStructs(std::size_t cell) const {
  for (std::size_t i = 1; i <= leaf_.outer_structs; ++i) {
    if ((*cells_.at(cell + i) & std::byte{internal::kNestedHasNulls}) != std::byte{0}) {
      return false;
    }
  }
  return true;
}

// Appends the items of one row of a flat field to bytes_. No node of its cell has nulls, and only
// the outermost one may have lengths, so there is a header for each node, perhaps one length, and
// then the items.
void LeafLoader::GatherFromCell(const ColumnView& view, std::uint64_t row, std::uint64_t place) {
  cells_.Clear();
  if (!WriteCell(view, row, place) || !EnterStructs(0)) {
    AddMissing(place);
    return;
  }
  const NestedSource* column = leaf_.nested.get();
  for (std::size_t i = 0; i < leaf_.outer_structs; ++i) {
    column = &column->children.front();
  }
  const bool has_length =
      column->kind == NestedType::Kind::kList || column->kind == NestedType::Kind::kBytes;
  const std::byte header = *cells_.at(leaf_.outer_structs);
  const auto width = static_cast<unsigned>(header) >> internal::kNestedLengthShift;
  const std::size_t begin = leaf_.nested->nodes + (has_length ? std::size_t{1} << width : 0);
  const std::size_t bytes = cells_.size() - begin;
  bytes_.insert(bytes_.end(), cells_.at(begin), cells_.at(begin) + bytes);
  offsets_.push_back(offsets_.back() + static_cast<std::int64_t>(bytes / leaf_.item_bytes));
}

}  // namespace stream_store::arrow
