// LayoutTable: the layouts that this session wrote, so that a repeated shape is stored once.
//
// Used by Appender, under the append flag. It has a fixed size and never allocates. A collision
// forgets the older layout, which may then be written a second time; that does no harm. Layouts of
// earlier sessions are never reused: those written after the last sync may differ from the bytes on
// disk.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>

#include "format/layout.h"

namespace stream_store::internal {

class LayoutTable {
 public:
  struct Entry {
    std::uint32_t digest = 0;
    std::uint32_t offset = 0;  ///< Record::layout; 0 marks an unused entry
  };

  /// The mapped layouts: the address of word 0, and the number of words.
  struct Words {
    const std::uint64_t* first;
    std::uint64_t end;
  };

  /// The layout of these words (head first), or null.
  const Entry* Find(std::uint32_t digest, std::span<const std::uint64_t> words,
                    const Words& layouts) const noexcept {
    const Entry& entry = entries_[digest % kSlots];
    const bool same = entry.offset != 0 && entry.digest == digest &&
                      std::memcmp(layouts.first + LayoutWordBefore(layouts.end, entry.offset),
                                  words.data(), words.size_bytes()) == 0;
    return same ? &entry : nullptr;
  }

  void Insert(std::uint32_t digest, std::uint32_t offset) noexcept {
    entries_[digest % kSlots] = Entry{digest, offset};
  }

 private:
  static constexpr std::size_t kSlots = 1024;
  std::array<Entry, kSlots> entries_{};
};

}  // namespace stream_store::internal
