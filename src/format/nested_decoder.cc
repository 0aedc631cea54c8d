// Reads the values of nested cells from the columns of their block.

#include <bit>
#include <cstring>
#include <utility>

#include "stream_store/nested.h"

#include "base/assert.h"
#include "base/str_cat.h"
#include "format/float_bits.h"
#include "format/nested_walk.h"

namespace stream_store {

using internal::FailAt;
using internal::NestedColumn;
using internal::NestedItem;
using internal::NestedNode;
using internal::NestedNodes;
using internal::NestedWalk;
using internal::StrCat;
using Kind = NestedType::Kind;

namespace {

// How far the column of a node has been read.
struct Reached {
  std::uint64_t slots = 0;
  std::uint64_t present = 0;
  const std::byte* data = nullptr;
};

bool IsPresent(const NestedColumn& column, std::uint64_t slot) noexcept {
  return column.validity == nullptr || (column.validity[slot / 8] >> slot % 8 & 1) != 0;
}

}  // namespace

struct NestedDecoder::Impl {
  explicit Impl(const NestedType& type)
      : nodes(type), walk(nodes), columns(nodes.size()), reached(nodes.size()) {}

  [[noreturn]] void FailAtEnd(std::string_view asked) const {
    FailAt(walk.Place(), is_open ? "the end of the cell" : "a cell", asked);
  }

  [[noreturn]] void Fail(std::uint32_t node, std::string_view asked) const {
    FailAt(walk.Place(), nodes.description(node), StrCat("a call for ", asked));
  }

  // Returns the node of the next value, which is not null.
  std::uint32_t Next(std::string_view asked) const {
    const std::uint32_t node = walk.next();
    if (node == NestedWalk::kNoNode || !is_open) {
      FailAtEnd(asked);
    }
    if (nodes[node].is_null || !IsPresent(columns[node], reached[node].slots)) {
      FailAt(walk.Place(), "null", StrCat("a call for ", asked));
    }
    return node;
  }

  std::uint32_t NextItem(std::string_view asked) const {
    const std::uint32_t node = Next(asked);
    if (nodes[node].kind != Kind::kItem) {
      Fail(node, asked);
    }
    return node;
  }

  // Takes one item of fixed size, zero-extended to eight bytes.
  // REQUIRES: nodes[node].item_bytes <= 8.
  std::uint64_t TakeBits(std::uint32_t node) noexcept {
    STREAM_STORE_ASSERT(nodes[node].item_bytes <= 8);
    std::uint64_t bits = 0;
    std::memcpy(&bits, reached[node].data, nodes[node].item_bytes);
    TakeItems(node, 1);
    return bits;
  }

  const std::byte* TakeItems(std::uint32_t node, std::uint64_t count) noexcept {
    const std::byte* data = reached[node].data;
    reached[node].data += count * nodes[node].item_bytes;
    reached[node].slots += count;
    walk.Pass(count);
    LeaveFull();
    return data;
  }

  std::uint64_t TakeLength(std::uint32_t node) noexcept {
    ++reached[node].slots;
    return columns[node].LengthAt(reached[node].present++);
  }

  // Leaves the lists and structs whose last value was read.
  void LeaveFull() noexcept {
    while (walk.depth() > 0 && walk.next() == NestedWalk::kNoNode) {
      walk.Leave();
    }
  }

