#include "store/sampler_priorities.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "stream_store/error.h"

#include "base/assert.h"
#include "base/str_cat.h"
#include "store/permutation.h"
#include "store/window_index.h"

namespace stream_store::internal {
namespace {

// Keys that keep the random numbers of one batch apart, in ASCII.
constexpr std::uint64_t kMixture = 0x6d697874757265U;  // "mixture"
constexpr std::uint64_t kUniform = 0x756e69666f726dU;  // "uniform"
constexpr std::uint64_t kWeighted = 0x70726f706fU;     // "propo"

[[noreturn]] void Refuse(const std::string& reason) {
  throw Error(ErrorCode::kInvalidArgument, StrCat("priorities: ", reason));
}

void CheckNumber(const char* name, double found, double most) {
  if (!(found >= 0 && found <= most)) {
    Refuse(StrCat(name, ": expected a number in [0, ", most, "] but found ", found));
  }
}

const IndexedStarts& At(StartsOfStores stores, std::size_t store) {
  return static_cast<const IndexedStarts&>(*stores[store]);
}

std::uint64_t Number(std::size_t store, std::uint64_t row) {
  return static_cast<std::uint64_t>(WindowIndex(store, static_cast<Row>(row)).number());
}

std::uint64_t CountOf(StartsOfStores stores) {
  return std::accumulate(
      stores.begin(), stores.end(), std::uint64_t{0},
      [](std::uint64_t sum, const auto& starts) { return sum + starts->count(); });
}

// The window of the start with this number, counted over all stores.
std::uint64_t WindowOf(StartsOfStores stores, std::uint64_t number) {
  std::size_t store = 0;
  while (number >= stores[store]->count()) {
    number -= stores[store]->count();
    ++store;
  }
  return Number(store, At(stores, store).AnchorOf(number));
}

}  // namespace

void CheckPriorities(const Priorities& options) {
  constexpr double kMostPower = 100;
  CheckNumber("alpha", options.alpha, kMostPower);
  CheckNumber("beta", options.beta, kMostPower);
  CheckNumber("eps", options.eps, 1e100);
  CheckNumber("mix", options.mix, 1);
  const double initial = options.initial.value_or(1);
  const double weight = PriorityRule(options).Weight(initial);
  if (!(initial >= 0 && weight <= PriorityTree::kMaxWeight)) {
    Refuse(StrCat(
        "the priority of new starts: expected a number p of at least 0 with (p + eps)^alpha <= "
        "2^900 but found ",
        initial, ", with eps ", options.eps, " and alpha ", options.alpha));
  }
}

SamplerPriorities::SamplerPriorities(const Priorities& options, std::size_t stores)
    : options_(options) {
  for (std::size_t i = 0; i < stores; ++i) {
    AddStore();
  }
}

StorePriorities SamplerPriorities::NewStore() const {
  return StorePriorities(options_.normalize == WeightNormalization::kStore);
}

void SamplerPriorities::AddStore() {
  gone_.reserve(gone_.size() + 1);
  stores_.push_back(NewStore());
  gone_.push_back(false);
}

void SamplerPriorities::Leave(std::size_t store) {
  stores_[store] = NewStore();
  gone_[store] = true;
}

void SamplerPriorities::Reopen(std::size_t store) {
  stores_[store].ReweighLater();
  gone_[store] = false;
}

void SamplerPriorities::Rearrange(std::span<const std::optional<std::size_t>> from) {
  std::vector<StorePriorities> stores;
  for (const std::optional<std::size_t>& store : from) {
    stores.push_back(store ? std::move(stores_[*store]) : NewStore());
    stores.back().ReweighLater();
  }
  stores_ = std::move(stores);
  gone_.assign(stores_.size(), false);
}

void SamplerPriorities::Follow(std::size_t store, IndexedStarts& starts) {
  stores_[store].Follow(starts, PriorityRule(options_), options_.initial.value_or(largest_));
}

double SamplerPriorities::Total() const noexcept {
  return std::accumulate(
      stores_.begin(), stores_.end(), 0.0,
      [](double sum, const StorePriorities& store) { return sum + store.tree().total(); });
}

void SamplerPriorities::Draw(StartsOfStores stores, std::uint64_t key,
                             std::span<std::uint64_t> windows) {
  const std::uint64_t count = CountOf(stores);
  STREAM_STORE_ASSERT(count > 0);
  const double total = Total();
  const std::uint64_t mixture = MixKeys(key, kMixture);
  const std::uint64_t uniform = MixKeys(key, kUniform);
  const std::uint64_t weighted = MixKeys(key, kWeighted);
  const auto size = static_cast<double>(windows.size());
  std::vector<double> targets;
  std::vector<std::uint64_t> places;
  for (std::size_t i = 0; i < windows.size(); ++i) {
    if (total == 0 || (options_.mix > 0 && RandomFraction(mixture, i) < options_.mix)) {
      windows[i] = WindowOf(stores, RandomBelow(uniform, i, count));
      continue;
    }
    const double fraction = RandomFraction(weighted, i);
    const double part = options_.stratified ? (static_cast<double>(i) + fraction) / size : fraction;
    targets.push_back(part * total);
    places.push_back(i);
  }
  DrawFromTrees(targets, places, windows);
}

// Each target belongs to the store in whose part of the total it lies.
void SamplerPriorities::DrawFromTrees(std::span<const double> targets,
                                      std::span<const std::uint64_t> places,
                                      std::span<std::uint64_t> windows) const {
  std::vector<bool> found(targets.size(), false);
  std::vector<double> inside;
  std::vector<std::size_t> which;
  std::vector<std::uint64_t> rows;
  std::size_t last = 0;  // the last store with a weight: rounding may put a target beyond it
  for (std::size_t store = 0; store < stores_.size(); ++store) {
    last = stores_[store].tree().total() > 0 ? store : last;
  }
  double before = 0;
  for (std::size_t store = 0; store < stores_.size(); ++store) {
    const PriorityTree& tree = stores_[store].tree();
    const double total = tree.total();
    const double below_total = std::nextafter(total, 0.0);
    inside.clear();
    which.clear();
    for (std::size_t i = 0; i < targets.size() && total > 0; ++i) {
      if (!found[i] && (targets[i] - before < total || store == last)) {
        found[i] = true;
        inside.push_back(std::clamp(targets[i] - before, 0.0, below_total));
        which.push_back(i);
      }
    }
    rows.resize(inside.size());
    tree.Find(inside, rows);
    for (std::size_t k = 0; k < rows.size(); ++k) {
      windows[places[which[k]]] = Number(store, rows[k]);
    }
    before += total;
  }
}

// The smallest probability of a start that is drawn by its priority.
double SamplerPriorities::SmallestProbability(double total, double uniform) const noexcept {
  double smallest = 0;
  for (const StorePriorities& store : stores_) {
    const double weight = store.tree().MinWeight();
    smallest = smallest == 0 || (weight > 0 && weight < smallest) ? weight : smallest;
  }
  return total == 0 ? uniform : (1 - options_.mix) * smallest / total + options_.mix * uniform;
}

void SamplerPriorities::Weigh(StartsOfStores stores, const DrawnWindows& windows) const {
  const std::uint64_t count = CountOf(stores);
  const double total = Total();
  const double uniform = 1 / static_cast<double>(count);
  // The logarithm of (N P)^-beta, so that no power overflows before the division. A window that is
  // never drawn, which can be read by its number, has weight 0.
  const auto log_weight = [&](double probability) {
    return probability > 0 ? -options_.beta * std::log(probability / uniform)
                           : -std::numeric_limits<double>::infinity();
  };
  std::vector<double> logs(windows.anchors.size());
  for (std::size_t i = 0; i < windows.anchors.size(); ++i) {
    const PriorityTree& tree = stores_[static_cast<std::size_t>(windows.stores[i])].tree();
    const double weight = tree.weight(static_cast<std::uint64_t>(windows.anchors[i]));
    const double probability =
        total == 0 ? uniform : (1 - options_.mix) * (weight / total) + options_.mix * uniform;
    windows.probabilities[i] = probability;
    logs[i] = log_weight(probability);
  }
  double largest = 0;
  if (options_.normalize == WeightNormalization::kBatch && !logs.empty()) {
    largest = std::max(*std::ranges::max_element(logs), std::numeric_limits<double>::lowest());
  } else if (options_.normalize == WeightNormalization::kStore) {
    largest = log_weight(SmallestProbability(total, uniform));
  }
  constexpr double kMostWeight = std::numeric_limits<float>::max();
  std::ranges::transform(logs, windows.weights.begin(), [&](double log) {
    return static_cast<float>(std::min(std::exp(log - largest), kMostWeight));
  });
}

// Whether a window still has a priority: its rows were not dropped, and its store has not gone. Throws
// unless it is one of this sampler.
bool SamplerPriorities::IsKept(std::int64_t number, std::size_t i) const {
  const WindowIndex index(number);
  if (index.store() >= stores_.size()) {
    Refuse(StrCat("update: expected indices of ", stores_.size(),
                  stores_.size() == 1 ? " store" : " stores", " but number ", i, ", ", number,
                  ", is of store ", index.store()));
  }
  const StorePriorities& store = stores_[index.store()];
  if (gone_[index.store()] || index.row() < store.tree().first_leaf()) {
    return false;
  }
  if (index.row() >= store.tree().size() || store.PriorityOf(index.row()) < 0) {
    Refuse(StrCat("update: expected the indices of windows but number ", i, ", ", number,
                  ", is row ", index.row(), " of store ", index.store(),
                  ", which is not the anchor of a window of this sampler"));
  }
  return true;
}

std::uint64_t SamplerPriorities::Update(StartsOfStores stores,
                                        std::span<const std::int64_t> indices,
                                        std::span<const double> priorities) {
  if (indices.size() != priorities.size()) {
    Refuse(StrCat("update: expected one priority for each index, ", indices.size(), ", but found ",
                  priorities.size()));
  }
  const PriorityRule rule(options_);
  std::vector<std::vector<std::uint64_t>> rows(stores_.size());
  std::vector<std::vector<double>> values(stores_.size());
  if (stores_.size() == 1) {
    rows[0].reserve(indices.size());
    values[0].reserve(indices.size());
  }
  for (const std::int64_t number : indices) {
    const WindowIndex index(number);
    if (index.store() < stores_.size() && !gone_[index.store()]) {
      stores_[index.store()].Prefetch(At(stores, index.store()), index.row());
    }
  }
  std::uint64_t dropped = 0;
  double largest = largest_;
  double checked = largest_;  // smaller ones have smaller weights
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const double priority = priorities[i];
    const bool fits = priority <= checked || rule.Weight(priority) <= PriorityTree::kMaxWeight;
    if (!(priority >= 0 && fits)) {
      Refuse(StrCat("update: expected finite priorities p of at least 0, with (p + eps)^alpha <= ",
                    "2^900, but number ", i, " is ", priority));
    }
    checked = std::max(checked, priority);
    if (!IsKept(indices[i], i)) {
      ++dropped;
      continue;
    }
    const WindowIndex index(indices[i]);
    rows[index.store()].push_back(index.row());
    values[index.store()].push_back(priority);
    largest = std::max(largest, priority);
  }
  for (std::size_t store = 0; store < stores_.size(); ++store) {
    stores_[store].Set(At(stores, store), rows[store], values[store], rule);
  }
  largest_ = largest;
  return dropped;
}

