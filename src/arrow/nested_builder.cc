#include "arrow/nested_builder.h"

#include <cstring>

#include "stream_store/error.h"

#include "arrow/bits.h"
#include "arrow/nested_copy.h"
#include "arrow/offsets.h"
#include "base/assert.h"
#include "base/str_cat.h"

namespace stream_store::arrow {

using internal::NestedColumn;
using internal::StrCat;

namespace {

using Form = NestedNodePlan::Form;

// The most bytes that the null elements of one row may take in Arrow. A block has a bit for a null
// list of a million items, so that a few bytes of a hostile file could ask for any amount.
constexpr std::uint64_t kMostPadding = std::uint64_t{1} << 30;

constexpr std::size_t kNone = ~std::size_t{0};

// Offsets of views are collected as wide ones, as MakeViews() needs them.
bool IsWide(const NestedNodePlan& node) { return node.offset_bits != 32; }

std::uint64_t OffsetBytes(const NestedNodePlan& node) { return IsWide(node) ? 8 : 4; }

bool HasOffsets(Form form) {
  return form == Form::kText || form == Form::kList || form == Form::kListView;
}

// Adds zeroed bits to a bitmap of `bits` bits.
std::uint8_t* AddBits(GrowingBuffer& bitmap, std::uint64_t bits, std::uint64_t count) {
  STREAM_STORE_ASSERT(bitmap.size() == BitmapBytes(bits));
  const std::size_t bytes = BitmapBytes(bits + count) - BitmapBytes(bits);
  std::memset(bitmap.Add(bytes), 0, bytes);
  return reinterpret_cast<std::uint8_t*>(bitmap.data());
}

}  // namespace

NestedBuilder::NestedBuilder(const LeafPlan& leaf, std::uint64_t offset_limit)
    : leaf_(leaf),
      plan_(*leaf.nested),
      offset_limit_(offset_limit),
      nodes_(plan_.nodes.size()),
      columns_(plan_.nodes.size()),
      bits_(plan_.nodes.size()) {}

void NestedBuilder::Begin(BatchMemory& memory, Row first_row) {
  memory_ = &memory;
  first_row_ = first_row;
  next_row_ = 0;
  bytes_ = 0;
  block_bytes_ = 0;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const NestedNodePlan& plan = plan_.nodes[i];
    Node& node = nodes_[i];
    node.length = 0;
    node.nulls = 0;
    node.offset = 0;
    node.has_validity = false;
    if (HasOffsets(plan.form)) {
      node.offsets.Begin(memory);
      std::memset(node.offsets.Add(OffsetBytes(plan)), 0, OffsetBytes(plan));
    }
    if (plan.form == Form::kText || plan.form == Form::kItems || plan.form == Form::kBools) {
      node.data.Begin(memory);
    }
  }
}

bool NestedBuilder::Write(std::uint64_t row, std::span<const Value> words) {
  row_ = row;
  if (row < next_row_) {
    ThrowCorrupt("expected one field-write but found another one");
  }
  const internal::BlockItems block = internal::ItemsOfBlock(leaf_.encoding, words);
  if (!block.valid) {
    ThrowCorrupt(StrCat("expected ", words.size(), " words to hold the cell but found one of ",
                        static_cast<std::uint64_t>(words[0]), " bytes"));
  }
  if (const char* problem =
          internal::FindNestedColumns(plan_.blocks, {block.items, block.count}, columns_)) {
    ThrowCorrupt(StrCat("expected a nested block but found that ", problem));
  }
  if (!OffsetsFit(block.count)) {
    return false;
  }
  block_bytes_ += block.count;
  memory_->ReachRow(row);
  SkipTo(row);
  AddElements(0, 1);
  next_row_ = row + 1;
  return true;
}

// Makes rows [next_row_, row) null.
void NestedBuilder::SkipTo(std::uint64_t row) {
  padding_left_ = (row - next_row_ + 1) * kMostPadding;
  AddAbsent(0, row - next_row_);
  next_row_ = row;
}

