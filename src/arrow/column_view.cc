#include "arrow/column_view.h"

#include <cstring>

#include "stream_store/error.h"

namespace stream_store::arrow {
namespace {

constexpr std::int64_t kMostElements = std::int64_t{1} << 48;  // keeps every product below 2^63

[[noreturn]] void Refuse(const std::string& name, const std::string& what) {
  throw Error(ErrorCode::kInvalidArgument, "importing from Arrow: column '" + name + "': " + what);
}

std::string Expected(const char* what, std::uint64_t expected, std::int64_t found) {
  return std::string("expected ") + what + " of " + std::to_string(expected) + " but found " +
         std::to_string(found);
}

// What every array must be, whatever its type.
void CheckArray(const ArrowArray& array, const std::string& name) {
  if (array.length < 0 || array.length > kMostElements || array.offset < 0 ||
      array.offset > kMostElements) {
    Refuse(name, "an array with a length of " + std::to_string(array.length) +
                     " and an offset of " + std::to_string(array.offset));
  }
  if (array.null_count < -1 || array.null_count > array.length) {
    Refuse(name, "an array of " + std::to_string(array.length) + " with a null count of " +
                     std::to_string(array.null_count));
  }
  if (array.n_buffers < 0 || (array.n_buffers > 0 && array.buffers == nullptr)) {
    Refuse(name, "an array without its " + std::to_string(array.n_buffers) + " buffers");
  }
  if (array.n_children < 0 || (array.n_children > 0 && array.children == nullptr)) {
    Refuse(name, "an array without its " + std::to_string(array.n_children) + " children");
  }
}

void CheckBuffers(const ArrowArray& array, std::int64_t expected, const std::string& name) {
  if (array.n_buffers != expected) {
    Refuse(name,
           Expected("a number of buffers", static_cast<std::uint64_t>(expected), array.n_buffers));
  }
}

Validity ValidityOf(const ArrowArray& array, std::uint64_t shift, const std::string& name) {
  if (array.n_buffers == 0 || array.null_count == 0) {
    return {};
  }
  const auto* bits = static_cast<const std::uint8_t*>(array.buffers[0]);
  if (bits == nullptr && array.null_count > 0) {
    Refuse(name, "a null count of " + std::to_string(array.null_count) + " without a bitmap");
  }
  return {bits, shift};
}

const ArrowArray& Child(const ArrowArray& array, std::int64_t i, const std::string& name) {
  if (i >= array.n_children || array.children[i] == nullptr) {
    Refuse(name, "an array without the child that its schema has");
  }
  CheckArray(*array.children[i], name);
  return *array.children[i];
}

void CheckReach(const ArrowArray& array, std::uint64_t elements, const std::string& name) {
  if (static_cast<std::uint64_t>(array.length) < elements) {
    Refuse(name, "expected an array of " + std::to_string(elements) + " or more but found one of " +
                     std::to_string(array.length));
  }
}

const std::byte* Buffer(const ArrowArray& array, std::int64_t i) {
  return static_cast<const std::byte*>(array.buffers[i]);
}

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

// `elements` of it are wanted, from `shift` on.
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
      Refuse(name, Expected("at least a number of buffers", 3, array.n_buffers));
    }
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
      Refuse(name, "a missing buffer in an array of " + std::to_string(elements));
    }
  }
  if (!is_view && array.n_buffers == 3) {
    view.second = Buffer(array, 2);
    if (type.kind == Kind::kListView && view.second == nullptr && elements > 0) {
      Refuse(name, "a missing buffer in an array of " + std::to_string(elements));
    }
  }
  if (is_view && view.text_count > 0 && view.text_sizes == nullptr) {
    Refuse(name, "views without the sizes of their buffers");
  }
  return view;
}

// Lists and items, of which the outermost array has `elements` from `shift` on.
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

ColumnView::Plain PlainOf(const ColumnView& view) {
  const bool nulls = !view.around.validities.empty() || view.item.validity.bits != nullptr ||
                     view.top().validity.bits != nullptr;
  const Kind item = view.item.type.kind;
  if (nulls || item == Kind::kNull) {
    return ColumnView::Plain::kNot;
  }
  if (view.lists.empty() && !view.item.type.is_bytes()) {
    return ColumnView::Plain::kScalars;
  }
  const bool text = view.lists.empty() && view.item.type.bits != 0;
  const bool lists = view.lists.size() == 1 && view.lists[0].type.kind == Kind::kList &&
                     item != Kind::kBool && !view.item.type.is_bytes();
  return text || lists ? ColumnView::Plain::kRagged : ColumnView::Plain::kNot;
}

}  // namespace

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
    CheckReach(child, shift + rows, name);
    shift += static_cast<std::uint64_t>(child.offset);
    array = &child;
  }
  return *array;
}

ColumnView ViewColumn(const ArrowArray& batch, const ImportLeaf& leaf) {
  ColumnView view;
  std::uint64_t shift = 0;
  const ArrowArray& array = Descend(batch, leaf.path, leaf.name, view.around, shift);
  const auto rows = static_cast<std::uint64_t>(batch.length);
  if (leaf.is_dictionary) {
    view.index = View(array, leaf.index, shift, rows, leaf.name);
    if (array.dictionary == nullptr) {
      Refuse(leaf.name, "an array without its dictionary");
    }
    CheckArray(*array.dictionary, leaf.name);
    ViewLevels(*array.dictionary, leaf, static_cast<std::uint64_t>(array.dictionary->offset),
               static_cast<std::uint64_t>(array.dictionary->length), view);
  } else {
    ViewLevels(array, leaf, shift, rows, view);
  }
  view.plain = leaf.is_dictionary ? ColumnView::Plain::kNot : PlainOf(view);
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
                "importing from Arrow: a batch of " + std::to_string(batch.n_children) +
                    " columns; its schema has " + std::to_string(columns));
  }
}

}  // namespace stream_store::arrow