void SamplerPriorities::SetAlpha(StartsOfStores stores, double alpha) {
  Priorities changed = options_;
  changed.alpha = alpha;
  CheckPriorities(changed);
  if (!(PriorityRule(changed).Weight(largest_) <= PriorityTree::kMaxWeight)) {
    Refuse(StrCat("alpha: expected one with which the largest priority, ", largest_,
                  ", has a weight of at most 2^900, but found ", alpha));
  }
  options_ = changed;
  for (std::size_t store = 0; store < stores_.size(); ++store) {
    stores_[store].Reweigh(At(stores, store), PriorityRule(options_));
  }
}

void SamplerPriorities::SetBeta(double beta) {
  Priorities changed = options_;
  changed.beta = beta;
  CheckPriorities(changed);
  options_ = changed;
}

void SamplerPriorities::Restore(const PriorityState& state) {
  Priorities changed = options_;
  changed.alpha = state.alpha;
  changed.beta = state.beta;
  CheckPriorities(changed);
  if (!(state.largest >= 0 &&
        PriorityRule(changed).Weight(state.largest) <= PriorityTree::kMaxWeight)) {
    Refuse(StrCat("state: expected a largest priority of at least 0 but found ", state.largest));
  }
  options_ = changed;
  largest_ = state.largest;
  for (StorePriorities& store : stores_) {
    store.ReweighLater();
  }
}

