// Building layout templates. The hot half, finding them, is in the header.
#include "store/template_cache.h"

namespace stream_store::internal {
namespace {

// What NumberOf() does with a word of this field.
enum class NumberKind { kFloat, kInteger, kOther };

NumberKind NumberKindOf(const Encoding& encoding) {
  if (encoding.packed) {
    return NumberKind::kInteger;  // the number of the word
  }
  if (encoding.kind == WordKind::kFloat) {
    return NumberKind::kFloat;
  }
  return encoding.dtype == DType::kUInt64 ? NumberKind::kOther : NumberKind::kInteger;
}

void CheckInsertable(const View& view, std::uint32_t offset, LayoutTemplate& slot) {
  slot.fields.clear();
  slot.plain_numbers = true;
  slot.total =
      ForEachField(view, offset, [&](TypeId type, std::uint64_t begin, std::uint64_t length) {
        slot.fields.push_back(
            {type, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(length)});
        if (NumberKindOf(view.store_schema->encodings[type]) == NumberKind::kOther) {
          slot.plain_numbers = false;
        }
      });
}

void ClearColumn(TemplateColumn& column) {
  column.values.clear();
  column.period_values = 0;
}

}  // namespace

TemplateCache& TemplateCache::ForThread() {
  thread_local TemplateCache cache;
  return cache;
}

LayoutTemplate* TemplateCache::Insert(const View& view, std::uint32_t offset,
                                      LayoutTemplate& slot) {
  const LayoutRef layout = LayoutAt(view, offset);
  if (layout.total > kTemplateValues || layout.fields > kTemplateValues) {
    return nullptr;
  }
  slot.used = false;  // until all of it is there
  CheckInsertable(view, offset, slot);
  if (slot.total > kTemplateValues || slot.fields.size() > kTemplateValues) {
    return nullptr;  // changed in between
  }
  ClearColumn(slot.types);
  ClearColumn(slot.offsets);
  ClearColumn(slot.integers);
  for (const LayoutTemplate::FieldRun& field : slot.fields) {
    slot.types.values.insert(slot.types.values.end(), field.length, field.type);
  }
  slot.mapping_key = view.mapping_key;
  slot.offset = offset;
  slot.used = true;
  return &slot;
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
