#include "arrow/column_view.h"

#include "stream_store/error.h"

#include "base/str_cat.h"

namespace stream_store::arrow {

using internal::StrCat;

namespace {

// Lengths and offsets beyond this are rejected, so that no sum or product of them overflows 63
// bits.
constexpr std::int64_t kMostElements = std::int64_t{1} << 48;

[[noreturn]] void Refuse(const std::string& name, const std::string& problem) {
  throw Error(ErrorCode::kInvalidArgument,
              StrCat("importing from Arrow: column '", name, "': ", problem));
}

// The checks that do not depend on the type of the array.
void CheckArray(const ArrowArray& array, const std::string& name) {
  if (array.length < 0 || array.length > kMostElements || array.offset < 0 ||
      array.offset > kMostElements) {
    Refuse(name,
           StrCat("expected an array with a length and an offset from 0 to ", kMostElements,
                  " but found a length of ", array.length, " and an offset of ", array.offset));
  }
  if (array.null_count < -1 || array.null_count > array.length) {
    Refuse(name, StrCat("expected a null count from -1 to the length, ", array.length,
                        ", but found ", array.null_count));
  }
  if (array.n_buffers < 0 || (array.n_buffers > 0 && array.buffers == nullptr)) {
    Refuse(name, StrCat("expected ", array.n_buffers, " buffers but found a null pointer"));
  }
  if (array.n_children < 0 || (array.n_children > 0 && array.children == nullptr)) {
    Refuse(name, StrCat("expected ", array.n_children, " children but found a null pointer"));
  }
}

void CheckBuffers(const ArrowArray& array, std::int64_t expected, const std::string& name) {
  if (array.n_buffers != expected) {
    Refuse(name, StrCat("expected ", expected, " buffers but found ", array.n_buffers));
  }
}

// A null count of 0 makes the bitmap irrelevant, so it is not read.
Validity ValidityOf(const ArrowArray& array, std::uint64_t shift, const std::string& name) {
  if (array.n_buffers == 0 || array.null_count == 0) {
    return {};
  }
  const auto* bits = static_cast<const std::uint8_t*>(array.buffers[0]);
  if (bits == nullptr && array.null_count > 0) {
    Refuse(name, StrCat("a null count of ", array.null_count, " without a bitmap"));
  }
  return {bits, shift};
}

const ArrowArray& Child(const ArrowArray& array, std::int64_t i, const std::string& name) {
  if (i >= array.n_children || array.children[i] == nullptr) {
    Refuse(name, StrCat("expected the child ", i, " that the schema declares but found none"));
  }
  CheckArray(*array.children[i], name);
  return *array.children[i];
}

void CheckLength(const ArrowArray& array, std::uint64_t elements, const std::string& name) {
  if (static_cast<std::uint64_t>(array.length) < elements) {
    Refuse(name, StrCat("expected an array of at least ", elements, " elements but found ",
                        array.length));
  }
}

const std::byte* Buffer(const ArrowArray& array, std::int64_t i) {
  return static_cast<const std::byte*>(array.buffers[i]);
}

// The number of buffers of an array, including the validity. String and binary views, of which the
// number varies, are not asked for here.
std::int64_t BuffersOf(Kind kind) {
  switch (kind) {
    case Kind::kFixedList:
      return 1;
    case Kind::kListView:
    case Kind::kString:
    case Kind::kBinary:
      return 3;
    default:
      return 2;
  }
}

// Makes the view of `elements` elements of an array, from index `shift` of its buffers on.
ArrayView View(const ArrowArray& array, const Type& type, std::uint64_t shift,
               std::uint64_t elements, const std::string& name) {
  ArrayView view;
  view.type = type;
  view.shift = shift;
  view.length = elements;
  if (type.kind == Kind::kNull) {
    return view;
  }
  const bool is_view = type.is_bytes() && type.bits == 0;
  if (is_view) {
    if (array.n_buffers < 3) {
      Refuse(name, StrCat("expected at least 3 buffers but found ", array.n_buffers));
    }
    // validity, views, any number of text buffers, and the sizes of the text buffers
    view.texts = array.buffers + 2;
    view.text_count = static_cast<std::uint64_t>(array.n_buffers - 3);
    view.text_sizes = Buffer(array, array.n_buffers - 1);
  } else {
    CheckBuffers(array, BuffersOf(type.kind), name);
  }
  view.validity = ValidityOf(array, shift, name);
  if (type.kind != Kind::kFixedList) {
    view.first = Buffer(array, 1);
    if (view.first == nullptr && elements > 0) {
      Refuse(name, StrCat("a missing buffer in an array of ", elements, " elements"));
    }
  }
  if (!is_view && array.n_buffers == 3) {
    view.second = Buffer(array, 2);
    if (type.kind == Kind::kListView && view.second == nullptr && elements > 0) {
      Refuse(name, StrCat("a missing buffer in an array of ", elements, " elements"));
    }
  }
  if (is_view && view.text_count > 0 && view.text_sizes == nullptr) {
    Refuse(name, "views without the sizes of their buffers");
  }
  return view;
}

// Makes the views of the list levels and of the items of a column: of `elements` elements of the
// outermost array, from `shift` on, and of all elements of the arrays inside it, because only the
// offsets say which of them are used.
void ViewLevels(const ArrowArray& top, const ImportLeaf& leaf, std::uint64_t shift,
                std::uint64_t elements, ColumnView& view) {
  const ArrowArray* array = &top;
  for (const Type& list : leaf.lists) {
    view.lists.push_back(View(*array, list, shift, elements, leaf.name));
    const ArrowArray& child = Child(*array, 0, leaf.name);
    elements = static_cast<std::uint64_t>(child.length);
    if (list.kind == Kind::kFixedList) {
      const std::uint64_t most =
          list.size == 0 ? ~std::uint64_t{0} : elements / static_cast<std::uint64_t>(list.size);
      if (shift + view.lists.back().length > most) {
        Refuse(leaf.name, "fixed-size lists reach past the end of their items");
      }
    }
    shift = static_cast<std::uint64_t>(child.offset);
    array = &child;
  }
  view.item = View(*array, leaf.item, shift, elements, leaf.name);
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

// Finds the array at `path` inside a batch. Collects the validities of the structs on the way in
// `around`, and in `shift` the number to add to a row to find it in the array: slicing a struct
// sets only its own offset, so the offsets of all structs on the way add up.
const ArrowArray& Descend(const ArrowArray& batch, const std::vector<std::int64_t>& path,
                          const std::string& name, StructView& around, std::uint64_t& shift) {
  const auto rows = static_cast<std::uint64_t>(batch.length);
  around.rows = rows;
  const ArrowArray* array = &batch;
  shift = static_cast<std::uint64_t>(batch.offset);
  for (const std::int64_t i : path) {
    const Validity validity = ValidityOf(*array, shift, name);
    if (validity.bits != nullptr) {
      around.validities.push_back(validity);
    }
    const ArrowArray& child = Child(*array, i, name);
    CheckLength(child, shift + rows, name);
    shift += static_cast<std::uint64_t>(child.offset);
    array = &child;
  }
  return *array;
}

}  // namespace

// The indices of a dictionary column follow the rows of the batch; the values of the dictionary are
// an array of their own.
ColumnView ViewColumn(const ArrowArray& batch, const ImportLeaf& leaf) {
  ColumnView view;
  std::uint64_t shift = 0;
  const ArrowArray& array = Descend(batch, leaf.path, leaf.name, view.around, shift);
  const auto rows = static_cast<std::uint64_t>(batch.length);
  if (leaf.is_dictionary) {
    view.index = View(array, leaf.index, shift, rows, leaf.name);
    if (array.dictionary == nullptr) {
      Refuse(leaf.name, "expected a dictionary but found none");
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

StructView ViewStruct(const ArrowArray& batch, const ImportMarker& marker) {
  StructView view;
  std::uint64_t shift = 0;
  const ArrowArray& array = Descend(batch, marker.path, "struct", view, shift);
  const Validity validity = ValidityOf(array, shift, "struct");
  if (validity.bits != nullptr) {
    view.validities.push_back(validity);
  }
  return view;
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
