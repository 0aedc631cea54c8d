// Finds and checks the columns of a nested block.
//
// A block may come from a damaged or hostile file. Every loop below is bounded by the bytes of the
// block that are left or by the number of nodes: each element of a node takes at least a bit of its
// bitmap or a byte of its data, so no number in a block can announce more elements than eight times
// its bytes.

#include "format/nested_block.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <memory>
#include <new>

#include "stream_store/error.h"

#include "base/assert.h"
#include "base/str_cat.h"
#include "format/nested_type.h"
#include "format/utf8.h"

namespace stream_store::internal {
namespace {

using Kind = NestedType::Kind;

void AppendNodes(const NestedType& type, int depth, std::vector<NestedNode>& nodes) {
  const auto format = ReadNestedFormat(type.format);
  if (!format) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("nested type: expected the format of a type that can be nested but found \"",
                       type.format, "\""));
  }
  CheckNestedNode(type, *format);
  CheckNestedSize(depth, nodes.size() + 1);
  NestedNode node;
  node.kind = format->kind;
  node.item = format->item;
  node.item_bytes = format->kind == Kind::kItem ? std::max(format->size, 1U) : 0;
  node.list_items = format->kind == Kind::kFixedList ? format->size : 0;
  node.children = static_cast<std::uint32_t>(type.children.size());
  node.is_text = format->is_text;
  node.is_bool = format->item == NestedItem::kBool;
  node.is_null = format->item == NestedItem::kNull;
  node.is_zero = format->kind == Kind::kItem && format->size == 0;
  node.nullable = type.nullable && !node.is_null && depth > 1;
  const std::size_t at = nodes.size();
  nodes.push_back(node);
  for (const NestedType& child : type.children) {
    AppendNodes(child, depth + 1, nodes);
  }
  nodes[at].end = static_cast<std::uint32_t>(nodes.size());
}

// Takes bytes from the front of a block. A read that does not fit returns null.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> block) noexcept
      : at_(block.data()), left_(block.size()) {}

  std::uint64_t left() const noexcept { return left_; }

  const std::byte* Take(std::uint64_t bytes) noexcept {
    if (bytes > left_) {
      return nullptr;
    }
    const std::byte* taken = at_;
    at_ += bytes;
    left_ -= bytes;
    return taken;
  }

 private:
  const std::byte* at_;
  std::uint64_t left_;
};

constexpr const char* kTooShort = "the block ends before its content does";
constexpr const char* kTooMany = "a node has more elements than the block can hold";

// Whether `count` elements cannot be in `bytes` bytes, at one bit each.
bool TooMany(std::uint64_t count, std::uint64_t bytes) noexcept {
  return count / 8 > bytes || (count + 7) / 8 > bytes;
}

const char* TakeBitmap(Cursor& cursor, NestedColumn& column) noexcept {
  const std::uint64_t bytes = column.slots / 8 + (column.slots % 8 != 0 ? 1 : 0);
  const std::byte* bitmap = cursor.Take(bytes);
  if (bitmap == nullptr) {
    return kTooShort;
  }
  column.validity = reinterpret_cast<const std::uint8_t*>(bitmap);
  std::uint64_t present = 0;
  std::uint64_t i = 0;
  for (; i + 8 <= bytes; i += 8) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, bitmap + i, sizeof(bits));
    present += static_cast<std::uint64_t>(std::popcount(bits));
  }
  for (; i < bytes; ++i) {
    present += static_cast<std::uint64_t>(std::popcount(column.validity[i]));
  }
  const auto used = static_cast<unsigned>(column.slots % 8);
  if (used != 0 && column.validity[bytes - 1] >> used != 0) {
    return "an unused bit of a bitmap is set";
  }
  if (present == column.slots) {
    return "a node has a bitmap although none of its elements is null";
  }
  column.present = present;
  return nullptr;
}

struct Lengths {
  std::uint64_t sum = 0;
  std::uint64_t bits = 0;  // of all lengths, or-ed: its width is that of the largest
};