  NestedNodes nodes;
  NestedWalk walk;
  std::vector<NestedColumn> columns;
  std::vector<Reached> reached;
  bool is_open = false;
};

NestedDecoder::NestedDecoder(const NestedType& type) : impl_(std::make_unique<Impl>(type)) {}

NestedDecoder::NestedDecoder(NestedDecoder&&) noexcept = default;
NestedDecoder& NestedDecoder::operator=(NestedDecoder&&) noexcept = default;
NestedDecoder::~NestedDecoder() = default;

void NestedDecoder::Open(std::span<const std::byte> block) {
  impl_->is_open = false;
  const char* problem = FindNestedColumns(impl_->nodes.plan(), block, impl_->columns);
  for (std::size_t i = 0; i < impl_->nodes.size() && problem == nullptr; ++i) {
    const NestedColumn& column = impl_->columns[i];
    impl_->reached[i] = {0, 0, column.data};
    problem = impl_->nodes[i].is_text ? CheckNestedTexts(column) : nullptr;
  }
  if (problem != nullptr) {
    throw Error(ErrorCode::kCorrupt, StrCat("nested cell: ", problem));
  }
  impl_->walk.Reset();
  impl_->is_open = true;
}

bool NestedDecoder::Null() {
  const std::uint32_t node = impl_->walk.next();
  if (node == NestedWalk::kNoNode || !impl_->is_open) {
    impl_->FailAtEnd("a call of Null()");
  }
  if (impl_->nodes[node].is_null) {
    impl_->TakeItems(node, 1);
    return true;
  }
  if (IsPresent(impl_->columns[node], impl_->reached[node].slots)) {
    return false;
  }
  ++impl_->reached[node].slots;
  impl_->walk.Pass(1);
  impl_->LeaveFull();
  return true;
}

std::uint64_t NestedDecoder::BeginList() {
  const std::uint32_t node = impl_->Next("a list");
  const NestedNode& list = impl_->nodes[node];
  std::uint64_t items = list.list_items;
  if (list.kind == Kind::kList) {
    items = impl_->TakeLength(node);
  } else if (list.kind == Kind::kFixedList) {
    ++impl_->reached[node].slots;
  } else {
    impl_->Fail(node, "a list");
  }
  impl_->walk.Enter(items);
  impl_->LeaveFull();
  return items;
}

void NestedDecoder::BeginStruct() {
  const std::uint32_t node = impl_->Next("a struct");
  if (impl_->nodes[node].kind != Kind::kStruct) {
    impl_->Fail(node, "a struct");
  }
  ++impl_->reached[node].slots;
  impl_->walk.Enter(impl_->nodes[node].children);
  impl_->LeaveFull();
}

bool NestedDecoder::Bool() {
  const std::uint32_t node = impl_->Next("a bool");
  if (!impl_->nodes[node].is_bool) {
    impl_->Fail(node, "a bool");
  }
  return impl_->TakeBits(node) != 0;
}

std::int64_t NestedDecoder::Int() {
  const std::uint32_t node = impl_->Next("an integer");
  const NestedNode& type = impl_->nodes[node];
  if (type.item != NestedItem::kInt && type.item != NestedItem::kUInt) {
    impl_->Fail(node, "an integer");
  }
  const std::uint64_t bits = impl_->TakeBits(node);
  const unsigned spare = type.item == NestedItem::kInt ? 64 - 8 * type.item_bytes : 0;
  return static_cast<std::int64_t>(bits << spare) >> spare;
}

std::uint64_t NestedDecoder::UInt() { return static_cast<std::uint64_t>(Int()); }

double NestedDecoder::Float() {
  const std::uint32_t node = impl_->Next("a float");
  if (impl_->nodes[node].item != NestedItem::kFloat) {
    impl_->Fail(node, "a float");
  }
  const std::uint32_t bytes = impl_->nodes[node].item_bytes;
  const std::uint64_t bits = impl_->TakeBits(node);
  return std::bit_cast<double>(bytes == 2 ? internal::WidenFloat16(static_cast<std::uint16_t>(bits))
                               : bytes == 4
                                   ? internal::WidenFloat32(static_cast<std::uint32_t>(bits))
                                   : bits);
}

std::string_view NestedDecoder::Text() {
  const std::uint32_t node = impl_->Next("a string");
  if (impl_->nodes[node].item == NestedItem::kFixedBytes) {
    const std::span<const std::byte> bytes = Item();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  if (impl_->nodes[node].kind != Kind::kBytes) {
    impl_->Fail(node, "a string");
  }
  const std::uint64_t length = impl_->TakeLength(node);
  const std::byte* data =
      std::exchange(impl_->reached[node].data, impl_->reached[node].data + length);
  impl_->walk.Pass(1);
  impl_->LeaveFull();
  return {reinterpret_cast<const char*>(data), length};
}

std::span<const std::byte> NestedDecoder::Item() {
  const std::uint32_t node = impl_->NextItem("an item of fixed size");
  const std::uint32_t bytes = impl_->nodes.value_bytes(node);
  return {impl_->TakeItems(node, 1), bytes};
}

std::span<const std::byte> NestedDecoder::Items(std::uint64_t count) {
  if (count == 0) {
    return {};
  }
  const std::uint32_t node = impl_->NextItem("items of fixed size");
  const NestedWalk& walk = impl_->walk;
  const bool in_list = walk.depth() > 0 && impl_->nodes[walk.Top().node].kind != Kind::kStruct;
  if (count > (in_list ? walk.Top().limit - walk.Top().count : 1)) {
    impl_->Fail(node, "more items than are left");
  }
  const NestedColumn& column = impl_->columns[node];
  const std::uint64_t first = impl_->reached[node].slots;
  for (std::uint64_t i = 0; column.validity != nullptr && i < count; ++i) {
    if (!IsPresent(column, first + i)) {
      impl_->Fail(node, StrCat(count, " items of which one is null"));
    }
  }
  const std::uint32_t bytes = impl_->nodes.value_bytes(node);
  return {impl_->TakeItems(node, count), count * bytes};
}

}  // namespace stream_store