// A block of n bytes has less than 8n elements in each node, so most batches need no check of each
// node.
bool NestedBuilder::OffsetsFit(std::uint64_t block_bytes) const {
  if (block_bytes_ + block_bytes <= offset_limit_ / 8) {
    return true;
  }
  const std::size_t node = FirstTooLarge();
  if (node == kNone) {
    return true;
  }
  if (next_row_ > 0) {
    return false;
  }
  const bool is_text = plan_.nodes[node].form == Form::kText;
  const std::string place = plan_.PlaceOf(node);
  throw Error(ErrorCode::kInvalidArgument,
              StrCat("exporting to Arrow: field '", leaf_.name, "': row ",
                     first_row_ + static_cast<Row>(row_), " has ", OffsetsOf(node), " items",
                     place.empty() ? "" : " in '" + leaf_.name + place + "'",
                     ", more than 32-bit offsets can count; declare it as ",
                     is_text ? "large_string or large_binary" : "LargeList"));
}

// How far the offsets of a node rise by the current block.
std::uint64_t NestedBuilder::OffsetsOf(std::size_t node) const {
  return plan_.nodes[node].form == Form::kText ? columns_[node].data_bytes
                                               : columns_[node + 1].slots;
}

std::size_t NestedBuilder::FirstTooLarge() const {
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (plan_.nodes[i].has_narrow_offsets() && nodes_[i].offset + OffsetsOf(i) > offset_limit_) {
      return i;
    }
  }
  return kNone;
}

void NestedBuilder::ThrowCorrupt(const std::string& problem) const {
  throw Error(ErrorCode::kCorrupt, StrCat("exporting to Arrow: field '", leaf_.name, "': row ",
                                          first_row_ + static_cast<Row>(row_), ": ", problem));
}

void NestedBuilder::ThrowNull(std::size_t node) const {
  throw Error(ErrorCode::kInvalidArgument,
              StrCat("exporting to Arrow: field '", leaf_.name, "': row ",
                     first_row_ + static_cast<Row>(row_), ": expected a value at '", leaf_.name,
                     plan_.PlaceOf(node), "', whose type is not null, but found a null"));
}

// --- Adding elements. The next `count` elements of the current column of a node are added. ---

void NestedBuilder::AddElements(std::size_t i, std::uint64_t count) {
  if (columns_[i].validity != nullptr) {
    AddWithNulls(i, count);
  } else if (count > 0) {
    if (nodes_[i].has_validity) {
      AddValidity(i, true, count);
    }
    AddPresent(i, count);
  }
}

// Adds the runs of equal bits one by one, except for items, of which each costs less than a run.
void NestedBuilder::AddWithNulls(std::size_t i, std::uint64_t count) {
  if (!plan_.nodes[i].nullable) {
    ThrowNull(i);
  }
  const std::uint8_t* validity = columns_[i].validity;
  std::uint64_t at = bits_[i];
  if (plan_.nodes[i].form == Form::kItems && count > 0) {
    AddItemsWithNulls(i, at, count);
    at += count;
    count = 0;
  }
  for (const std::uint64_t end = at + count; at < end;) {
    const std::uint64_t run = EndOfRun(validity, at, end) - at;
    if (GetBit(validity, at)) {
      AddValidity(i, true, run);
      AddPresent(i, run);
    } else {
      AddAbsent(i, run);
    }
    at += run;
  }
  bits_[i] = at == columns_[i].slots ? 0 : at;  // 0 for the next block
}

// Adds the items whose bits are [begin, begin + count) of their column.
void NestedBuilder::AddItemsWithNulls(std::size_t i, std::uint64_t begin, std::uint64_t count) {
  const std::uint64_t item_bytes = plan_.nodes[i].size;
  Node& node = nodes_[i];
  NestedColumn& column = columns_[i];
  StartValidity(node);
  std::uint8_t* bits = AddBits(node.validity, node.length, count);
  const std::uint64_t nulls = count - CopyBits(column.validity, begin, count, bits, node.length);
  CheckPadding(i, nulls, item_bytes);
  std::byte* out = node.data.Add(count * item_bytes);
  column.data = SpreadItems(column.validity, begin, count, item_bytes, column.data, out);
  node.nulls += nulls;
  node.length += count;
  bytes_ += count * item_bytes;
}

