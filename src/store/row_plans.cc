#include "store/row_plans.h"

#include <algorithm>
#include <bit>

#include "store/template_cache.h"

namespace stream_store::internal {
namespace {

constexpr std::size_t kColumnSets = 4;    // per thread
constexpr std::size_t kMostPlans = 1024;  // per set of columns
constexpr std::size_t kFewestPlans = 16;
constexpr std::size_t kMostParts = 1 << 14;  // per set of columns, so that wide rows stay cheap

struct ThreadPlans {
  std::vector<RowPlans> sets = std::vector<RowPlans>(kColumnSets);  // on the heap
  std::size_t next = 0;
};

}  // namespace

RowPlans& RowPlans::ForThread(const View& view, std::span<const TypeId> types) {
  thread_local ThreadPlans plans;
  for (RowPlans& set : plans.sets) {
    if (set.Fit(view, types)) {
      return set;
    }
  }
  RowPlans& set = plans.sets[plans.next];
  plans.next = (plans.next + 1) % kColumnSets;
  set.Reset(view, types);
  return set;
}

bool RowPlans::Fit(const View& view, std::span<const TypeId> types) const {
  return mapping_key_ == view.mapping_key && !slots_.empty() && std::ranges::equal(types, types_);
}

void RowPlans::Reset(const View& view, std::span<const TypeId> types) {
  const std::size_t wanted = kMostParts / std::max<std::size_t>(types.size(), 1);
  const std::size_t count = std::bit_floor(std::clamp(wanted, kFewestPlans, kMostPlans));
  slots_.clear();  // until all of it is there
  types_.assign(types.begin(), types.end());
  first_of_type_.assign(view.store_schema->schema.size(), kNone);
  next_same_type_.assign(types.size(), kNone);
  for (std::uint32_t column = 0; column < types.size(); ++column) {
    next_same_type_[column] = first_of_type_[types[column]];
    first_of_type_[types[column]] = column;
  }
  mapping_key_ = view.mapping_key;
  shift_ = 32U - static_cast<std::uint32_t>(std::countr_zero(count));
  parts_.assign(count * types.size(), {});
  slots_.resize(count);
}

void RowPlans::Insert(const View& view, std::uint32_t layout, std::size_t index) {
  Slot& slot = slots_[index];
  slot = {};  // until all of it is there
  const std::span<RowPart> parts(parts_.data() + index * types_.size(), types_.size());
  std::ranges::fill(parts, RowPart());
  const std::vector<Encoding>& encodings = view.store_schema->encodings;
  const std::uint64_t total =
      ForEachField(view, layout, [&](TypeId type, std::uint64_t begin, std::uint64_t words) {
        std::uint32_t column = first_of_type_[type];
        if (column == kNone) {
          return;
        }
        const Encoding& encoding = encodings[type];
        if (!encoding.AllowsLength(words)) {
          ThrowCorruptLayout(view, layout, "a length is none that its field can have");
        }
        const bool counts = encoding.ragged && encoding.unit_words > 0;
        const std::uint64_t units = counts ? words / encoding.unit_words : encoding.ragged ? 0 : 1;
        for (; column != kNone; column = next_same_type_[column]) {
          parts[column] = {begin, static_cast<std::int64_t>(units)};
        }
      });
  slot = {layout, total};
}

}  // namespace stream_store::internal
