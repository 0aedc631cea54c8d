#include "arrow/leaf_builder.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <type_traits>

#include "stream_store/error.h"
#include "stream_store/reader.h"

#include "arrow/bits.h"
#include "arrow/offsets.h"
#include "arrow/text_views.h"
#include "base/str_cat.h"

namespace stream_store::arrow {

using internal::StrCat;

namespace {

// How many words are converted at a time. 16 KiB of words and their items stay in the first-level
// cache, so that a second pass over them is cheap.
constexpr std::uint64_t kChunkWords = 2048;

template <class Item>
void NarrowAll(const Value* words, std::uint64_t count, std::byte* out) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto item = static_cast<Item>(words[i]);
    std::memcpy(out + i * sizeof(Item), &item, sizeof(Item));
  }
}

// Whether Item holds the stored integer. A uint64 is stored as an int64 of the same bits.
template <class Item>
bool Holds(Value word, bool word_is_signed) {
  using Limits = std::numeric_limits<Item>;
  if (!word_is_signed || word >= 0) {
    return static_cast<std::uint64_t>(word) <= static_cast<std::uint64_t>(Limits::max());
  }
  return std::is_signed_v<Item> && word >= static_cast<Value>(Limits::min());
}

template <class Item>
std::uint64_t FirstThatDoesNotFit(const Value* words, std::uint64_t count, bool is_signed) {
  std::uint64_t i = 0;
  while (i < count && Holds<Item>(words[i], is_signed)) {
    ++i;
  }
  return i;
}

// Calls `visit` with a zero of the C++ integer type. date32 and time32 have no is_signed and are
// int32.
template <class Visit>
auto WithInteger(const Type& type, const Visit& visit) {
  switch (type.bits) {
    case 8:
      return type.is_signed ? visit(std::int8_t{}) : visit(std::uint8_t{});
    case 16:
      return type.is_signed ? visit(std::int16_t{}) : visit(std::uint16_t{});
    case 32:
      return type.is_signed || type.kind != Kind::kInteger ? visit(std::int32_t{})
                                                           : visit(std::uint32_t{});
    default:
      return type.is_signed ? visit(std::int64_t{}) : visit(std::uint64_t{});
  }
}

// Copies rows that are `stride` words apart, so that they follow each other.
void GatherRows(const Value* first, std::uint64_t stride, std::uint64_t words, std::uint64_t rows,
                Value* out) {
  if (words == 1) {
    for (std::uint64_t i = 0; i < rows; ++i) {
      out[i] = first[i * stride];
    }
    return;
  }
  for (std::uint64_t i = 0; i < rows; ++i) {
    std::memcpy(out + i * words, first + i * stride, words * sizeof(Value));
  }
}

}  // namespace

// Bits are zeroed here, because bools are written by setting them; other items are written in full.
void LeafBuilder::Begin(BatchMemory& memory, Row first_row, std::uint64_t rows,
                        std::uint64_t units) {
  memory_ = &memory;
  first_row_ = first_row;
  rows_ = rows;
  next_row_ = 0;
  present_rows_ = 0;
  items_ = 0;
  validity_ = reinterpret_cast<std::uint8_t*>(memory.MakeZeroed(BitmapBytes(rows)));
  row_items_ = plan_.has_row_offsets() ? 0 : plan_.unit_items;
  item_room_ = plan_.has_row_offsets() ? units * plan_.unit_items : rows * plan_.unit_items;
  inner_items_ = 1;
  for (std::size_t level = 1; level < plan_.lists.size(); ++level) {
    inner_items_ *= plan_.fixed[level];
  }
  offsets_ = nullptr;
  if (plan_.has_row_offsets()) {
    wide_offsets_ = plan_.is_text() ? plan_.item.bits != 32 : plan_.lists[0].bits == 64;
    offsets_ = memory.Make((rows + 1) * (wide_offsets_ ? 8 : 4));
    FillOffsetsOf(wide_offsets_, offsets_, 0, 1, 0, 0);
  }
  const std::uint64_t bytes = BitmapBytes(item_room_ * plan_.item_bits);
  data_ = plan_.item_bits == 1 ? memory.MakeZeroed(bytes) : memory.Make(bytes);
}

