#include "arrow/column_view.h"

#include "stream_store/error.h"

#include "arrow/loads.h"
#include "base/str_cat.h"

namespace stream_store::arrow {

using internal::StrCat;

namespace {

// Makes the views of the list levels and of the items of a column: of `elements` elements of the
// outermost array, from `shift` on, and of all elements of the arrays inside it, because only the
// offsets say which of them are used.
void ViewLevels(const ArrowArray& top, const ImportLeaf& leaf, std::uint64_t shift,
                std::uint64_t elements, ColumnView& view) {
  const ArrowArray* array = &top;
  for (const Type& list : leaf.lists) {
    view.lists.push_back(ViewArray(*array, list, shift, elements, leaf.name));
    const ArrowArray& child = ChildOf(*array, 0, leaf.name);
    const std::uint64_t lists = elements;
    elements = static_cast<std::uint64_t>(child.length);
    if (list.kind == Kind::kFixedList) {
      CheckFixedLists(list, shift, lists, elements, leaf.name);
    }
    shift = static_cast<std::uint64_t>(child.offset);
    array = &child;
  }
  view.item = ViewArray(*array, leaf.item, shift, elements, leaf.name);
}

// Gathering rows is memory-bound, so most columns gain much from a loop without branches. The loop
// is therefore chosen once for each column, instead of a test for each row.
ColumnView::FastGather FastGatherOf(const ColumnView& view) {
  const bool nulls = !view.around.validities.empty() || view.item.validity.bits != nullptr ||
                     view.top().validity.bits != nullptr;
  const Kind item = view.item.type.kind;
  if (nulls || item == Kind::kNull) {
    return ColumnView::FastGather::kNone;
  }
  if (view.lists.empty() && !view.item.type.is_bytes()) {
    return ColumnView::FastGather::kScalars;
  }
  const bool text = view.lists.empty() && view.item.type.bits != 0;
  const bool lists = view.lists.size() == 1 && view.lists[0].type.kind == Kind::kList &&
                     item != Kind::kBool && !view.item.type.is_bytes();
  return text || lists ? ColumnView::FastGather::kRagged : ColumnView::FastGather::kNone;
}

}  // namespace

// The indices of a dictionary column follow the rows of the batch; the values of the dictionary are
// an array of their own.
ColumnView ViewColumn(const ArrowArray& batch, const ImportLeaf& leaf) {
  ColumnView view;
  std::uint64_t shift = 0;
  const ArrowArray& array =
      Descend(batch, std::span(leaf.path).first(leaf.path.size() - leaf.outer_structs), leaf.name,
              view.around, shift);
  const auto rows = static_cast<std::uint64_t>(batch.length);
  if (leaf.nested) {
    view.nested = ViewNested(array, *leaf.nested, shift, rows, leaf.name);
    view.fast_gather = ColumnView::FastGather::kNone;
    return view;
  }
  if (leaf.is_dictionary) {
    view.index = ViewArray(array, leaf.index, shift, rows, leaf.name);
    if (array.dictionary == nullptr) {
      RefuseColumn(leaf.name, "expected a dictionary but found none");
    }
    CheckArray(*array.dictionary, leaf.name);
    ViewLevels(*array.dictionary, leaf, static_cast<std::uint64_t>(array.dictionary->offset),
               static_cast<std::uint64_t>(array.dictionary->length), view);
  } else {
    ViewLevels(array, leaf, shift, rows, view);
  }
  view.fast_gather = leaf.is_dictionary ? ColumnView::FastGather::kNone : FastGatherOf(view);
  return view;
}

MarkerView ViewMarker(const ArrowArray& batch, const ImportMarker& marker) {
  MarkerView view;
  std::uint64_t shift = 0;
  const std::size_t arrays = marker.path.size() - marker.outer_structs;
  const ArrowArray& array =
      Descend(batch, std::span(marker.path).first(arrays), "struct", view.around, shift);
  if (marker.nested) {
    view.nested = ViewNested(array, *marker.nested, shift, static_cast<std::uint64_t>(batch.length),
                             "struct");
    return view;
  }
  const Validity validity = ValidityOf(array, shift, "struct");
  if (validity.bits != nullptr) {
    view.around.validities.push_back(validity);
  }
  return view;
}

void CheckNotNull(const ArrowArray& batch, const ImportNotNull& column, std::uint64_t first) {
  StructView around;
  std::uint64_t shift = 0;
  const ArrowArray& array = Descend(batch, column.path, column.name, around, shift);
  const Validity validity = ValidityOf(array, shift, column.name);
  const auto rows = static_cast<std::uint64_t>(batch.length);
  if (validity.bits == nullptr || AllSet(validity, 0, rows)) {
    return;
  }
  for (std::uint64_t row = 0; row < rows; ++row) {
    if (!IsSet(validity, row) && IsPresentIn(around, row)) {
      throw Error(ErrorCode::kInvalidArgument,
                  StrCat("importing from Arrow: column '", column.name, "', row ", first + row,
                         ": expected a value, because the column is declared not null, but found "
                         "a null"));
    }
  }
}

void CheckBatch(const ArrowArray& batch, std::int64_t columns) {
  if (batch.release == nullptr) {
    throw Error(ErrorCode::kInvalidArgument,
                "importing from Arrow: a batch that was released already");
  }
  CheckArray(batch, "batch");
  if (batch.n_children != columns) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("importing from Arrow: expected a batch of ", columns,
                       " columns, as its schema declares, but found ", batch.n_children));
  }
}

}  // namespace stream_store::arrow