void NestedBuilder::AddPresent(std::size_t i, std::uint64_t count) {
  const NestedNodePlan& plan = plan_.nodes[i];
  Node& node = nodes_[i];
  NestedColumn& column = columns_[i];
  switch (plan.form) {
    case Form::kNull:
      break;
    case Form::kBools:
      PackBools(reinterpret_cast<const std::uint8_t*>(column.data), count,
                AddBits(node.data, node.length, count), node.length);
      column.data += count;
      break;
    case Form::kItems: {
      const std::uint64_t bytes = count * plan.size;
      std::memcpy(node.data.Add(bytes), column.data, bytes);
      column.data += bytes;
      bytes_ += bytes;
      break;
    }
    case Form::kText: {
      const std::uint64_t bytes = AddOffsets(i, count);
      std::memcpy(node.data.Add(bytes), column.data, bytes);
      column.data += bytes;
      bytes_ += bytes;
      break;
    }
    case Form::kList:
    case Form::kListView:
      AddElements(i + 1, AddOffsets(i, count));
      break;
    case Form::kFixedList:
      AddElements(i + 1, count * plan.size);
      break;
    case Form::kStruct:
      for (std::size_t child = i + 1; child < plan.end; child = plan_.nodes[child].end) {
        AddElements(child, count);
      }
      break;
  }
  node.length += count;
}

// Adds elements that are null, or that belong to a null parent; the block has nothing of them. The
// root is null where a row lacks the field, whatever its type says: the caller decides about that.
void NestedBuilder::AddAbsent(std::size_t i, std::uint64_t count) {
  if (count == 0) {
    return;
  }
  const NestedNodePlan& plan = plan_.nodes[i];
  Node& node = nodes_[i];
  if (i == 0 || (plan.nullable && plan.form != Form::kNull)) {
    AddValidity(i, false, count);
  }
  switch (plan.form) {
    case Form::kNull:
      break;
    case Form::kBools:
      AddBits(node.data, node.length, count);
      break;
    case Form::kItems:
      CheckPadding(i, count, plan.size);
      std::memset(node.data.Add(count * plan.size), 0, count * plan.size);
      bytes_ += count * plan.size;
      break;
    case Form::kText:
    case Form::kList:
    case Form::kListView:
      FillOffsetsOf(IsWide(plan), node.offsets.Add(count * OffsetBytes(plan)), 0, count,
                    node.offset, 0);
      bytes_ += count * OffsetBytes(plan);
      break;
    case Form::kFixedList:
      CheckPadding(i, count, plan.size);
      AddAbsent(i + 1, count * plan.size);
      break;
    case Form::kStruct:
      for (std::size_t child = i + 1; child < plan.end; child = plan_.nodes[child].end) {
        AddAbsent(child, count);
      }
      break;
  }
  node.length += count;
}

// Counts at least a byte for each element, so that the product of nested sizes is bounded, too.
void NestedBuilder::CheckPadding(std::size_t i, std::uint64_t count, std::uint64_t bytes_each) {
  if (bytes_each > 0 && count > padding_left_ / bytes_each) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("exporting to Arrow: field '", leaf_.name, "': row ",
                       first_row_ + static_cast<Row>(row_), ": expected the nulls in '", leaf_.name,
                       plan_.PlaceOf(i), "' to take at most ", kMostPadding,
                       " bytes in Arrow, but they take more"));
  }
  padding_left_ -= count * bytes_each;
}

// The bitmap begins with the first null.
void NestedBuilder::StartValidity(Node& node) {
  if (!node.has_validity) {
    node.has_validity = true;
    node.validity.Begin(*memory_);
    SetBits(AddBits(node.validity, 0, node.length), 0, node.length);
  }
}

void NestedBuilder::AddValidity(std::size_t i, bool valid, std::uint64_t count) {
  Node& node = nodes_[i];
  if (!valid) {
    StartValidity(node);
  } else if (!node.has_validity) {
    return;
  }
  std::uint8_t* bits = AddBits(node.validity, node.length, count);
  if (valid) {
    SetBits(bits, node.length, count);
  } else {
    node.nulls += count;
  }
}

// Adds the offsets of present texts or lists and returns the sum of their lengths.
std::uint64_t NestedBuilder::AddOffsets(std::size_t i, std::uint64_t count) {
  const NestedNodePlan& plan = plan_.nodes[i];
  Node& node = nodes_[i];
  NestedColumn& column = columns_[i];
  std::byte* out = node.offsets.Add(count * OffsetBytes(plan));
  const std::uint64_t before = node.offset;
  node.offset =
      LengthsToOffsets(IsWide(plan), column.length_bytes, column.lengths, count, before, out);
  column.lengths += count * static_cast<std::uint64_t>(column.length_bytes);
  bytes_ += count * OffsetBytes(plan);
  return node.offset - before;
}

}  // namespace stream_store::arrow
