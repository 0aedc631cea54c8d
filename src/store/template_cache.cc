// Makes layout templates. Finding them is hot, so that is in the header.
#include "store/template_cache.h"

#include <memory>

namespace stream_store::internal {
namespace {

// How NumberOf() converts a word of a field: as float64 bits, as an integer, or in another way.
enum class NumberKind { kFloat, kInteger, kOther };

NumberKind NumberKindOf(const Encoding& encoding) {
  if (encoding.packed) {
    return NumberKind::kInteger;  // a packed word counts as an int64
  }
  if (encoding.kind == WordKind::kFloat) {
    return NumberKind::kFloat;
  }
  return encoding.dtype == DType::kUInt64 ? NumberKind::kOther : NumberKind::kInteger;
}

void Clear(TemplateColumn& column) {
  column.values.clear();
  column.period_values = 0;
}

// Checks and writes out a layout. Returns false if it is too long after all.
[[gnu::noinline]] bool Fill(const View& view, std::uint32_t layout, LayoutTemplate& made) {
  made.fields.clear();
  made.plain_numbers = true;
  made.total =
      ForEachField(view, layout, [&](TypeId type, std::uint64_t begin, std::uint64_t length) {
        made.fields.push_back(
            {type, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(length)});
        if (NumberKindOf(view.store_schema->encodings[type]) == NumberKind::kOther) {
          made.plain_numbers = false;
        }
      });
  if (made.total > kTemplateValues || made.fields.size() > kTemplateValues) {
    return false;
  }
  Clear(made.types);
  Clear(made.offsets);
  Clear(made.integers);
  for (const LayoutTemplate::FieldRun& field : made.fields) {
    made.types.values.insert(made.types.values.end(), field.length, field.type);
  }
  return true;
}

}  // namespace

TemplateCache& TemplateCache::ForThread() {
  // On the heap: the space for thread-local variables of a shared library is small.
  thread_local const auto cache = std::make_unique<TemplateCache>();
  return *cache;
}

LayoutTemplate* TemplateCache::Insert(const View& view, std::uint32_t layout) {
  // The length is tested before a template is overwritten: a long layout must not take the slot of
  // a short one. Fill() tests it again, since a hostile writer may change the words in between.
  const LayoutRef words = LayoutAt(view, layout);
  if (words.total > kTemplateValues || words.fields > kTemplateValues) {
    return nullptr;
  }
  return templates_.Insert(view, layout,
                           [&](LayoutTemplate& made) { return Fill(view, layout, made); });
}

TemplateColumn& OffsetsOf(LayoutTemplate& layout) {
  std::vector<std::int64_t>& values = layout.offsets.values;
  if (!values.empty()) {
    return layout.offsets;
  }
  for (const LayoutTemplate::FieldRun& field : layout.fields) {
    for (std::uint32_t i = 0; i < field.length; ++i) {
      values.push_back(i);
    }
  }
  return layout.offsets;
}

TemplateColumn& IntegersOf(const View& view, LayoutTemplate& layout) {
  std::vector<std::int64_t>& values = layout.integers.values;
  if (!values.empty()) {
    return layout.integers;
  }
  for (const LayoutTemplate::FieldRun& field : layout.fields) {
    const NumberKind kind = NumberKindOf(view.store_schema->encodings[field.type]);
    values.insert(values.end(), field.length, kind == NumberKind::kInteger ? -1 : 0);
  }
  return layout.integers;
}

void RepeatColumn(const LayoutTemplate& layout, TemplateColumn& column) {
  STREAM_STORE_ASSERT(layout.total > 0);
  const std::uint64_t repeats = (kRepeatValues + layout.total - 1) / layout.total;
  std::vector<std::int64_t>& values = column.values;
  values.reserve(layout.total * (repeats + 1));
  for (std::uint64_t i = 0; i < repeats; ++i) {
    for (std::uint64_t j = 0; j < layout.total; ++j) {
      values.push_back(values[j]);
    }
  }
  column.period_values = layout.total * repeats;
}

}  // namespace stream_store::internal
