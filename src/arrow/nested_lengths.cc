// The part of NestedWriter that reads the lengths of lists and texts, and copies texts.
//
// Offsets are foreign: each must be at least the one before and inside the child.
#include <cstring>

#include "arrow/loads.h"
#include "arrow/nested_writer.h"
#include "arrow/view_text.h"
#include "base/str_cat.h"
#include "format/nested_block.h"
#include "format/utf8.h"

namespace stream_store::arrow {

using internal::StrCat;

namespace {

// Adds a range, as part of the last one if it follows it.
template <class Range>
void Add(std::vector<Range>& ranges, std::uint64_t begin, std::uint64_t end) {
  if (begin == end) {
    return;
  }
  if (!ranges.empty() && ranges.back().end == begin) {
    ranges.back().end = end;
  } else {
    ranges.push_back({begin, end});
  }
}

template <class Length>
void Narrow(const std::uint64_t* lengths, std::uint64_t count, std::byte* out) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto length = static_cast<Length>(lengths[i]);
    std::memcpy(out + i * sizeof(Length), &length, sizeof(length));
  }
}

bool IsAscii(const std::byte* text, std::uint64_t bytes) noexcept {
  std::uint64_t bits = 0;
  std::uint64_t at = 0;
  for (; at + 8 <= bytes; at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text + at, sizeof(word));
    bits |= word;
  }
  for (; at < bytes; ++at) {
    bits |= static_cast<std::uint64_t>(text[at]);
  }
  return (bits & 0x8080808080808080U) == 0;
}

const char* const kTooMany = "a list of more than 2^31 items, or a text of more than 2 GiB";

}  // namespace

// Reads the lengths of the present elements, all of which are lists or all of which are texts.
// Their items, or bytes, become frame.inner. `most` is the number of those in the child.
void NestedWriter::ReadLengths(const ArrayView& array, Elements present, std::uint64_t most,
                               std::size_t header, Frame& frame) {
  if (lengths_.size() < present.count) {
    lengths_.resize(present.count);
  }
  frame.inner.clear();
  all_lengths_ = 0;
  total_ = 0;
  if (array.type.kind == Kind::kFixedList) {
    ReadFixedLists(array, present, frame);
  } else if (array.type.kind == Kind::kListView) {
    ReadListViews(array, present, most, header, frame);
  } else if (array.type.bits == 64) {
    ReadOffsets<std::int64_t>(array, present, most, header, frame);
  } else {
    ReadOffsets<std::int32_t>(array, present, most, header, frame);
  }
  if (total_ > kMostCellBytes) {
    Refuse(0, header, kTooMany);
  }
}

// The loop only notes whether the offsets rise, so that it has no branch; the rare bad one is
// searched for afterwards.
template <class Offset>
void NestedWriter::ReadOffsets(const ArrayView& array, Elements present, std::uint64_t most,
                               std::size_t header, Frame& frame) {
  std::uint64_t done = 0;
  for (const Range& range : present.ranges) {
    const std::byte* offsets = array.first + (array.shift + range.begin) * sizeof(Offset);
    const std::uint64_t count = range.end - range.begin;
    const auto first = static_cast<std::int64_t>(ItemAt<Offset>(offsets, 0));
    std::int64_t before = first;
    bool rises = first >= 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto next = static_cast<std::int64_t>(ItemAt<Offset>(offsets, i + 1));
      rises &= next >= before;
      const auto length = static_cast<std::uint64_t>(next) - static_cast<std::uint64_t>(before);
      lengths_[done + i] = length;
      all_lengths_ |= length;
      before = next;
    }
    if (!rises || static_cast<std::uint64_t>(before) > most) {
      for (std::uint64_t i = 0;; ++i) {
        const auto begin = static_cast<std::int64_t>(ItemAt<Offset>(offsets, i));
        const auto end = static_cast<std::int64_t>(ItemAt<Offset>(offsets, i + 1));
        if (begin < 0 || end < begin || static_cast<std::uint64_t>(end) > most) {
          Refuse(done + i, header,
                 StrCat("expected offsets that rise, up to ", most, ", but found ", begin, " and ",
                        end));
        }
      }
    }
    Add(frame.inner, static_cast<std::uint64_t>(first), static_cast<std::uint64_t>(before));
    total_ += static_cast<std::uint64_t>(before - first);
    if (total_ > kMostCellBytes) {
      Refuse(done, header, kTooMany);
    }
    done += count;
  }
}

void NestedWriter::ReadListViews(const ArrayView& array, Elements present, std::uint64_t most,
                                 std::size_t header, Frame& frame) {
  std::uint64_t done = 0;
  for (const Range& range : present.ranges) {
    for (std::uint64_t i = range.begin; i < range.end; ++i, ++done) {
      const std::int64_t from = LoadOffset(array.first, array.type.bits, array.shift + i);
      const std::int64_t size = LoadOffset(array.second, array.type.bits, array.shift + i);
      const auto begin = static_cast<std::uint64_t>(from);
      const auto length = static_cast<std::uint64_t>(size);
      if (from < 0 || begin > most || size < 0 || length > most - begin) {
        Refuse(done, header,
               StrCat("a list of ", size, " items at ", from, ", outside the ", most,
                      " items of its array"));
      }
      Add(frame.inner, begin, begin + length);
      lengths_[done] = length;
      all_lengths_ |= length;
      total_ += length;
      if (total_ > kMostCellBytes) {
        Refuse(done, header, kTooMany);
      }
    }
  }
}

