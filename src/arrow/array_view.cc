#include "arrow/array_view.h"

#include <algorithm>

#include "stream_store/error.h"

#include "arrow/loads.h"
#include "base/str_cat.h"

namespace stream_store::arrow {

using internal::StrCat;

namespace {

// Lengths and offsets beyond this are rejected, so that no sum or product of them overflows 63
// bits.
constexpr std::int64_t kMostElements = std::int64_t{1} << 48;

void CheckBuffers(const ArrowArray& array, std::int64_t expected, const std::string& name) {
  if (array.n_buffers != expected) {
    RefuseColumn(name, StrCat("expected ", expected, " buffers but found ", array.n_buffers));
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
    case Kind::kStruct:
      return 1;
    case Kind::kListView:
    case Kind::kString:
    case Kind::kBinary:
      return 3;
    default:
      return 2;
  }
}

}  // namespace

void RefuseColumn(const std::string& name, const std::string& problem) {
  throw Error(ErrorCode::kInvalidArgument,
              StrCat("importing from Arrow: column '", name, "': ", problem));
}

void CheckArray(const ArrowArray& array, const std::string& name) {
  if (array.length < 0 || array.length > kMostElements || array.offset < 0 ||
      array.offset > kMostElements) {
    RefuseColumn(
        name, StrCat("expected an array with a length and an offset from 0 to ", kMostElements,
                     " but found a length of ", array.length, " and an offset of ", array.offset));
  }
  if (array.null_count < -1 || array.null_count > array.length) {
    RefuseColumn(name, StrCat("expected a null count from -1 to the length, ", array.length,
                              ", but found ", array.null_count));
  }
  if (array.n_buffers < 0 || (array.n_buffers > 0 && array.buffers == nullptr)) {
    RefuseColumn(name, StrCat("expected ", array.n_buffers, " buffers but found a null pointer"));
  }
  if (array.n_children < 0 || (array.n_children > 0 && array.children == nullptr)) {
    RefuseColumn(name, StrCat("expected ", array.n_children, " children but found a null pointer"));
  }
}

Validity ValidityOf(const ArrowArray& array, std::uint64_t shift, const std::string& name) {
  if (array.n_buffers == 0 || array.null_count == 0) {
    return {};
  }
  const auto* bits = static_cast<const std::uint8_t*>(array.buffers[0]);
  if (bits == nullptr && array.null_count > 0) {
    RefuseColumn(name, StrCat("a null count of ", array.null_count, " without a bitmap"));
  }
  return {bits, shift};
}

const ArrowArray& ChildOf(const ArrowArray& array, std::int64_t i, const std::string& name) {
  if (i >= array.n_children || array.children[i] == nullptr) {
    RefuseColumn(name,
                 StrCat("expected the child ", i, " that the schema declares but found none"));
  }
  CheckArray(*array.children[i], name);
  return *array.children[i];
}

void CheckLength(const ArrowArray& array, std::uint64_t elements, const std::string& name) {
  if (static_cast<std::uint64_t>(array.length) < elements) {
    RefuseColumn(name, StrCat("expected an array of at least ", elements, " elements but found ",
                              array.length));
  }
}

ArrayView ViewArray(const ArrowArray& array, const Type& type, std::uint64_t shift,
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
      RefuseColumn(name, StrCat("expected at least 3 buffers but found ", array.n_buffers));
    }
    // validity, views, any number of text buffers, and the sizes of the text buffers
    view.texts = array.buffers + 2;
    view.text_count = static_cast<std::uint64_t>(array.n_buffers - 3);
    view.text_sizes = Buffer(array, array.n_buffers - 1);
  } else {
    CheckBuffers(array, BuffersOf(type.kind), name);
  }
  view.validity = ValidityOf(array, shift, name);
  if (type.kind != Kind::kFixedList && type.kind != Kind::kStruct) {
    view.first = Buffer(array, 1);
    if (view.first == nullptr && elements > 0) {
      RefuseColumn(name, StrCat("a missing buffer in an array of ", elements, " elements"));
    }
  }
  if (!is_view && array.n_buffers == 3) {
    view.second = Buffer(array, 2);
    if (type.kind == Kind::kListView && view.second == nullptr && elements > 0) {
      RefuseColumn(name, StrCat("a missing buffer in an array of ", elements, " elements"));
    }
  }
  if (is_view && view.text_count > 0 && view.text_sizes == nullptr) {
    RefuseColumn(name, "views without the sizes of their buffers");
  }
  return view;
}

void CheckFixedLists(const Type& list, std::uint64_t shift, std::uint64_t elements,
                     std::uint64_t items, const std::string& name) {
  const std::uint64_t most =
      list.size == 0 ? ~std::uint64_t{0} : items / static_cast<std::uint64_t>(list.size);
  if (shift + elements > most) {
    RefuseColumn(name, "fixed-size lists reach past the end of their items");
  }
}

bool IsPresentIn(const StructView& structs, std::uint64_t row) {
  return std::ranges::all_of(structs.validities,
                             [row](const Validity& validity) { return IsSet(validity, row); });
}

const ArrowArray& Descend(const ArrowArray& batch, std::span<const std::int64_t> path,
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
    const ArrowArray& child = ChildOf(*array, i, name);
    CheckLength(child, shift + rows, name);
    shift += static_cast<std::uint64_t>(child.offset);
    array = &child;
  }
  return *array;
}

}  // namespace stream_store::arrow