// Adds lengths up to `limit`; the sum of more is only known to be larger. Sums of chunks, so that
// the inner loop has no branch and no sum overflows: 4096 lengths of 32 bits are below 2^44.
template <class Length>
Lengths SumLengths(const std::byte* lengths, std::uint64_t count, std::uint64_t limit) noexcept {
  constexpr std::uint64_t kChunk = sizeof(Length) == 8 ? 1 : 4096;
  Lengths all;
  for (std::uint64_t begin = 0; begin < count && all.sum <= limit; begin += kChunk) {
    const std::uint64_t end = std::min(count, begin + kChunk);
    std::uint64_t sum = 0;
    for (std::uint64_t i = begin; i < end; ++i) {
      Length length = 0;
      std::memcpy(&length, lengths + i * sizeof(Length), sizeof(Length));
      sum += length;
      all.bits |= length;
    }
    all.sum = sum > UINT64_MAX - all.sum ? UINT64_MAX : all.sum + sum;
  }
  return all;
}

Lengths SumLengths(const NestedColumn& column, std::uint64_t limit) noexcept {
  switch (column.length_bytes) {
    case 1:
      return SumLengths<std::uint8_t>(column.lengths, column.present, limit);
    case 2:
      return SumLengths<std::uint16_t>(column.lengths, column.present, limit);
    case 4:
      return SumLengths<std::uint32_t>(column.lengths, column.present, limit);
    default:
      return SumLengths<std::uint64_t>(column.lengths, column.present, limit);
  }
}

// Takes the lengths of a node. `sum` becomes their sum.
const char* TakeLengths(Cursor& cursor, NestedColumn& column, unsigned width, std::uint64_t limit,
                        std::uint64_t& sum) noexcept {
  column.length_bytes = 1 << width;
  if (column.present > cursor.left() >> width) {
    return kTooShort;
  }
  column.lengths = cursor.Take(column.present << width);
  const Lengths all = SumLengths(column, limit);
  if (all.sum > limit) {
    return kTooMany;
  }
  if (LengthWidth(all.bits) != width) {
    return "lengths are wider than the largest needs";
  }
  sum = all.sum;
  return nullptr;
}

// Takes `count` bytes that must not exceed `highest`: 0 for nulls, 1 for bools.
const char* TakeSmallBytes(Cursor& cursor, std::uint64_t count, unsigned highest,
                           const std::byte*& data) noexcept {
  data = cursor.Take(count);
  if (data == nullptr) {
    return kTooShort;
  }
  std::byte seen{0};
  for (std::uint64_t i = 0; i < count; ++i) {
    seen |= data[i];
  }
  if (std::to_integer<unsigned>(seen) > highest) {
    return highest == 0 ? "a byte that stands for an element without data is not 0"
                        : "a bool is neither 0 nor 1";
  }
  return nullptr;
}

const char* TakeItems(Cursor& cursor, const NestedNode& node, NestedColumn& column) noexcept {
  if (column.present > cursor.left() / node.item_bytes) {
    return kTooShort;
  }
  column.data_bytes = column.present * node.item_bytes;
  if (node.is_zero || node.is_bool) {
    return TakeSmallBytes(cursor, column.data_bytes, node.is_bool ? 1 : 0, column.data);
  }
  column.data = cursor.Take(column.data_bytes);
  return nullptr;
}

// Takes the header of a node and its bitmap, and finds the width of its lengths.
const char* TakeHeader(Cursor& cursor, const NestedNode& node, NestedColumn& column,
                       unsigned& width) noexcept {
  const std::byte* first = cursor.Take(1);
  if (first == nullptr) {
    return kTooShort;
  }
  const auto header = std::to_integer<unsigned>(*first);
  const bool has_lengths = node.kind == Kind::kBytes || node.kind == Kind::kList;
  const unsigned known = kNestedHasNulls | (has_lengths ? kNestedLengthMask : 0U);
  if ((header & ~known) != 0) {
    return "an unused bit of a header is set";
  }
  column.present = column.slots;
  if ((header & kNestedHasNulls) != 0) {
    if (!node.nullable) {
      return "a node has a bitmap although its elements cannot be null";
    }
    if (const char* problem = TakeBitmap(cursor, column)) {
      return problem;
    }
  }
  width = (header & kNestedLengthMask) >> kNestedLengthShift;
  return nullptr;
}

