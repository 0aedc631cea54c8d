#include "arrow/nested_builder.h"

#include <cstring>

#include "stream_store/error.h"

#include "arrow/bits.h"
#include "arrow/offsets.h"
#include "arrow/text_views.h"
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

// The end of the run of equal bits that begins at `begin`, at most `end`.
std::uint64_t EndOfRun(const std::uint8_t* bits, std::uint64_t begin, std::uint64_t end) {
  const bool value = GetBit(bits, begin);
  const std::uint8_t whole = value ? 0xff : 0;
  std::uint64_t at = begin + 1;
  while (at < end) {
    if (at % 8 == 0 && end - at >= 8 && bits[at / 8] == whole) {
      at += 8;
    } else if (GetBit(bits, at) == value) {
      ++at;
    } else {
      break;
    }
  }
  return at;
}

// Appends the offsets of texts or lists of these lengths after the offset `from`. Returns the last
// one.
template <class Length, class Offset>
std::uint64_t SumLengths(const std::byte* lengths, std::uint64_t count, std::uint64_t from,
                         std::byte* out) {
  auto offset = static_cast<Offset>(from);
  for (std::uint64_t i = 0; i < count; ++i) {
    Length length = 0;
    std::memcpy(&length, lengths + i * sizeof(Length), sizeof(Length));
    offset = static_cast<Offset>(offset + static_cast<Offset>(length));
    std::memcpy(out + i * sizeof(Offset), &offset, sizeof(Offset));
  }
  return static_cast<std::uint64_t>(offset);
}

template <class Offset>
std::uint64_t SumLengthsOf(int length_bytes, const std::byte* lengths, std::uint64_t count,
                           std::uint64_t from, std::byte* out) {
  switch (length_bytes) {
    case 1:
      return SumLengths<std::uint8_t, Offset>(lengths, count, from, out);
    case 2:
      return SumLengths<std::uint16_t, Offset>(lengths, count, from, out);
    case 4:
      return SumLengths<std::uint32_t, Offset>(lengths, count, from, out);
    default:
      return SumLengths<std::uint64_t, Offset>(lengths, count, from, out);
  }
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

// Adds the runs of equal bits one by one.
void NestedBuilder::AddWithNulls(std::size_t i, std::uint64_t count) {
  if (!plan_.nodes[i].nullable) {
    ThrowNull(i);
  }
  const std::uint8_t* validity = columns_[i].validity;
  std::uint64_t at = bits_[i];
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
void NestedBuilder::AddValidity(std::size_t i, bool valid, std::uint64_t count) {
  Node& node = nodes_[i];
  if (!node.has_validity) {
    if (valid) {
      return;
    }
    node.has_validity = true;
    node.validity.Begin(*memory_);
    SetBits(AddBits(node.validity, 0, node.length), 0, node.length);
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
      IsWide(plan)
          ? SumLengthsOf<std::int64_t>(column.length_bytes, column.lengths, count, before, out)
          : SumLengthsOf<std::int32_t>(column.length_bytes, column.lengths, count, before, out);
  column.lengths += count * static_cast<std::uint64_t>(column.length_bytes);
  bytes_ += count * OffsetBytes(plan);
  return node.offset - before;
}

// --- The end of a batch ---

const std::uint8_t* NestedBuilder::validity() const noexcept {
  const Node& root = nodes_[0];
  return root.nulls == 0 ? nullptr : reinterpret_cast<const std::uint8_t*>(root.validity.data());
}

OutArray NestedBuilder::Finish(std::uint64_t rows) {
  STREAM_STORE_ASSERT(rows >= next_row_);
  SkipTo(rows);
  return FinishNode(0);
}

OutArray NestedBuilder::FinishNode(std::size_t i) {
  const NestedNodePlan& plan = plan_.nodes[i];
  const Node& node = nodes_[i];
  OutArray out = FinishBuffers(i);
  out.length = node.length;
  if (plan.form == Form::kNull) {
    out.null_count = node.length;
  } else {
    out.null_count = node.nulls;
    out.buffers[0] = node.nulls == 0 ? nullptr : node.validity.data();
  }
  for (std::size_t child = i + 1; child < plan.end; child = plan_.nodes[child].end) {
    out.children.push_back(FinishNode(child));
  }
  return out;
}

// The buffers of a node, without the validity, for which the first place is left free.
OutArray NestedBuilder::FinishBuffers(std::size_t i) {
  const NestedNodePlan& plan = plan_.nodes[i];
  const Node& node = nodes_[i];
  OutArray out;
  switch (plan.form) {
    case Form::kNull:
      break;
    case Form::kBools:
    case Form::kItems:
      out.buffers = {nullptr, node.data.data()};
      break;
    case Form::kText:
      if (plan.offset_bits == 0) {
        return MakeViews(*memory_, node.length,
                         reinterpret_cast<const std::int64_t*>(node.offsets.data()),
                         node.data.data());
      }
      out.buffers = {nullptr, node.offsets.data(), node.data.data()};
      break;
    case Form::kList:
      out.buffers = {nullptr, node.offsets.data()};
      break;
    case Form::kListView:
      out.buffers = {nullptr, node.offsets.data(), ListSizes(i)};
      break;
    case Form::kFixedList:
    case Form::kStruct:
      out.buffers = {nullptr};
      break;
  }
  return out;
}

// The sizes of list views, which have as many bits as the offsets.
const std::byte* NestedBuilder::ListSizes(std::size_t i) {
  const auto differences = [&]<class Offset>(Offset) {
    const std::byte* offsets = nodes_[i].offsets.data();
    std::byte* sizes = memory_->Make(nodes_[i].length * sizeof(Offset));
    for (std::uint64_t at = 0; at < nodes_[i].length; ++at) {
      Offset pair[2];
      std::memcpy(pair, offsets + at * sizeof(Offset), sizeof(pair));
      pair[1] -= pair[0];
      std::memcpy(sizes + at * sizeof(Offset), &pair[1], sizeof(Offset));
    }
    return sizes;
  };
  return IsWide(plan_.nodes[i]) ? differences(std::int64_t{}) : differences(std::int32_t{});
}

}  // namespace stream_store::arrow
