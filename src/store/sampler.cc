// WindowSampler: turns numbers, random or permuted, into windows of one or several stores.
#include "stream_store/sampler.h"

#include <algorithm>
#include <limits>
#include <thread>
#include <utility>

#include "stream_store/error.h"

#include "base/str_cat.h"
#include "store/permutation.h"
#include "store/read_functions.h"
#include "store/refusal_text.h"
#include "store/starts.h"

namespace stream_store {

using internal::KeyedPermutation;
using internal::MixKeys;
using internal::StoreStarts;
using internal::StrCat;

namespace {

constexpr std::uint64_t kMostLength = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t kMostLanes = std::uint64_t{1} << 16;

[[noreturn]] void Refuse(const std::string& what) {
  throw Error(ErrorCode::kInvalidArgument, StrCat("sampler: ", what));
}

void CheckAtLeastOne(const char* name, std::uint64_t found, std::uint64_t most) {
  if (found < 1 || found > most) {
    Refuse(StrCat(name, ": expected 1 to ", most, " but found ", found));
  }
}

void CheckOptions(const SamplerOptions& options) {
  CheckAtLeastOne("length", options.length, kMostLength);
  CheckAtLeastOne("batch_size", options.batch_size, kMostLength);
  CheckAtLeastOne("lanes", options.lanes, kMostLanes);
  CheckAtLeastOne("world_size", options.world_size, std::numeric_limits<std::int64_t>::max());
  if (options.rank >= options.world_size) {
    Refuse(StrCat("rank: expected [0, ", options.world_size, ") but found ", options.rank));
  }
  const bool of_rows = options.unit == SampleUnit::kRow;
  if (!of_rows && options.pad != SamplePad::kNone) {
    Refuse("pad is for windows of rows");
  }
  if (!of_rows && options.lanes > 1) {
    Refuse("lanes are for windows of rows");
  }
}

std::string FieldText(const Schema& schema, std::size_t type) {
  if (type >= schema.size()) {
    return "nothing";
  }
  const Field& field = schema.fields()[type];
  return StrCat("'", field.name, "' (", FieldText(field), ")");
}

// The first field of two schemas that is not the same in both.
std::string DifferenceText(const Schema& first, const Schema& other) {
  std::size_t type = 0;
  while (type < first.size() && type < other.size() &&
         first.fields()[type] == other.fields()[type]) {
    ++type;
  }
  const std::string expected = FieldText(first, type);
  const std::string found = FieldText(other, type);
  return StrCat("type id ", type, ": expected ", expected, " but found ", found,
                expected == found ? " of another feature" : "");
}

void CheckSameFields(const std::vector<Reader>& stores) {
  if (stores.empty()) {
    Refuse("expected at least one store");
  }
  for (std::size_t i = 1; i < stores.size(); ++i) {
    if (!(stores[i].schema() == stores[0].schema())) {
      Refuse(StrCat("expected stores of equal fields but those of store ", i,
                    " differ from those of store 0: ",
                    DifferenceText(stores[0].schema(), stores[i].schema())));
    }
  }
}

}  // namespace

WindowSampler::WindowSampler(std::vector<Reader> stores, SamplerOptions options)
    : options_(std::move(options)) {
  CheckOptions(options_);
  CheckSameFields(stores);
  for (Reader& reader : stores) {
    stores_.push_back(std::make_unique<StoreStarts>(std::move(reader), options_));
  }
}

WindowSampler::WindowSampler(WindowSampler&&) noexcept = default;
WindowSampler& WindowSampler::operator=(WindowSampler&&) noexcept = default;
WindowSampler::~WindowSampler() = default;

std::uint64_t WindowSampler::Total() const noexcept {
  std::uint64_t total = 0;
  for (const auto& store : stores_) {
    total += store->count();
  }
  return total;
}

std::uint64_t WindowSampler::Refresh() {
  for (const auto& store : stores_) {
    store->Follow();
  }
  return Total();
}

std::uint64_t WindowSampler::NumStarts() {
  if (in_epoch_ || restored_) {
    // The epoch keeps its extents: count beside it.
    std::vector<Reader> readers;
    readers.reserve(stores_.size());
    for (const auto& store : stores_) {
      readers.push_back(store->reader());
    }
    return WindowSampler(std::move(readers), options_).Refresh();
  }
  return Refresh();
}

std::uint64_t WindowSampler::UnscannedRows() {
  std::uint64_t rows = 0;
  for (const auto& store : stores_) {
    rows += store->UnscannedRows();
  }
  return rows;
}

bool WindowSampler::WaitForStart(std::chrono::nanoseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  std::chrono::nanoseconds pause = std::chrono::microseconds(50);
  while (NumStarts() == 0) {
    const auto left = deadline - std::chrono::steady_clock::now();
    if (left <= std::chrono::nanoseconds(0)) {
      return false;
    }
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(left, pause));
    pause = std::min<std::chrono::nanoseconds>(pause * 2, std::chrono::milliseconds(2));
  }
  return true;
}