// Takes the parts of one node. `child_slots` becomes the number of elements of each child.
const char* TakeNode(Cursor& cursor, const NestedNode& node, NestedColumn& column,
                     std::uint64_t& child_slots) noexcept {
  unsigned width = 0;
  if (const char* problem = TakeHeader(cursor, node, column, width)) {
    return problem;
  }
  switch (node.kind) {
    case Kind::kItem:
      return TakeItems(cursor, node, column);
    case Kind::kBytes:
      if (const char* problem =
              TakeLengths(cursor, column, width, cursor.left(), column.data_bytes)) {
        return problem;
      }
      column.data = cursor.Take(column.data_bytes);
      return column.data == nullptr ? kTooShort : nullptr;
    case Kind::kList: {
      const std::uint64_t bits = cursor.left() > UINT64_MAX / 8 ? UINT64_MAX : cursor.left() * 8;
      return TakeLengths(cursor, column, width, bits, child_slots);
    }
    case Kind::kFixedList:
      if (node.list_items != 0) {
        if (column.present > UINT64_MAX / node.list_items) {
          return kTooMany;
        }
        child_slots = column.present * node.list_items;
        return nullptr;
      }
      break;
    case Kind::kStruct:
      if (node.children != 0) {
        child_slots = column.present;
        return nullptr;
      }
      break;
  }
  child_slots = 0;
  return TakeSmallBytes(cursor, column.present, 0, column.data);
}

}  // namespace

NestedPlan::NestedPlan(const NestedType& type) { AppendNodes(type, 1, nodes_); }

std::uint64_t NestedColumn::LengthAt(std::uint64_t i) const noexcept {
  STREAM_STORE_ASSERT(i < present && lengths != nullptr);
  const std::byte* at = lengths + i * static_cast<unsigned>(length_bytes);
  std::uint64_t length = 0;  // little-endian: the bytes beyond a short length stay 0
  switch (length_bytes) {
    case 1:
      return std::to_integer<std::uint64_t>(*at);
    case 2:
      std::memcpy(&length, at, 2);
      return length;
    case 4:
      std::memcpy(&length, at, 4);
      return length;
    default:
      std::memcpy(&length, at, 8);
      return length;
  }
}

const char* FindNestedColumns(const NestedPlan& plan, std::span<const std::byte> block,
                              std::span<NestedColumn> columns) noexcept {
  STREAM_STORE_ASSERT(columns.size() == plan.size());
  Cursor cursor(block);
  columns[0] = NestedColumn{};
  columns[0].slots = 1;
  for (std::size_t i = 0; i < plan.size(); ++i) {
    const NestedNode& node = plan[i];
    if (TooMany(columns[i].slots, cursor.left())) {
      return cursor.left() == 0 ? kTooShort : kTooMany;
    }
    std::uint64_t child_slots = 0;
    if (const char* problem = TakeNode(cursor, node, columns[i], child_slots)) {
      return problem;
    }
    for (std::size_t child = i + 1; child < node.end; child = plan[child].end) {
      columns[child] = NestedColumn{};
      columns[child].slots = child_slots;
    }
  }
  return cursor.left() == 0 ? nullptr : "the block goes on after its content";
}

const char* CheckNestedTexts(const NestedColumn& column) noexcept {
  STREAM_STORE_ASSERT(column.data != nullptr || column.data_bytes == 0);
  const std::byte* at = column.data;
  // One pass over all texts together finds most errors; a boundary inside a sequence is the rest.
  if (FirstInvalidUtf8(at, column.data_bytes) != kAllUtf8) {
    return "a string is not UTF-8";
  }
  for (std::uint64_t i = 0; i < column.present; ++i) {
    const std::uint64_t length = column.LengthAt(i);
    if (length > 0 && (std::to_integer<unsigned>(*at) & 0xc0U) == 0x80U) {
      return "a string is not UTF-8";
    }
    at += length;
  }
  return nullptr;
}

const char* CheckNestedBlock(const NestedPlan& plan, std::span<const std::byte> block) noexcept {
  // Most types have few nodes, so that a check allocates nothing.
  std::array<NestedColumn, 32> few;
  std::unique_ptr<NestedColumn[]> many;
  std::span<NestedColumn> columns(few.data(), std::min(plan.size(), few.size()));
  if (plan.size() > few.size()) {
    many.reset(new (std::nothrow) NestedColumn[plan.size()]);
    if (many == nullptr) {
      return "there is not enough memory to check it";
    }
    columns = {many.get(), plan.size()};
  }
  if (const char* problem = FindNestedColumns(plan, block, columns)) {
    return problem;
  }
  for (std::size_t i = 0; i < plan.size(); ++i) {
    const char* problem = plan[i].is_text ? CheckNestedTexts(columns[i]) : nullptr;
    if (problem != nullptr) {
      return problem;
    }
  }
  return nullptr;
}

}  // namespace stream_store::internal