// Makes rows [next_row_, row) null. Rows without offsets still occupy items, which are zeroed so
// that no old memory is exposed; bits are zero from the start.
void LeafBuilder::SkipTo(std::uint64_t row) {
  const std::uint64_t count = row - next_row_;
  if (count == 0) {
    return;
  }
  if (offsets_ != nullptr) {
    FillOffsetsOf(wide_offsets_, offsets_, next_row_ + 1, count, items_ / inner_items_, 0);
  } else if (row_items_ > 0) {
    if (plan_.item_bits >= 8) {
      const std::uint64_t item_bytes = plan_.item_bits / 8;
      std::memset(data_ + items_ * item_bytes, 0, count * row_items_ * item_bytes);
    }
    items_ += count * row_items_;
  }
  next_row_ = row;
}

// Makes rows [row, row + count) present, each with `items_each` items that the caller writes next.
// Checks the sizes first, so that neither a wrong length nor a repeated row can write outside the
// buffers. Inlined, because rows of different lengths are written one by one.
[[gnu::always_inline]] inline void LeafBuilder::Claim(std::uint64_t row, std::uint64_t count,
                                                      std::uint64_t items_each) {
  const bool fits = row >= next_row_ && count <= rows_ - row &&
                    (row_items_ == items_each || offsets_ != nullptr) &&
                    (items_each == 0 || count <= (item_room_ - items_) / items_each);
  if (!fits) {
    // The first pass over the same snapshot measured other lengths: the files are damaged, or
    // another process overwrites them.
    throw Error(ErrorCode::kCorrupt,
                StrCat("exporting to Arrow: field '", plan_.name, "': row ",
                       first_row_ + static_cast<Row>(row), ": expected one field-write of at most ",
                       "the measured length but found another one"));
  }
  SkipTo(row);
  SetBits(validity_, row, count);
  present_rows_ += count;
  next_row_ = row + count;
  if (offsets_ != nullptr) {
    FillOffsetsOf(wide_offsets_, offsets_, row + 1, count, (items_ + items_each) / inner_items_,
                  items_each / inner_items_);
  }
}

void LeafBuilder::Write(std::uint64_t row, std::uint64_t count, const Value* first,
                        std::uint64_t stride, std::uint64_t words) {
  if (plan_.is_block()) {
    WriteBlocks(row, count, first, stride, words);
    return;
  }
  Claim(row, count, plan_.unit_words == 0 ? 0 : words / plan_.unit_words * plan_.unit_items);
  if (words > 0 && plan_.conversion != ItemConversion::kNothing) {
    WriteItems(row, count, first, stride, words);
  }
}

// The rows differ in their number of items even if they have equally many words.
void LeafBuilder::WriteBlocks(std::uint64_t row, std::uint64_t count, const Value* first,
                              std::uint64_t stride, std::uint64_t words) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::span stored(first + i * stride, words);
    const internal::BlockItems block = internal::ItemsOfBlock(plan_.encoding, stored);
    if (!block.valid) {
      throw Error(ErrorCode::kCorrupt,
                  StrCat("exporting to Arrow: field '", plan_.name, "': row ",
                         first_row_ + static_cast<Row>(row + i), ": expected ", words,
                         " words to hold the items but found a field-write of ",
                         static_cast<std::uint64_t>(stored[0]), " items"));
    }
    Claim(row + i, 1, block.count);
    CopyPacked(block.items, block.count);
  }
}

