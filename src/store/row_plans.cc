// Makes row plans. Finding them is hot, so that is in the header.
#include "store/row_plans.h"

#include <algorithm>
#include <array>
#include <bit>
#include <memory>
#include <unordered_map>

#include "store/template_cache.h"

namespace stream_store::internal {
namespace {

constexpr std::size_t kColumnSets = 4;     // of each store, per thread
constexpr std::size_t kMostStores = 2048;  // per thread
constexpr std::size_t kMostPlans = 1024;   // per set of columns
constexpr std::size_t kFewestPlans = 16;
constexpr std::size_t kMostParts = 1 << 14;  // per set of columns: bounds the memory for wide rows

struct StorePlans {
  std::array<RowPlans, kColumnSets> sets;
  std::size_t next = 0;  // the set that is replaced next
};

// The plans of one thread, by View::mapping_key.
struct ThreadPlans {
  RowPlans* last = nullptr;  // mostly wanted again
  std::size_t most_stores = kMostStores;
  std::unordered_map<std::uint64_t, StorePlans> stores;

  // Most plans are of mappings that exist no more.
  void Clear() {
    last = nullptr;
    stores.clear();
  }
};

ThreadPlans& ThisThread() {
  // On the heap: the space for thread-local variables of a shared library is small.
  thread_local const auto thread = std::make_unique<ThreadPlans>();
  return *thread;
}

}  // namespace

RowPlans& RowPlans::ForThread(const View& view, std::span<const TypeId> types) {
  STREAM_STORE_ASSERT(std::ranges::all_of(
      types, [&](TypeId type) { return type < view.store_schema->schema.size(); }));
  ThreadPlans& thread = ThisThread();
  if (thread.last != nullptr && thread.last->Fits(view, types)) {
    return *thread.last;
  }
  if (thread.stores.size() >= thread.most_stores && !thread.stores.contains(view.mapping_key)) {
    thread.Clear();
  }
  StorePlans& plans = thread.stores[view.mapping_key];
  for (RowPlans& set : plans.sets) {
    if (set.Fits(view, types)) {
      thread.last = &set;
      return set;
    }
  }
  RowPlans& set = plans.sets[plans.next];
  plans.next = (plans.next + 1) % kColumnSets;
  set.Reset(view, types);
  thread.last = &set;
  return set;
}

// The calls that follow are mostly for stores that are there already, so `stores` may come on top.
void RowPlans::MakeRoom(std::size_t stores) {
  ThreadPlans& thread = ThisThread();
  const std::size_t kept = std::max(kMostStores, stores);
  if (thread.stores.size() > kept) {
    thread.Clear();
  }
  thread.most_stores = kept + stores;
}

bool RowPlans::Fits(const View& view, std::span<const TypeId> types) const {
  return mapping_key_ == view.mapping_key && !slots_.empty() && std::ranges::equal(types, types_);
}

void RowPlans::Reset(const View& view, std::span<const TypeId> types) {
  slots_.clear();  // marks the set as unused until all of it is set
  types_.assign(types.begin(), types.end());
  // A column may be wanted twice, so the columns of a type are a linked list.
  first_of_type_.assign(view.store_schema->schema.size(), kNone);
  next_same_type_.assign(types.size(), kNone);
  for (std::uint32_t column = 0; column < types.size(); ++column) {
    next_same_type_[column] = first_of_type_[types[column]];
    first_of_type_[types[column]] = column;
  }
  mapping_key_ = view.mapping_key;
  MakeSlots(kFewestPlans);
}

// Makes `count` empty slots.
void RowPlans::MakeSlots(std::size_t count) {
  slots_.clear();
  bits_ = static_cast<std::uint32_t>(std::countr_zero(count));
  parts_.assign(count * types_.size(), {});
  slots_.resize(count);
}

// Returns the slot for a layout. If that of another one is in the way, there are more slots from now
// on, up to the most: the plans are made again as they are needed.
std::size_t RowPlans::SlotFor(std::uint32_t layout) {
  const std::size_t wanted = kMostParts / std::max<std::size_t>(types_.size(), 1);
  const std::size_t most = std::bit_floor(std::clamp(wanted, kFewestPlans, kMostPlans));
  if (slots_[LayoutSlot(layout, bits_)].layout != kNoLayout && slots_.size() < most) {
    MakeSlots(std::min(most, slots_.size() * 4));
  }
  return LayoutSlot(layout, bits_);
}

std::size_t RowPlans::Insert(const View& view, std::uint32_t layout) {
  const std::size_t index = SlotFor(layout);
  PlanSlot& slot = slots_[index];
  slot = {};  // empty until the plan is complete
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
          ThrowCorruptLayout(view, layout, "expected a length that its field can have");
        }
        // The length of a ragged field whose items take no words is not stored; it counts as 0.
        const bool counts = encoding.ragged && encoding.unit_words > 0;
        const std::uint64_t units = counts ? words / encoding.unit_words : encoding.ragged ? 0 : 1;
        for (; column != kNone; column = next_same_type_[column]) {
          parts[column] = {begin, static_cast<std::int64_t>(units)};
        }
      });
  slot = {layout, total};
  return index;
}

}  // namespace stream_store::internal