void WindowSampler::ThrowNoStart() const {
  std::string text = StrCat("no valid start: expected ", options_.length,
                            options_.unit == SampleUnit::kRow ? " rows" : " values");
  if (options_.pad != SamplePad::kNone) {
    text = "no valid start: expected at least one row";
  }
  text += options_.segment_by.empty() ? "" : " of one segment";
  if (options_.lanes > 1) {
    text += StrCat(" in one of ", options_.lanes, " lanes");
  }
  if (options_.first_row != 0 || options_.last_row) {
    text += StrCat(" from rows [", options_.first_row, ", ",
                   options_.last_row ? std::to_string(*options_.last_row) : "end", ") on");
  }
  text += " but found ";
  for (std::size_t i = 0; i < stores_.size(); ++i) {
    text += StrCat(i == 0 ? "" : "; ", stores_[i]->Describe());
  }
  throw Error(ErrorCode::kInvalidArgument, text);
}

// Writes the windows numbered indices_ into the batch.
void WindowSampler::Fill(WindowBatch& batch) {
  const std::size_t size = indices_.size();
  batch.length_ = options_.length;
  batch.lanes_ = options_.lanes;
  batch.rows_ = options_.unit == SampleUnit::kRow;
  const bool padded = options_.pad != SamplePad::kNone;
  batch.starts_.resize(size);
  batch.stores_.assign(size, 0);
  batch.lead_.assign(padded ? size : 0, 0);
  batch.count_.assign(padded ? size : 0, 0);
  batch.readers_.clear();
  for (const auto& store : stores_) {
    batch.readers_.push_back(store->reader());
  }
  places_.resize(size);
  if (stores_.size() == 1) {
    for (std::size_t i = 0; i < size; ++i) {
      places_[i] = i;
    }
    stores_[0]->Resolve(indices_, places_, batch);
  } else {
    std::vector<std::uint64_t> numbers;
    std::uint64_t begin = 0;
    for (std::size_t which = 0; which < stores_.size(); ++which) {
      const std::uint64_t count = stores_[which]->count();
      numbers.clear();
      places_.clear();
      for (std::size_t i = 0; i < size; ++i) {
        if (indices_[i] - begin < count) {
          numbers.push_back(indices_[i] - begin);
          places_.push_back(i);
          batch.stores_[i] = static_cast<std::int64_t>(which);
        }
      }
      stores_[which]->Resolve(numbers, places_, batch);
      begin += count;
    }
  }
  batch.MakeRuns();
}

void WindowSampler::Sample(WindowBatch& batch) {
  if (!options_.replacement) {
    Refuse("sample() is for sampling with replacement; iterate over epochs");
  }
  const std::uint64_t total = Refresh();
  if (total == 0) {
    ThrowNoStart();
  }
  const std::uint64_t key = MixKeys(MixKeys(options_.seed, options_.rank), batches_);
  indices_.resize(options_.batch_size);
  for (std::size_t i = 0; i < indices_.size(); ++i) {
    indices_[i] = internal::RandomBelow(key, i, total);
  }
  Fill(batch);
  ++batches_;
}

std::uint64_t WindowSampler::WindowsOf(std::uint64_t starts) const noexcept {
  if (options_.drop_last) {
    return starts / options_.world_size / options_.batch_size * options_.batch_size;
  }
  return starts > options_.rank ? (starts - options_.rank - 1) / options_.world_size + 1 : 0;
}

std::uint64_t WindowSampler::BatchesOf(std::uint64_t starts) const noexcept {
  return (WindowsOf(starts) + options_.batch_size - 1) / options_.batch_size;
}