void LeafBuilder::WriteItems(std::uint64_t row, std::uint64_t count, const Value* first,
                             std::uint64_t stride, std::uint64_t words) {
  row_words_ = words;
  if (plan_.conversion == ItemConversion::kWords && words == 1) {  // scalars need no scratch memory
    auto* out = reinterpret_cast<Value*>(data_) + items_;
    for (std::uint64_t i = 0; i < count; ++i) {
      out[i] = first[i * stride];
    }
    items_ += count;
    return;
  }
  const bool packed = plan_.conversion == ItemConversion::kPacked ||
                      plan_.conversion == ItemConversion::kPackedBits;
  if (packed || words > kChunkWords) {  // row by row: packed rows are padded to whole words
    for (std::uint64_t i = 0; i < count; ++i) {
      Convert(row + i, first + i * stride, words);
    }
    return;
  }
  if (words == stride || count == 1) {
    Convert(row, first, count * words);
    return;
  }
  // The words of other fields lie between the rows. Converting each short row by itself would cost
  // a call for each, so they are gathered first.
  gathered_.resize(kChunkWords);
  const std::uint64_t rows_at_once = kChunkWords / words;
  for (std::uint64_t done = 0; done < count; done += rows_at_once) {
    const std::uint64_t now = std::min(rows_at_once, count - done);
    GatherRows(first + done * stride, stride, words, now, gathered_.data());
    Convert(row + done, gathered_.data(), now * words);
  }
}

// Converts `count` words: those of whole rows from `row` on, without gaps. For a packed field they
// are the words of one row.
void LeafBuilder::Convert(std::uint64_t row, const Value* words, std::uint64_t count) {
  std::byte* out = data_ + items_ * plan_.item_bits / 8;
  switch (plan_.conversion) {
    case ItemConversion::kNothing:
      return;
    case ItemConversion::kWords:
      std::memcpy(out, words, count * sizeof(Value));
      items_ += count * 64 / plan_.item_bits;
      return;
    case ItemConversion::kDecode:
      reader_.Decode({words, count}, plan_.type, out);
      items_ += count * 8 / (plan_.item.kind == Kind::kFixedBinary ? plan_.item_bits : 8);
      return;
    case ItemConversion::kBits:
      for (std::uint64_t done = 0; done < count; done += kChunkWords) {
        const std::uint64_t now = std::min(kChunkWords, count - done);
        bools_.resize(kChunkWords);
        reader_.Decode({words + done, now}, plan_.type, bools_.data());
        PackBools(bools_.data(), now, reinterpret_cast<std::uint8_t*>(data_), items_);
        items_ += now;
      }
      return;
    case ItemConversion::kPacked:
    case ItemConversion::kPackedBits:
      CopyPacked(reinterpret_cast<const std::byte*>(words), plan_.unit_items);
      return;
    case ItemConversion::kChecked:
      CheckAndNarrow(row, words, count);
      items_ += count;
  }
}

// Appends items that are stored as bytes. A damaged file may hold bools other than 0 and 1.
void LeafBuilder::CopyPacked(const std::byte* from, std::uint64_t count) {
  if (plan_.conversion == ItemConversion::kPacked) {
    std::memcpy(data_ + items_ * plan_.item_bits / 8, from, count * plan_.item_bits / 8);
  } else {
    for (std::uint64_t i = 0; i < count; ++i) {
      if (from[i] != std::byte{0}) {
        SetBit(reinterpret_cast<std::uint8_t*>(data_), items_ + i);
      }
    }
  }
  items_ += count;
}

// Converts only if all words fit: the check and the conversion are separate loops, which the
// compiler turns into vector code.
void LeafBuilder::CheckAndNarrow(std::uint64_t row, const Value* words, std::uint64_t count) {
  std::byte* out = data_ + items_ * plan_.item_bits / 8;
  const std::uint64_t good = WithInteger(plan_.item, [&](auto item) {
    using Item = decltype(item);
    const std::uint64_t first = FirstThatDoesNotFit<Item>(words, count, plan_.source_is_signed);
    if (first == count) {
      NarrowAll<Item>(words, count, out);
    }
    return first;
  });
  if (good == count) {
    return;
  }
  throw Error(ErrorCode::kInvalidArgument,
              StrCat("exporting to Arrow: field '", plan_.name, "': row ",
                     first_row_ + static_cast<Row>(row + good / row_words_), ": ",
                     plan_.source_is_signed ? StrCat(words[good])
                                            : StrCat(static_cast<std::uint64_t>(words[good])),
                     " is not a valid ", TypeText(plan_.item)));
}

