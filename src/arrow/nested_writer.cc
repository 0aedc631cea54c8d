// Walks the nodes of a column in preorder and writes each node of a cell: the header, the bitmap,
// the lengths, the data. Reading lengths and texts is in nested_lengths.cc.

#include "arrow/nested_writer.h"

#include <algorithm>
#include <cstring>

#include "arrow/bits.h"
#include "arrow/loads.h"
#include "base/str_cat.h"
#include "format/nested_block.h"

namespace stream_store::arrow {

using internal::kNestedHasNulls;
using internal::StrCat;

namespace {

[[noreturn]] void RefuseSlot(std::uint64_t slot, const std::string& problem) {
  throw CellError(slot, problem);
}

}  // namespace

NestedWriter::NestedWriter() : frames_(kMaxNestedDepth) {}

void NestedWriter::RefuseSize() { RefuseSlot(0, "a cell of more than 2 GiB"); }

bool NestedWriter::Write(const NestedView& root, std::uint64_t element, CellBuffer& out) {
  if (!Follow(root, 0, element)) {
    return false;
  }
  out_ = &out;
  begin_ = out.size();
  const std::size_t header = begin_;
  ExtendZeros(1);
  const Range one{element, element + 1};
  WritePresent(root, {{&one, 1}, 1}, header, 0);
  return true;
}

// Replaces an element by the one that it refers to through the layers of a column. Returns false
// if it is null. `slot` is for messages.
bool NestedWriter::Follow(const NestedView& view, std::uint64_t slot, std::uint64_t& element) {
  for (const LayerView& layer : view.layers) {
    bool bad = false;
    const auto found = FollowLayer(layer, element, bad);
    if (!found) {
      return false;
    }
    if (bad) {
      RefuseSlot(slot, StrCat("index ", static_cast<std::int64_t>(*found), " is outside [0, ",
                              layer.values, ") of the dictionary"));
    }
    element = *found;
  }
  return !view.source->only_nulls && IsSet(view.array.validity, element);
}

bool NestedWriter::IsPresent(const NestedView& view, std::uint64_t element) {
  return Follow(view, 0, element) &&
         (view.children.empty() || IsPresent(view.children.front(), element));
}

// Writes one node for `slots`. A node without slots has nothing but the headers of its subtree, all
// of which are zero.
void NestedWriter::WriteNode(const NestedView& view, Elements slots, std::size_t depth) {
  if (slots.count == 0) {
    ExtendZeros(view.source->nodes);
    return;
  }
  const std::size_t header = out_->size();
  ExtendZeros(1);
  WritePresent(view, FindPresent(view, slots, header, frames_[depth]), header, depth);
}

// Most columns have no nulls in most cells, and then the slots are the present elements.
NestedWriter::Elements NestedWriter::FindPresent(const NestedView& view, Elements slots,
                                                 std::size_t header, Frame& frame) {
  if (view.source->is_null) {
    return slots;  // values of this type have no nulls in a cell: each is one zero byte
  }
  const Validity& validity = view.array.validity;
  if (view.layers.empty() && !view.source->only_nulls) {
    const bool all =
        validity.bits == nullptr || std::ranges::all_of(slots.ranges, [&](const Range& range) {
          return AllSet(validity, range.begin, range.end);
        });
    if (all) {
      return slots;
    }
  }
  return Filter(view, slots, header, frame);
}

// Writes the bitmap, and follows the layers. A cell without nulls has no bitmap, so it is removed
// if it turns out that there are none.
NestedWriter::Elements NestedWriter::Filter(const NestedView& view, Elements slots,
                                            std::size_t header, Frame& frame) {
  const std::size_t bitmap = out_->size();
  ExtendZeros(BitmapBytes(slots.count));
  auto* bits = reinterpret_cast<std::uint8_t*>(out_->at(bitmap));
  frame.present.clear();
  std::uint64_t slot = 0;
  std::uint64_t count = 0;
  for (const Range& range : slots.ranges) {
    for (std::uint64_t i = range.begin; i < range.end; ++i, ++slot) {
      std::uint64_t element = i;
      if (!Follow(view, slot, element)) {
        if (!view.source->nullable) {
          throw CellError(slot, "a null, but the field is not nullable", /*null=*/true);
        }
        continue;
      }
      SetBit(bits, slot);
      ++count;
      if (!frame.present.empty() && frame.present.back().end == element) {
        ++frame.present.back().end;
      } else {
        frame.present.push_back({element, element + 1});
      }
    }
  }
  if (count == slots.count) {
    out_->Truncate(bitmap);
  } else {
    *out_->at(header) |= std::byte{kNestedHasNulls};
  }
  return {frame.present, count};
}

void NestedWriter::WritePresent(const NestedView& view, Elements present, std::size_t header,
                                std::size_t depth) {
  if (present.count == 0) {
    ExtendZeros(view.source->nodes - 1);
    return;
  }
  switch (view.source->kind) {
    case NestedType::Kind::kItem:
      WriteItems(view, present, header);
      break;
    case NestedType::Kind::kBytes:
      WriteTexts(view, present, header, frames_[depth]);
      break;
    case NestedType::Kind::kList:
    case NestedType::Kind::kFixedList:
      WriteLists(view, present, header, depth);
      break;
    case NestedType::Kind::kStruct:
      WriteStruct(view, present, header, depth);
      break;
  }
}

void NestedWriter::WriteItems(const NestedView& view, Elements present, std::size_t header) {
  const NestedSource& source = *view.source;
  std::byte* out = Extend(present.count * source.item_bytes);
  if (source.is_null) {
    std::memset(out, 0, present.count * source.item_bytes);
    return;
  }
  std::uint64_t done = 0;
  for (const Range& range : present.ranges) {
    const std::uint64_t count = range.end - range.begin;
    const std::uint64_t bad = source.items.convert(source.items, view.array, range.begin, count,
                                                   out + done * source.item_bytes);
    if (bad != kAllConverted) {
      Refuse(done + bad, header, ConversionText(source.items, view.array, range.begin + bad));
    }
    done += count;
  }
}

// A struct without children has one zero byte for each element instead.
void NestedWriter::WriteStruct(const NestedView& view, Elements present, std::size_t header,
                               std::size_t depth) {
  if (view.children.empty()) {
    ExtendZeros(present.count);
  }
  for (const NestedView& child : view.children) {
    try {
      WriteNode(child, present, depth + 1);
    } catch (CellError& error) {
      error.slot = SlotOf(error.slot, header);
      const std::string& name = child.source->name;
      error.place = StrCat(name.empty() ? "" : ".", name, error.place);
      throw;
    }
  }
}

void NestedWriter::WriteLists(const NestedView& view, Elements present, std::size_t header,
                              std::size_t depth) {
  const NestedSource& source = *view.source;
  Frame& frame = frames_[depth];
  const NestedView& child = view.children.front();
  ReadLengths(view.array, present, view.items, header, frame);
  if (source.kind == NestedType::Kind::kList) {
    WriteLengths(present.count, header);
  } else {
    CheckListLengths(source.list_items, present.count, header);
    ExtendZeros(source.list_items == 0 ? present.count : 0);
  }
  const std::size_t lengths = out_->size();
  const std::uint64_t items = total_;
  const auto width = static_cast<unsigned>(*out_->at(header)) >> internal::kNestedLengthShift;
  try {
    WriteNode(child, {frame.inner, total_}, depth + 1);
  } catch (CellError& error) {
    if (items == 0) {
      throw;
    }
    std::uint64_t list = 0;
    if (source.kind == NestedType::Kind::kFixedList) {
      list = error.slot / source.list_items;
      error.slot %= source.list_items;
    } else {
      const std::byte* at = out_->at(lengths - (present.count << width));
      for (std::uint64_t length = 0;; ++list, error.slot -= length) {
        length = 0;
        std::memcpy(&length, at + (list << width), std::size_t{1} << width);
        if (error.slot < length) {
          break;
        }
      }
    }
    error.place = StrCat("[", error.slot, "]", error.place);
    error.slot = SlotOf(list, header);
    throw;
  }
}

void NestedWriter::Refuse(std::uint64_t present, std::size_t header,
                          const std::string& problem) const {
  RefuseSlot(SlotOf(present, header), problem);
}

// The slot of a present element, by the bitmap that was written after the header.
std::uint64_t NestedWriter::SlotOf(std::uint64_t present, std::size_t header) const {
  if ((*out_->at(header) & std::byte{kNestedHasNulls}) == std::byte{0}) {
    return present;
  }
  const auto* bits = reinterpret_cast<const std::uint8_t*>(out_->at(header + 1));
  std::uint64_t slot = 0;
  for (std::uint64_t left = present + 1;; ++slot) {
    left -= GetBit(bits, slot) ? 1U : 0U;
    if (left == 0) {
      return slot;
    }
  }
}

}  // namespace stream_store::arrow