std::uint64_t WindowSampler::EpochBatches() {
  if (options_.replacement) {
    Refuse("sampling with replacement has no end");
  }
  const bool under_way = (in_epoch_ || restored_) && !EndSeen();
  return BatchesOf(under_way ? Total() : NumStarts());
}

void WindowSampler::BeginEpoch() {
  if (options_.replacement) {
    Refuse("an epoch is for sampling without replacement");
  }
  if (restored_ && !finished_) {
    restored_ = false;
    in_epoch_ = true;
    return;
  }
  if (Refresh() == 0) {
    in_epoch_ = false;
    restored_ = false;
    ThrowNoStart();
  }
  epoch_ += in_epoch_ || restored_ ? 1 : 0;
  batches_ = 0;
  in_epoch_ = true;
  restored_ = false;
  finished_ = false;
}

bool WindowSampler::Next(WindowBatch& batch) {
  if (!in_epoch_) {
    Refuse("no epoch was begun");
  }
  const std::uint64_t total = Total();
  const std::uint64_t windows = WindowsOf(total);
  if (finished_ || batches_ >= BatchesOf(total)) {
    finished_ = true;
    return false;
  }
  const KeyedPermutation permutation(total, MixKeys(MixKeys(options_.seed, 0x65706f6368U), epoch_));
  const std::uint64_t begin = batches_ * options_.batch_size;
  const std::uint64_t size = std::min(options_.batch_size, windows - begin);
  indices_.resize(size);
  permutation.Many(begin * options_.world_size + options_.rank, options_.world_size, indices_);
  Fill(batch);
  ++batches_;
  return true;
}

void WindowSampler::ReadStarts(std::span<const std::uint64_t> indices, WindowBatch& batch) {
  const std::uint64_t total = in_epoch_ || restored_ ? Total() : Refresh();
  const auto outside = [&](std::uint64_t index) { return index >= total; };
  const auto wrong = std::ranges::find_if(indices, outside);
  if (wrong != indices.end()) {
    throw Error(ErrorCode::kOutOfRange, StrCat("start ", *wrong, " is outside [0, ", total, ")"));
  }
  indices_.assign(indices.begin(), indices.end());
  Fill(batch);
}

void WindowSampler::ReturnPrefetched() noexcept {
  batches_ -= prefetched_;
  finished_ = EndSeen();
  prefetched_ = 0;
  end_prefetched_ = false;
}

SamplerState WindowSampler::state() const {
  SamplerState state;
  state.seed = options_.seed;
  state.epoch = epoch_;
  state.batches = batches_ - prefetched_;
  state.finished = EndSeen();
  for (const auto& store : stores_) {
    state.stores.push_back(store->reader().id());
    if (in_epoch_ || restored_) {
      state.extents.push_back(store->extent());
    }
  }
  return state;
}

void WindowSampler::Restore(const SamplerState& state) {
  if (state.stores.size() != stores_.size()) {
    Refuse(StrCat("its state is of ", state.stores.size(), " stores, this sampler of ",
                  stores_.size()));
  }
  for (std::size_t i = 0; i < stores_.size(); ++i) {
    if (state.stores[i] != stores_[i]->reader().id()) {
      Refuse(StrCat("its state is of another store than store ", i));
    }
  }
  const bool of_epoch = !state.extents.empty();
  if (of_epoch && (options_.replacement || state.extents.size() != stores_.size())) {
    Refuse(options_.replacement ? "its state is of a sampler without replacement"
                                : "its state has not one extent per store");
  }
  // Tried on copies, so that a state that is refused changes nothing.
  std::vector<std::unique_ptr<StoreStarts>> restored;
  for (std::size_t i = 0; i < stores_.size(); ++i) {
    restored.push_back(std::make_unique<StoreStarts>(stores_[i]->reader(), options_));
    if (of_epoch) {
      restored.back()->Restore(state.extents[i]);
    }
  }
  stores_ = std::move(restored);
  options_.seed = state.seed;
  epoch_ = state.epoch;
  batches_ = state.batches;
  prefetched_ = 0;
  end_prefetched_ = false;
  finished_ = state.finished;
  restored_ = of_epoch;
  in_epoch_ = false;
}

}  // namespace stream_store