OutArray LeafBuilder::Finish() {
  SkipTo(rows_);
  OutArray made = plan_.is_text() ? FinishText() : FinishItems();
  if (plan_.conversion == ItemConversion::kNothing) {
    made.length = rows_;
    made.null_count = rows_;
    made.buffers.clear();
    return made;
  }
  if (plan_.lists.empty()) {
    made.length = rows_;
  }
  // The lists are wrapped from the inside out. Inner lists of one level have equal lengths, and
  // only whole rows can be missing, so only level 0 needs validity.
  for (std::size_t level = plan_.lists.size(); level-- > 0;) {
    made = level == 0 ? FinishRows(std::move(made)) : FinishInner(level, std::move(made));
  }
  made.null_count = rows_ - present_rows_;
  made.buffers[0] = validity();
  return made;
}

// Wraps the items of one inner level in their lists, of which each has plan_.fixed[level] items.
OutArray LeafBuilder::FinishInner(std::size_t level, OutArray items) {
  const Type& list = plan_.lists[level];
  OutArray out;
  out.length = items.length / plan_.fixed[level];
  out.buffers = {nullptr};
  if (list.has_offsets()) {
    const bool wide = list.bits == 64;
    std::byte* offsets = memory_->Make((out.length + 1) * (wide ? 8 : 4));
    FillOffsetsOf(wide, offsets, 0, out.length + 1, 0, plan_.fixed[level]);
    AddOffsets(list, offsets, out);
  }
  out.children.push_back(std::move(items));
  return out;
}

// Adds the offsets of an array of lists, and the sizes if they are views.
void LeafBuilder::AddOffsets(const Type& list, const std::byte* offsets, OutArray& out) {
  out.buffers.push_back(offsets);
  if (list.kind == Kind::kListView) {
    const bool wide = list.bits == 64;
    std::byte* sizes = memory_->Make(out.length * (wide ? 8 : 4));
    FillSizesOf(wide, offsets, out.length, sizes);
    out.buffers.push_back(sizes);
  }
}

// Wraps the items in the outermost lists, one for each row.
OutArray LeafBuilder::FinishRows(OutArray items) {
  OutArray out;
  out.length = rows_;
  out.buffers = {nullptr};
  if (plan_.lists[0].has_offsets()) {
    AddOffsets(plan_.lists[0], offsets_, out);
  } else if (present_rows_ < rows_ && plan_.has_nullable_items) {
    // The items of a missing row are null too, as pyarrow's builders write them; some consumers
    // look at the items without the validity of their list.
    auto* bits = reinterpret_cast<std::uint8_t*>(memory_->MakeZeroed(BitmapBytes(items.length)));
    for (std::uint64_t row = 0; row < rows_; ++row) {
      if (GetBit(validity_, row)) {
        SetBits(bits, row * plan_.fixed[0], plan_.fixed[0]);
      }
    }
    items.buffers[0] = bits;
    items.null_count = (rows_ - present_rows_) * plan_.fixed[0];
  }
  out.children.push_back(std::move(items));
  return out;
}

OutArray LeafBuilder::FinishItems() {
  OutArray items;
  items.length = items_;
  items.buffers = {nullptr, data_};
  return items;
}

OutArray LeafBuilder::FinishText() {
  if (plan_.item.bits == 0) {
    return MakeViews(*memory_, rows_, reinterpret_cast<const std::int64_t*>(offsets_), data_);
  }
  OutArray text;
  text.buffers = {nullptr, offsets_, data_};
  return text;
}

}  // namespace stream_store::arrow
