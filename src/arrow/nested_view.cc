#include "arrow/nested_view.h"

#include "arrow/loads.h"
#include "base/str_cat.h"

namespace stream_store::arrow {

using internal::StrCat;

namespace {

std::int64_t EndOfRun(const ArrayView& ends, std::uint64_t run) noexcept {
  return LoadInteger(
      ends.type, ends.first + (ends.shift + run) * static_cast<std::uint64_t>(ends.type.bits) / 8);
}

// Run ends are checked once, because a search among them relies on their order.
void CheckEnds(const ArrayView& ends, std::uint64_t last, const std::string& name) {
  std::int64_t before = 0;
  for (std::uint64_t run = 0; run < ends.length; ++run) {
    const std::int64_t end = EndOfRun(ends, run);
    if (end <= before) {
      RefuseColumn(name, StrCat("expected run ends that rise but found ", end, " after ", before));
    }
    before = end;
  }
  if (static_cast<std::uint64_t>(before) < last) {
    RefuseColumn(name, StrCat("expected runs of at least ", last, " elements but found ", before));
  }
}

// Goes from a run-end encoded array to its values.
LayerView ViewRuns(const ArrowArray& array, const Type& index, std::uint64_t shift,
                   std::uint64_t elements, const std::string& name) {
  LayerView layer;
  layer.is_runs = true;
  layer.shift = shift;
  const ArrowArray& ends = ChildOf(array, 0, name);
  const ArrowArray& values = ChildOf(array, 1, name);
  layer.index = ViewArray(ends, index, static_cast<std::uint64_t>(ends.offset),
                          static_cast<std::uint64_t>(ends.length), name);
  layer.values = static_cast<std::uint64_t>(values.length);
  if (layer.values < layer.index.length) {
    RefuseColumn(name, StrCat("expected a value for each of ", layer.index.length,
                              " runs but found ", layer.values));
  }
  CheckEnds(layer.index, elements == 0 ? 0 : shift + elements, name);
  return layer;
}

LayerView ViewDictionary(const ArrowArray& array, const Type& index, std::uint64_t shift,
                         std::uint64_t elements, const std::string& name) {
  LayerView layer;
  layer.index = ViewArray(array, index, shift, elements, name);
  if (array.dictionary == nullptr) {
    RefuseColumn(name, "expected a dictionary but found none");
  }
  CheckArray(*array.dictionary, name);
  layer.values = static_cast<std::uint64_t>(array.dictionary->length);
  return layer;
}

void ViewChildren(const ArrowArray& array, NestedView& view, const std::string& name) {
  const NestedSource& source = *view.source;
  const ArrayView& own = view.array;
  for (const NestedSource& child_source : source.children) {
    const ArrowArray& child = ChildOf(array, child_source.column, name);
    const auto offset = static_cast<std::uint64_t>(child.offset);
    if (source.kind == NestedType::Kind::kStruct) {
      CheckLength(child, own.shift + own.length, name);
      view.children.push_back(
          ViewNested(child, child_source, offset + own.shift, own.length, name));
      continue;
    }
    const auto items = static_cast<std::uint64_t>(child.length);
    if (own.type.kind == Kind::kFixedList) {
      CheckFixedLists(own.type, own.shift, own.length, items, name);
    }
    view.items = items;
    view.children.push_back(ViewNested(child, child_source, offset, items, name));
  }
}

}  // namespace

NestedView ViewNested(const ArrowArray& array, const NestedSource& source, std::uint64_t shift,
                      std::uint64_t elements, const std::string& name) {
  NestedView view;
  view.source = &source;
  const ArrowArray* at = &array;
  for (const NestedLayer& layer : source.layers) {
    view.layers.push_back(layer.is_runs ? ViewRuns(*at, layer.index, shift, elements, name)
                                        : ViewDictionary(*at, layer.index, shift, elements, name));
    at = layer.is_runs ? at->children[1] : at->dictionary;
    shift = static_cast<std::uint64_t>(at->offset);
    elements = static_cast<std::uint64_t>(at->length);
  }
  view.array = ViewArray(*at, source.type, shift, elements, name);
  if (!source.only_nulls) {
    ViewChildren(*at, view, name);
  }
  return view;
}

// A dictionary is asked for one index; the run of an element is found by a binary search.
std::optional<std::uint64_t> FollowLayer(const LayerView& layer, std::uint64_t at,
                                         bool& bad) noexcept {
  const ArrayView& index = layer.index;
  if (!layer.is_runs) {
    if (!IsSet(index.validity, at)) {
      return std::nullopt;
    }
    const std::uint64_t bytes = static_cast<std::uint64_t>(index.type.bits) / 8;
    const std::int64_t found = LoadInteger(index.type, index.first + (index.shift + at) * bytes);
    bad = found < 0 || static_cast<std::uint64_t>(found) >= layer.values;
    return static_cast<std::uint64_t>(found);
  }
  const auto wanted = static_cast<std::int64_t>(layer.shift + at);
  std::uint64_t low = 0;
  std::uint64_t high = index.length;
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    if (EndOfRun(index, middle) <= wanted) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  bad = low >= layer.values;
  return low;
}

}  // namespace stream_store::arrow
