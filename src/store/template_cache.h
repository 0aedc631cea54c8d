// Layout templates: a layout checked once and written out value by value, so that the types of a
// window are copies.
//
// Each thread keeps the templates of the layouts it met last. Layouts longer than kTemplateValues
// have none: writing them out would cost more than it saves, so their readers walk the layout's
// words with ForEachField().
//
// Used by windows.cc, gather.cc and number.cc for templates; index.cc, scan.cc, row_plans.cc
// and segment_cuts.cc use ForEachField() only. Thread rules: a cache belongs to one thread.
#pragma once

#include <cstdint>
#include <vector>

#include "base/assert.h"
#include "format/layout.h"
#include "storage/view.h"
#include "store/layout_cache.h"

namespace stream_store::internal {

/// The most values, and the most fields, of a layout with a template.
inline constexpr std::uint64_t kTemplateValues = 512;

/// The least number of elements that follow the first period of a repeated column.
inline constexpr std::uint64_t kRepeatValues = 512;

/// Calls visit(type, begin, length) for each field-write of a layout, `begin` counted in values of
/// the record, and returns the total. Throws Error(kCorrupt) unless each type exists, types rise
/// and lengths sum to the total; visit() may have been called for the first field-writes by then.
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
      ThrowCorruptLayout(view, offset, "expected type ids that rise and are in the schema");
    }
    if (length > layout.total - begin) {
      ThrowCorruptLayout(view, offset, "expected lengths whose sum is the total but it is more");
    }
    visit(static_cast<TypeId>(type), begin, length);
    begin += length;
    least_type = type + 1;
  }
  if (begin != layout.total) {
    ThrowCorruptLayout(view, offset, "expected lengths whose sum is the total but it is less");
  }
  return layout.total;
}

/// One element per value of a record. Once a read needs consecutive records of the layout, the
/// elements are repeated, so that up to period_values elements, from any phase on, are one copy.
struct TemplateColumn {
  std::vector<std::int64_t> values = {};
  std::uint64_t period_values = 0;  ///< a multiple of the total; 0: not repeated yet
};

/// A short layout, written out. Users index its columns with a phase: the place of a value in its
/// record, which is below `total`.
struct LayoutTemplate {
  struct FieldRun {
    TypeId type;
    std::uint32_t begin;
    std::uint32_t length;
  };

  bool plain_numbers = false;         ///< each value is an integer or float64, as `integers` says
  std::uint64_t total = 0;            ///< values of a record, <= kTemplateValues
  std::vector<FieldRun> fields = {};  ///< field-writes in order
  TemplateColumn types = {};          ///< type id of each value
  TemplateColumn offsets = {};   ///< place of each value in its field-write; empty until needed
  TemplateColumn integers = {};  ///< -1: an integer word, 0: float64 bits; empty until needed
};

/// The templates of one thread.
class TemplateCache {
 public:
  /// This thread's cache.
  static TemplateCache& ForThread();

  /// The template of a layout, or null if it is too long for one. Valid until the next Find() of
  /// another layout. Throws Error(kCorrupt).
  LayoutTemplate* Find(const View& view, std::uint32_t layout) {
    if (LayoutTemplate* found = templates_.Find(view, layout); found != nullptr) [[likely]] {
      return found;
    }
    return Insert(view, layout);
  }

 private:
  LayoutTemplate* Insert(const View& view, std::uint32_t layout);

  LayoutCache<LayoutTemplate, 6> templates_;
};

/// The offsets or integers of a template, written out by the first call: few reads want them.
TemplateColumn& OffsetsOf(LayoutTemplate& layout);
TemplateColumn& IntegersOf(const View& view, LayoutTemplate& layout);

/// Repeats the first period of a column. REQUIRES: layout.total > 0.
void RepeatColumn(const LayoutTemplate& layout, TemplateColumn& column);

}  // namespace stream_store::internal
