// Layout templates: a layout checked once and written out value by value, so that the types of a
// window are copies.
//
// Each thread keeps kTemplates of them, found by mapping and word offset. Longer layouts than
// kTemplateValues are not kept: their readers walk the layout's words with ForEachField(). Who uses
// it: windows, gather, index and rows. Thread rules: a cache belongs to one thread.
#pragma once

#include <cstdint>
#include <vector>

#include "storage/view.h"

namespace stream_store::internal {

inline constexpr std::uint64_t kTemplates = 64;
inline constexpr std::uint64_t kTemplateValues =
    512;  ///< values, and fields, of a layout that is kept
inline constexpr std::uint64_t kRepeatValues =
    512;  ///< least length of the repeats that follow a first period

/// Calls visit(type, begin, length) for every field-write of a layout, begin counted in values of
/// the record, and returns the total. Every type exists, types rise, lengths sum to the total.
/// Throws Error(kCorrupt).
template <class Visit>
std::uint64_t ForEachField(const View& view, std::uint32_t offset, const Visit& visit) {
  const LayoutRef layout = LayoutAt(view, offset);
  const std::uint64_t known_types = view.store_schema->schema.size();
  std::uint64_t begin = 0;
  std::uint64_t least_type = 0;
  for (std::uint64_t i = 0; i < layout.fields; ++i) {
    const std::uint64_t word = LoadOnce(layout.words[i]);
    const std::uint64_t type = WordType(word);
    const std::uint64_t length = WordLength(word);
    if (type < least_type || type >= known_types) {
      ThrowCorruptLayout(view, offset, "type ids do not rise or exist");
    }
    if (length > layout.total - begin) {
      ThrowCorruptLayout(view, offset, "lengths pass the total");
    }
    visit(static_cast<TypeId>(type), begin, length);
    begin += length;
    least_type = type + 1;
  }
  if (begin != layout.total) {
    ThrowCorruptLayout(view, offset, "lengths do not reach the total");
  }
  return layout.total;
}

/// One value per value of a layout, followed by repeats once somebody reads a run of equal records.
struct TemplateColumn {
  std::vector<std::int64_t> values = {};
  std::uint64_t period_values =
      0;  ///< a multiple of the total that a copy from any phase may take; 0: no repeats
};

/// A short layout, written out. REQUIRES of its users: phase < total.
struct LayoutTemplate {
  struct FieldRun {
    TypeId type;
    std::uint32_t begin;
    std::uint32_t length;
  };

  std::uint64_t mapping_key = 0;
  std::uint32_t offset = 0;
  bool used = false;
  bool plain_numbers = false;  ///< `integers` is enough to tell numbers; else NumberOf() each
  std::uint64_t total = 0;     ///< values of a record, <= kTemplateValues
  std::vector<FieldRun> fields = {};  ///< field-writes in order
  TemplateColumn types = {};          ///< type id of each value
  TemplateColumn offsets = {};   ///< place of each value in its field-write; empty until wanted
  TemplateColumn integers = {};  ///< -1: an integer word, 0: float64 bits; empty until wanted
};

/// The templates of one thread.
class TemplateCache {
 public:
  /// This thread's cache.
  static TemplateCache& ForThread();

  /// The template of a layout, or null if it is too long for one. Valid until the next Find() of
  /// another layout. Throws Error(kCorrupt).
  LayoutTemplate* Find(const View& view, std::uint32_t offset) {
    // Offsets of different layouts differ by a few words: a multiplication spreads them over the
    // slots.
    LayoutTemplate& slot = slots_[offset * 0x9e3779b1U >> 26];
    if (slot.used && slot.offset == offset && slot.mapping_key == view.mapping_key) [[likely]] {
      return &slot;
    }
    return Insert(view, offset, slot);
  }

 private:
  static LayoutTemplate* Insert(const View& view, std::uint32_t offset, LayoutTemplate& slot);

  std::vector<LayoutTemplate> slots_{kTemplates};  // on the heap: thread-local storage is scarce
};

/// The integers or offsets of a template, written out on the first call.
TemplateColumn& OffsetsOf(LayoutTemplate& layout);
TemplateColumn& IntegersOf(const View& view, LayoutTemplate& layout);

/// Gives a column its repeats. REQUIRES: total > 0.
void RepeatColumn(const LayoutTemplate& layout, TemplateColumn& column);

}  // namespace stream_store::internal
