// Builds the blocks of nested cells. Each node has a column of its own, and Finish() puts them one
// after the other, because their sizes are not known earlier. All memory is kept for the next cell.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "stream_store/nested.h"

#include "base/str_cat.h"
#include "format/float_bits.h"
#include "format/nested_walk.h"
#include "format/utf8.h"

namespace stream_store {

using internal::FailAt;
using internal::NestedItem;
using internal::NestedNode;
using internal::NestedNodes;
using internal::NestedWalk;
using internal::StrCat;
using Kind = NestedType::Kind;

namespace {

// The column of one node while a cell is built.
struct Column {
  std::uint64_t slots = 0;
  std::uint64_t present = 0;
  std::uint64_t length_bits = 0;  // all lengths, or-ed
  std::string bitmap;             // empty until the first null
  std::vector<std::uint64_t> lengths;
  std::string data;

  void Clear() noexcept {
    slots = present = length_bits = 0;
    bitmap.clear();
    lengths.clear();
    data.clear();
  }

  void AddPresent(std::uint64_t count) {
    if (!bitmap.empty()) {
      AppendOnes(count);
    }
    slots += count;
    present += count;
  }

  void AddNull() {
    if (bitmap.empty() && slots > 0) {
      const std::uint64_t before = std::exchange(slots, 0);
      AppendOnes(before);
      slots = before;
    }
    GrowBitmap(slots + 1);
    ++slots;
  }

  void AddLength(std::uint64_t length) {
    lengths.push_back(length);
    length_bits |= length;
  }

  unsigned width() const noexcept { return internal::LengthWidth(length_bits); }

  std::uint64_t Bytes() const noexcept {
    return 1 + bitmap.size() + (lengths.size() << width()) + data.size();
  }

 private:
  void GrowBitmap(std::uint64_t bits) { bitmap.resize(bits / 8 + (bits % 8 != 0 ? 1 : 0), '\0'); }

  void AppendOnes(std::uint64_t count) {
    GrowBitmap(slots + count);
    for (std::uint64_t i = slots; i < slots + count; ++i) {
      bitmap[i / 8] = static_cast<char>(bitmap[i / 8] | 1 << i % 8);
    }
  }
};

template <class Length>
char* PutLengths(const std::vector<std::uint64_t>& lengths, char* out) noexcept {
  for (const std::uint64_t length : lengths) {
    const auto narrow = static_cast<Length>(length);
    std::memcpy(out, &narrow, sizeof(narrow));
    out += sizeof(narrow);
  }
  return out;
}

char* PutBytes(const std::string& bytes, char* out) noexcept {
  return std::ranges::copy(bytes, out).out;
}

char* PutColumn(const Column& column, char* out) noexcept {
  const unsigned width = column.lengths.empty() ? 0 : column.width();
  *out++ = static_cast<char>(width << internal::kNestedLengthShift |
                             (column.bitmap.empty() ? 0U : internal::kNestedHasNulls));
  out = PutBytes(column.bitmap, out);
  switch (width) {
    case 0:
      out = PutLengths<std::uint8_t>(column.lengths, out);
      break;
    case 1:
      out = PutLengths<std::uint16_t>(column.lengths, out);
      break;
    case 2:
      out = PutLengths<std::uint32_t>(column.lengths, out);
      break;
    default:
      out = PutLengths<std::uint64_t>(column.lengths, out);
      break;
  }
  return PutBytes(column.data, out);
}

}  // namespace

struct NestedEncoder::Impl {
  explicit Impl(const NestedType& type) : nodes(type), walk(nodes), columns(nodes.size()) {}

  // Returns the node of the next value, or throws because no value can follow here.
  std::uint32_t Next(std::string_view found) const {
    const std::uint32_t next = walk.next();
    if (next != NestedWalk::kNoNode) {
      return next;
    }
    if (walk.done()) {
      FailAt("", "the end of the cell", found);
    }
    const std::uint32_t parent = walk.Top().node;
    FailAt(walk.PlaceOfTop(), StrCat("the end of ", nodes.description(parent)), found);
  }

  [[noreturn]] void Fail(std::uint32_t node, std::string_view found) const {
    FailAt(walk.Place(), nodes.description(node), found);
  }

  // Appends one item of the next node, which is a kItem.
  void AddItem(std::uint32_t node, const void* bytes) {
    Column& column = columns[node];
    if (nodes[node].is_zero) {
      column.data.push_back('\0');
    } else {
      column.data.append(static_cast<const char*>(bytes), nodes[node].item_bytes);
    }
    column.AddPresent(1);
    walk.Pass(1);
  }

  void Clear() noexcept {
    walk.Reset();
    for (Column& column : columns) {
      column.Clear();
    }
  }

