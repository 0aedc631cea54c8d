// View: a fixed part of a store in memory, from its first row that was not dropped on. It has everything that a read needs.
//
// ReadSource makes Views from `published`, after checking the sizes of the files; all read
// functions of src/store take one. The memory is mapped from files that another process may change
// at any time, and that process may be hostile. Therefore code that reads through a View follows
// these rules:
//   1. A word of a record, layout or hint that becomes an offset, length or count is loaded once,
//      with LoadOnce(), and checked before a pointer is formed from it.
//   2. Nothing is loaded beyond record_count records (the sentinel is not part of a View),
//      value_count values, layout_words words or the ends of the hints, and nothing before
//      begin_record, first_position, layout_begin or the hints of first_position and first_row.
//   3. Words that no writer can have written throw Error(kCorrupt), naming the store and the
//      record.
//   4. Such words are never asserted on: assertions are for bugs of callers, not for damaged data.
// Thread rules: a View is a value; copies may be used in different threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "stream_store/schema.h"
#include "stream_store/types.h"

#include "base/assert.h"
#include "format/encoding.h"
#include "format/record.h"

namespace stream_store::internal {

/// The schema of a store in the forms that reads and appends need. Immutable; shared by its Views.
struct StoreSchema {
  Schema schema;
  std::vector<Encoding> encodings;  ///< one per type id
  std::string path;                 ///< directory for messages, or "temporary store"
  std::uint64_t number = 0;         ///< how many the same StoreFiles had before; see CacheKey()
};

/// Every StoreSchema::number is less than this.
inline constexpr std::uint64_t kMaxSchemas = 1 << 20;

/// The key of caches of layouts of one set of mappings and one schema: what is derived from a layout
/// depends on both. Two Views with equal keys have the same mappings and the same schema.
/// maps_key  the key of mappings of the StoreFiles that the schema is of.
/// REQUIRES: schema.number < kMaxSchemas.
inline std::uint64_t CacheKey(std::uint64_t maps_key, const StoreSchema& schema) noexcept {
  STREAM_STORE_ASSERT(schema.number < kMaxSchemas);
  return maps_key * kMaxSchemas + schema.number;
}

/// The part of a store that is there. All counts are those of the View, not of the store; the
/// letters are those of docs/format.md. The pointers are indexed with the numbers of the store, so
/// after a drop they may point to before the memory that is there.
struct View {
  const Value* values = nullptr;
  const Record* records = nullptr;
  const std::uint64_t* layouts = nullptr;
  const std::uint64_t* position_hints = nullptr;
  const std::uint64_t* row_hints = nullptr;
  std::uint64_t value_count = 0;   ///< D
  std::uint64_t record_count = 0;  ///< N
  std::uint64_t row_count = 0;     ///< R
  // The view holds records [begin_record, record_count), and their rows and values. Everything
  // before was dropped: numbers stay as they are, and no word before these may be loaded.
  std::uint64_t begin_record = 0;
  std::uint64_t first_row = 0;       ///< the row that record begin_record starts
  std::uint64_t first_position = 0;  ///< the start of record begin_record
  std::uint64_t layout_begin = 0;    ///< the first word of `layouts` that records refer to
  std::uint64_t layout_words = 0;  ///< the end of `layouts` in memory: the bound for layout offsets
  // Hints in memory end before these slots, and may end earlier than positions and rows need. The
  // first slots are first_position / 256 and first_row / 256.
  std::uint64_t position_hint_end = 0;
  std::uint64_t row_hint_end = 0;
  bool sparse = false;      ///< of a SafeCopy: parts that were not fetched read as zeros
  bool rows_final = false;  ///< the store has rows after this View, so its last row cannot grow
  std::uint64_t mapping_key = 0;  ///< CacheKey() of its mappings and schema
  std::shared_ptr<const StoreSchema> store_schema;
  std::shared_ptr<const void> mappings;  ///< keeps the memory above alive
};

/// Whether the View has any record: a damaged store may count rows or values without one.
inline bool HasRecords(const View& view) noexcept { return view.record_count > view.begin_record; }

/// Loads a mapped word exactly once (relaxed). With an ordinary load the compiler could load it
/// again after the check and use another value.
template <class T>
T LoadOnce(const T& word) noexcept {
  return __atomic_load_n(&word, __ATOMIC_RELAXED);
}

/// A layout inside a View: `words[0, fields)` are the words after its head. They are still
/// unchecked: load each with LoadOnce().
struct LayoutRef {
  std::uint64_t fields = 0;
  std::uint64_t total = 0;
  const std::uint64_t* words = nullptr;
};

/// Returns the number of the word in `layouts` that the 32 bits of a record refer to: the first one
/// from layout_begin on that ends in them. There is only one, since fewer than 2^32 words of layouts
/// are retained. No layout is at a word that ends in 32 zeros, because 0 stands for the empty one.
/// Unlike LayoutWordFrom(), which gives the same, it may be called for the empty layout: the result is
/// a word where no layout is.
inline std::uint64_t ResolveLayout(const View& view, std::uint32_t layout) noexcept {
  return view.layout_begin +
         static_cast<std::uint32_t>(layout - static_cast<std::uint32_t>(view.layout_begin));
}

/// Returns the layout that a record's word refers to. Its field count is at most that of the schema,
/// and all its words are inside the View. Throws Error(kCorrupt) otherwise.
LayoutRef LayoutAt(const View& view, std::uint32_t layout);

/// Throws Error(kCorrupt) "runs/a/layouts: layout at word 17: <what>".
[[noreturn]] void ThrowCorruptLayout(const View& view, std::uint32_t layout,
                                     const std::string& what);

/// Throws Error(kCorrupt) "runs/a/records: record 17: <what>".
[[noreturn]] void ThrowCorruptRecord(const View& view, std::uint64_t record,
                                     const std::string& what);

}  // namespace stream_store::internal