void NestedWriter::ReadFixedLists(const ArrayView& array, Elements present, Frame& frame) {
  const auto size = static_cast<std::uint64_t>(array.type.size);
  for (const Range& range : present.ranges) {
    Add(frame.inner, (array.shift + range.begin) * size, (array.shift + range.end) * size);
  }
  std::fill_n(lengths_.begin(), present.count, size);
  all_lengths_ = size;
  total_ = present.count * size;
}

// Writes the lengths that were read, as narrow as the largest allows.
void NestedWriter::WriteLengths(std::uint64_t count, std::size_t header) {
  const unsigned width = internal::LengthWidth(all_lengths_);
  *out_->at(header) |= static_cast<std::byte>(width << internal::kNestedLengthShift);
  std::byte* out = Extend(count << width);
  switch (width) {
    case 0:
      return Narrow<std::uint8_t>(lengths_.data(), count, out);
    case 1:
      return Narrow<std::uint16_t>(lengths_.data(), count, out);
    case 2:
      return Narrow<std::uint32_t>(lengths_.data(), count, out);
    default:
      return Narrow<std::uint64_t>(lengths_.data(), count, out);
  }
}

void NestedWriter::CheckListLengths(std::uint32_t size, std::uint64_t count, std::size_t header) {
  for (std::uint64_t i = 0; i < count; ++i) {
    if (lengths_[i] != size) {
      Refuse(i, header, StrCat("expected a list of ", size, " items but found ", lengths_[i]));
    }
  }
}

void NestedWriter::WriteTexts(const NestedView& view, Elements present, std::size_t header,
                              Frame& frame) {
  const ArrayView& array = view.array;
  std::size_t begin = 0;
  if (array.type.bits == 0) {
    WriteTextViews(array, present, header);
    begin = out_->size() - total_;
  } else {
    // The size of the text buffer is not recorded anywhere, so the offsets cannot be checked
    // against it.
    ReadLengths(array, present, INT64_MAX, header, frame);
    if (array.second == nullptr && total_ > 0) {
      Refuse(0, header, StrCat("expected a buffer of texts but found none"));
    }
    WriteLengths(present.count, header);
    std::byte* out = Extend(total_);
    begin = out_->size() - total_;
    for (const Range& range : frame.inner) {  // none of which is empty
      // NOLINTNEXTLINE(clang-analyzer-core.NullPointerArithm): there is a buffer if there are bytes
      std::memcpy(out, array.second + range.begin, range.end - range.begin);
      out += range.end - range.begin;
    }
  }
  if (view.source->is_text) {
    CheckTexts(begin, present.count, header);
  }
}

// Views are read twice, for their lengths and for their texts, because the lengths are stored first.
void NestedWriter::WriteTextViews(const ArrayView& array, Elements present, std::size_t header) {
  if (lengths_.size() < present.count) {
    lengths_.resize(present.count);
  }
  all_lengths_ = 0;
  total_ = 0;
  std::uint64_t done = 0;
  for (const Range& range : present.ranges) {
    for (std::uint64_t i = range.begin; i < range.end; ++i, ++done) {
      const auto text = FindViewText(array, array.shift + i);
      if (!text) {
        Refuse(done, header, BadViewText(array, array.shift + i));
      }
      lengths_[done] = text->size();
      all_lengths_ |= text->size();
      total_ += text->size();
    }
  }
  if (total_ > kMostCellBytes) {
    Refuse(0, header, kTooMany);
  }
  WriteLengths(present.count, header);
  std::byte* out = Extend(total_);
  for (const Range& range : present.ranges) {
    for (std::uint64_t i = range.begin; i < range.end; ++i) {
      const auto text = *FindViewText(array, array.shift + i);
      std::memcpy(out, text.data(), text.size());
      out += text.size();
    }
  }
}

// Checks the texts that were written from `begin` on. Texts that are valid one after the other are
// valid each, unless one of them begins inside a character.
void NestedWriter::CheckTexts(std::size_t begin, std::uint64_t count, std::size_t header) {
  const std::byte* texts = out_->at(begin);
  if (IsAscii(texts, total_)) {
    return;
  }
  bool valid = internal::FirstInvalidUtf8(texts, total_) == internal::kAllUtf8;
  std::uint64_t at = 0;
  for (std::uint64_t i = 0; i < count && valid; ++i) {
    valid = at == total_ || (texts[at] & std::byte{0xc0}) != std::byte{0x80};
    at += lengths_[i];
  }
  if (valid) {
    return;
  }
  at = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t bad = internal::FirstInvalidUtf8(texts + at, lengths_[i]);
    if (bad != internal::kAllUtf8) {
      Refuse(i, header, StrCat("expected UTF-8 but byte ", bad, " of the string is not"));
    }
    at += lengths_[i];
  }
}

}  // namespace stream_store::arrow
