// Numbers: integers and floats of a run are converted side by side and blended, the rest word by
// word.
#include "store/number.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "store/wide.h"

namespace stream_store::internal {
namespace {

// One word whose kind is known: the same answer as NumberOf(), without a look at the field. False
// for NaNs, whose payload NumberOf() keeps.
STREAM_STORE_INLINE float PlainNumber(Value word, std::int64_t integer, bool& odd) {
  const double real = std::bit_cast<double>(word);
  const bool nan = integer == 0 && real != real;
  odd |= nan;
  return integer != 0 ? static_cast<float>(word) : static_cast<float>(real);
}

void FillExactly(const View& view, const LayoutTemplate& layout, std::uint64_t skip,
                 const Value* values, std::uint64_t count, float* out) {
  std::uint64_t phase = skip;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto type = static_cast<TypeId>(layout.types.values[phase]);
    out[i] = NumberOf(view.meaning->encodings[type], values[i]);
    if (++phase == layout.total) phase = 0;
  }
}

}  // namespace

void FillNumbers(const View& view, LayoutTemplate& layout, std::uint64_t skip, const Value* values,
                 std::uint64_t count, float* out) {
  if (!layout.plain_numbers) return FillExactly(view, layout, skip, values, count, out);
  TemplateColumn& column = IntegersOf(view, layout);
  if (count > layout.total - skip && column.period_values == 0) RepeatColumn(layout, column);
  while (count > 0) {
    const std::uint64_t most = column.period_values == 0 ? count : column.period_values;
    const std::uint64_t n = std::min(count, most);
    const std::int64_t* integers = column.values.data() + skip;
    bool odd = false;
    for (std::uint64_t i = 0; i < n; ++i) out[i] = PlainNumber(values[i], integers[i], odd);
    if (odd) [[unlikely]]
      FillExactly(view, layout, skip, values, n, out);
    values += n;
    out += n;
    count -= n;
  }
}

}  // namespace stream_store::internal