  NestedNodes nodes;
  NestedWalk walk;
  std::vector<Column> columns;
  std::vector<char> block;  // never shrinks, so that its bytes are not set again for every cell
};

NestedEncoder::NestedEncoder(const NestedType& type) : impl_(std::make_unique<Impl>(type)) {}

NestedEncoder::NestedEncoder(NestedEncoder&&) noexcept = default;
NestedEncoder& NestedEncoder::operator=(NestedEncoder&&) noexcept = default;
NestedEncoder::~NestedEncoder() = default;

void NestedEncoder::Null() {
  const std::uint32_t node = impl_->Next("null");
  if (impl_->nodes[node].is_null) {
    impl_->AddItem(node, nullptr);
    return;
  }
  if (!impl_->nodes[node].nullable) {
    impl_->Fail(node, "null");
  }
  impl_->columns[node].AddNull();
  impl_->walk.Pass(1);
}

void NestedEncoder::BeginList() {
  const std::uint32_t node = impl_->Next("a list");
  const NestedNode& list = impl_->nodes[node];
  if (list.kind != Kind::kList && list.kind != Kind::kFixedList) {
    impl_->Fail(node, "a list");
  }
  const bool is_fixed = list.kind == Kind::kFixedList;
  Column& column = impl_->columns[node];
  column.AddPresent(1);
  if (is_fixed && list.list_items == 0) {
    column.data.push_back('\0');
  }
  impl_->walk.Enter(is_fixed ? list.list_items : std::numeric_limits<std::uint64_t>::max());
}

void NestedEncoder::EndList() {
  if (impl_->walk.depth() == 0 || impl_->nodes[impl_->walk.Top().node].kind == Kind::kStruct) {
    impl_->Fail(impl_->Next("the end of a list"), "the end of a list");
  }
  const NestedWalk::Frame frame = impl_->walk.Top();
  const NestedNode& list = impl_->nodes[frame.node];
  if (list.kind == Kind::kFixedList && frame.count != list.list_items) {
    FailAt(impl_->walk.PlaceOfTop(), impl_->nodes.description(frame.node),
           StrCat("a list of ", frame.count));
  }
  if (list.kind == Kind::kList) {
    impl_->columns[frame.node].AddLength(frame.count);
  }
  impl_->walk.Leave();
}

void NestedEncoder::BeginStruct() {
  const std::uint32_t node = impl_->Next("a struct");
  const NestedNode& type = impl_->nodes[node];
  if (type.kind != Kind::kStruct) {
    impl_->Fail(node, "a struct");
  }
  Column& column = impl_->columns[node];
  column.AddPresent(1);
  if (type.children == 0) {
    column.data.push_back('\0');
  }
  impl_->walk.Enter(type.children);
}

void NestedEncoder::EndStruct() {
  if (impl_->walk.depth() == 0 || impl_->nodes[impl_->walk.Top().node].kind != Kind::kStruct ||
      impl_->walk.next() != NestedWalk::kNoNode) {
    impl_->Fail(impl_->Next("the end of a struct"), "the end of a struct");
  }
  impl_->walk.Leave();
}

void NestedEncoder::Bool(bool value) {
  const std::uint32_t node = impl_->Next("a bool");
  if (!impl_->nodes[node].is_bool) {
    impl_->Fail(node, "a bool");
  }
  const char byte = value ? 1 : 0;
  impl_->AddItem(node, &byte);
}

void NestedEncoder::Int(std::int64_t value) {
  const std::uint32_t node = impl_->Next("an integer");
  const NestedNode& type = impl_->nodes[node];
  if (type.item != NestedItem::kInt && type.item != NestedItem::kUInt) {
    impl_->Fail(node, "an integer");
  }
  const unsigned spare = 64 - 8 * type.item_bytes;  // bits of `value` that the type does not have
  const std::int64_t kept =
      type.item == NestedItem::kInt
          ? static_cast<std::int64_t>(static_cast<std::uint64_t>(value) << spare) >> spare
          : static_cast<std::int64_t>(static_cast<std::uint64_t>(value) << spare >> spare);
  if (kept != value || (type.item == NestedItem::kUInt && value < 0)) {
    impl_->Fail(node, std::to_string(value));
  }
  impl_->AddItem(node, &value);
}

void NestedEncoder::UInt(std::uint64_t value) {
  if (value <= INT64_MAX) {
    Int(static_cast<std::int64_t>(value));
    return;
  }
  const std::uint32_t node = impl_->Next("an integer");
  const NestedNode& type = impl_->nodes[node];
  if (type.item != NestedItem::kUInt || type.item_bytes != 8) {
    impl_->Fail(node, type.item == NestedItem::kInt || type.item == NestedItem::kUInt
                          ? std::to_string(value)
                          : "an integer");
  }
  impl_->AddItem(node, &value);
}

void NestedEncoder::Float(double value) {
  const std::uint32_t node = impl_->Next("a float");
  const NestedNode& type = impl_->nodes[node];
  if (type.item != NestedItem::kFloat) {
    impl_->Fail(node, "a float");
  }
  const auto bits = std::bit_cast<std::uint64_t>(value);
  std::uint64_t narrow = bits;
  bool is_infinite = false;
  if (type.item_bytes == 4) {
    narrow = internal::NarrowToFloat32(bits);
    is_infinite = (narrow & 0x7fffffffU) == 0x7f800000U;
  } else if (type.item_bytes == 2) {
    narrow = internal::NarrowToFloat16(bits);
    is_infinite = (narrow & 0x7fffU) == 0x7c00U;
  }
  if (is_infinite && std::isfinite(value)) {
    impl_->Fail(node, StrCat(value));
  }
  impl_->AddItem(node, &narrow);
}

void NestedEncoder::Text(std::string_view bytes) {
  const std::uint32_t node = impl_->Next("a string");
  const NestedNode& type = impl_->nodes[node];
  if (type.item == NestedItem::kFixedBytes) {
    if (bytes.size() != impl_->nodes.value_bytes(node)) {
      impl_->Fail(node, StrCat(bytes.size(), bytes.size() == 1 ? " byte" : " bytes"));
    }
    impl_->AddItem(node, bytes.data());
    return;
  }
  if (type.kind != Kind::kBytes) {
    impl_->Fail(node, "a string");
  }
  if (type.is_text) {
    const std::uint64_t bad = internal::FirstInvalidUtf8(bytes.data(), bytes.size());
    if (bad != internal::kAllUtf8) {
      FailAt(impl_->walk.Place(), "UTF-8",
             StrCat("byte ", static_cast<int>(static_cast<unsigned char>(bytes[bad])), " at byte ",
                    bad, " of the string"));
    }
  }
  Column& column = impl_->columns[node];
  column.data.append(bytes);
  column.AddLength(bytes.size());
  column.AddPresent(1);
  impl_->walk.Pass(1);
}

void NestedEncoder::Item(std::span<const std::byte> bytes) {
  const std::uint32_t node = impl_->Next("an item");
  const NestedNode& type = impl_->nodes[node];
  if (type.kind != Kind::kItem || type.is_null) {
    impl_->Fail(node, "an item of fixed size");
  }
  if (bytes.size() != impl_->nodes.value_bytes(node)) {
    impl_->Fail(node, StrCat(bytes.size(), bytes.size() == 1 ? " byte" : " bytes"));
  }
  if (type.is_bool && std::to_integer<unsigned>(bytes[0]) > 1) {
    impl_->Fail(node, StrCat("byte ", std::to_integer<unsigned>(bytes[0])));
  }
  impl_->AddItem(node, bytes.data());
}

void NestedEncoder::Items(const void* items, std::uint64_t count) {
  if (count == 0) {
    return;
  }
  const std::uint32_t node = impl_->Next("items");
  const NestedNode& type = impl_->nodes[node];
  if (type.kind != Kind::kItem) {
    impl_->Fail(node, "items of fixed size");
  }
  const bool in_list =
      impl_->walk.depth() > 0 && impl_->nodes[impl_->walk.Top().node].kind != Kind::kStruct;
  if (!in_list && count > 1) {
    impl_->Fail(node, StrCat(count, " items"));
  }
  if (in_list && count > impl_->walk.Top().limit - impl_->walk.Top().count) {
    FailAt(impl_->walk.PlaceOfTop(), impl_->nodes.description(impl_->walk.Top().node),
           StrCat("a list of at least ", impl_->walk.Top().count + count));
  }
  const auto* bytes = static_cast<const char*>(items);
  if (type.is_bool && std::any_of(bytes, bytes + count, [](char c) { return c != 0 && c != 1; })) {
    impl_->Fail(node, "a byte other than 0 and 1");
  }
  Column& column = impl_->columns[node];
  if (type.is_zero) {
    column.data.append(count, '\0');
  } else {
    column.data.append(bytes, count * type.item_bytes);
  }
  column.AddPresent(count);
  impl_->walk.Pass(count);
}

std::string_view NestedEncoder::Finish() {
  if (!impl_->walk.done()) {
    const std::uint32_t node = impl_->walk.next();
    FailAt(impl_->walk.Place(),
           node == NestedWalk::kNoNode ? "the end of a list or struct"
                                       : impl_->nodes.description(node),
           "the end of the cell");
  }
  std::uint64_t bytes = 0;
  for (const Column& column : impl_->columns) {
    bytes += column.Bytes();
  }
  if (impl_->block.size() < bytes) {
    impl_->block.resize(bytes);
  }
  char* out = impl_->block.data();
  for (const Column& column : impl_->columns) {
    out = PutColumn(column, out);
  }
  impl_->Clear();
  return {impl_->block.data(), bytes};
}

void NestedEncoder::Clear() noexcept { impl_->Clear(); }

std::string NestedEncoder::Place() const { return impl_->walk.Place(); }

}  // namespace stream_store
