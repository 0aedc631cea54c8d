// View: a fixed prefix of a store in mapped memory: all that a read needs.
//
// Made by storage from `published` after its checks, handed to the read functions of the store
// room. Rules for whoever reads through a View (a hostile peer may change mapped bytes any time):
//   1. Words of records, layouts and hints that become an offset, length or count are loaded once,
//      with LoadOnce(), and checked before a pointer is formed.
//   2. No load past record_count records (the sentinel is not part of a View), value_count values,
//      layout_words words or hint_slots hints.
//   3. What cannot be what was written throws Error(kCorrupt), naming `path` and the record.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "stream_store/schema.h"
#include "stream_store/types.h"

#include "format/encoding.h"
#include "format/layout.h"
#include "format/record.h"

namespace stream_store::internal {

/// What a store's values mean; shared by every View of it.
struct StoreSchema {
  Schema schema;
  std::vector<Encoding> encodings;  ///< one per type id
  std::string path;                 ///< directory for messages, "temporary store" for one
};

struct View {
  const Value* values = nullptr;
  const Record* records = nullptr;
  const std::uint64_t* layouts = nullptr;
  const Hint* hints = nullptr;
  std::uint64_t value_count = 0;   ///< D
  std::uint64_t record_count = 0;  ///< N
  std::uint64_t row_count = 0;     ///< R
  std::uint64_t layout_words = 0;  ///< words of `layouts` that are there: bounds layout offsets
  std::uint64_t hint_slots =
      0;                    ///< hints that are there; a hint may be absent or wrong, never trusted
  bool sparse = false;      ///< a copy of parts: what nobody asked for reads as zeros
  bool rows_final = false;  ///< later rows exist behind this View: its last row cannot grow
  std::uint64_t mapping_key =
      0;  ///< unique per set of mappings in this process: key for caches of layouts
  std::shared_ptr<const StoreSchema> store_schema;
  std::shared_ptr<const void> mappings;  ///< keeps the memory above alive
};

/// Loads a mapped word exactly once (relaxed), so that what was checked is what is used.
template <class T>
T LoadOnce(const T& word) noexcept {
  return __atomic_load_n(&word, __ATOMIC_RELAXED);
}

/// A layout inside a View: `words[0, fields)` follow the head. Lengths inside are still unchecked
/// words.
struct LayoutRef {
  std::uint64_t fields = 0;
  std::uint64_t total = 0;
  const std::uint64_t* words = nullptr;
};

/// The layout at a word offset; fields <= schema size and all words lie inside the View. Throws
/// Error(kCorrupt).
LayoutRef LayoutAt(const View& view, std::uint32_t offset);

/// "runs/a/layouts: layout at word 17: …"
[[noreturn]] void ThrowCorruptLayout(const View& view, std::uint32_t offset,
                                     const std::string& what);

/// "runs/a/records: record 17: …"
[[noreturn]] void ThrowCorruptRecord(const View& view, std::uint64_t record,
                                     const std::string& what);

}  // namespace stream_store::internal