RowRange SamplerPriorities::Rows(std::size_t store) const noexcept {
  const PriorityTree& tree = stores_[store].tree();
  return {static_cast<Row>(tree.first_leaf()), static_cast<Row>(tree.size())};
}

void SamplerPriorities::Read(std::size_t store, Row first_row, std::span<double> priorities) const {
  const StorePriorities& of = stores_[store];
  for (std::size_t i = 0; i < priorities.size(); ++i) {
    const std::uint64_t row = static_cast<std::uint64_t>(first_row) + i;
    const double priority = row < of.tree().size() ? of.PriorityOf(row) : -1;
    priorities[i] = priority < 0 ? std::nan("") : priority;
  }
}

void SamplerPriorities::Load(StartsOfStores stores, std::size_t store, Row first_row,
                             std::span<const double> priorities) {
  const PriorityRule rule(options_);
  StorePriorities& of = stores_[store];
  std::vector<std::uint64_t> rows;
  std::vector<double> values;
  double largest = largest_;
  for (std::size_t i = 0; i < priorities.size(); ++i) {
    const std::uint64_t row = static_cast<std::uint64_t>(first_row) + i;
    const double priority = priorities[i];
    if (std::isnan(priority) || row < of.tree().first_leaf()) {
      continue;
    }
    if (!(priority >= 0 && rule.Weight(priority) <= PriorityTree::kMaxWeight)) {
      Refuse(StrCat("load: expected finite priorities of at least 0 but row ", row, " has ",
                    priority));
    }
    if (row >= of.tree().size()) {
      Refuse(StrCat("load: expected priorities of rows that the sampler sees, before row ",
                    of.tree().size(), " of store ", store, ", but found one of row ", row));
    }
    rows.push_back(row);
    values.push_back(priority);
    largest = std::max(largest, priority);
  }
  of.Set(At(stores, store), rows, values, rule);
  largest_ = largest;
}

}  // namespace stream_store::internal
