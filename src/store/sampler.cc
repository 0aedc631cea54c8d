// WindowSampler: draws numbers, at random or permuted, and turns them into windows.
//
// The valid starts of all stores have consecutive numbers: first those of store 0, then those of
// store 1, and so on. Drawing uses only how many there are; StoreStarts (starts.h) knows where they
// lie. Random numbers are counter-based (permutation.h): a batch depends on the seed, the rank, the
// number of the batch and the number of starts alone, so a state is a few numbers and resuming
// computes nothing again.
#include "stream_store/sampler.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "stream_store/error.h"

#include "base/str_cat.h"
#include "store/permutation.h"
#include "store/sampler_check.h"
#include "store/sampler_priorities.h"
#include "store/window_starts.h"

namespace stream_store {

using internal::KeyedPermutation;
using internal::MixKeys;
using internal::StrCat;

namespace {

[[noreturn]] void Refuse(const std::string& reason) {
  throw Error(ErrorCode::kInvalidArgument, StrCat("sampler: ", reason));
}

}  // namespace

WindowSampler::WindowSampler(std::vector<Reader> stores, SamplerOptions options)
    : options_(std::move(options)) {
  internal::CheckSamplerOptions(options_);
  internal::CheckSameFields(stores);
  internal::CheckOffsets(stores[0].schema(), options_);
  for (Reader& reader : stores) {
    ids_.push_back(reader.id());
    stores_.push_back(internal::MakeStarts(std::move(reader), options_));
  }
  gone_.resize(stores_.size());
  if (options_.priorities) {
    priorities_ =
        std::make_unique<internal::SamplerPriorities>(*options_.priorities, stores_.size());
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

bool WindowSampler::WaitForStart(std::chrono::nanoseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  // The pause doubles up to 2 ms: the first row of a fast writer is seen at once, and waiting for a
  // slow one costs no processor time.
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
  std::string text = StrCat("no valid start: a window needs ", internal::NeedText(options_));
  if (options_.first_row != 0 || options_.last_row) {
    text += StrCat(", starting in rows [", options_.first_row, ", ",
                   options_.last_row ? std::to_string(*options_.last_row) : "end", "),");
  }
  constexpr std::size_t kMostListed = 8;
  for (std::size_t i = 0; i < std::min(stores_.size(), kMostListed); ++i) {
    text += i == 0 ? " but" : ";";
    text += stores_.size() == 1 ? std::string(" the store") : StrCat(" store ", i);
    text += gone_[i] ? " is gone" : StrCat(" has ", stores_[i]->Describe());
  }
  if (stores_.size() > kMostListed) {
    text += StrCat("; and so on, for ", stores_.size(), " stores");
  } else if (stores_.empty()) {
    text += StrCat(" but the group ", internal::PathText(group_->path()), " has no store");
  }
  throw Error(ErrorCode::kInvalidArgument, text);
}

void WindowSampler::Sample(WindowBatch& batch) {
  if (!options_.replacement) {
    Refuse("sample: expected a sampler with replacement; iterate over the epochs of this one");
  }
  const std::uint64_t total = Refresh();
  if (total == 0) {
    ThrowNoStart();
  }
  // The key depends on seed, rank and the number of the batch, so ranks differ and states resume.
  const std::uint64_t key = MixKeys(MixKeys(options_.seed, options_.rank), batches_);
  indices_.resize(options_.batch_size);
  if (priorities_ != nullptr) {
    priorities_->Draw(stores_, key, indices_);
    Fill(batch, Drawn::kWindows);
    Weigh(batch);
  } else {
    for (std::size_t i = 0; i < indices_.size(); ++i) {
      indices_[i] = internal::RandomBelow(key, i, total);
    }
    Fill(batch, Drawn::kNumbers);
  }
  ++batches_;
}

// The windows of this rank in an epoch over `starts` starts. Rank r draws places r, r + world_size,
// … of the order, so ranks differ by at most one window; drop_last makes them equal.
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
    Refuse("batches of an epoch: expected a sampler without replacement");
  }
  const bool under_way = (in_epoch_ || restored_) && !EndSeen();
  return BatchesOf(under_way ? Total() : NumStarts());
}

void WindowSampler::BeginEpoch() {
  if (options_.replacement) {
    Refuse("epoch: expected a sampler without replacement");
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
    Refuse("next batch: expected an epoch but none was begun");
  }
  const std::uint64_t total = Total();
  const std::uint64_t windows = WindowsOf(total);
  if (finished_ || batches_ >= BatchesOf(total)) {
    finished_ = true;
    return false;
  }
  // The order is computed again for each batch instead of being kept: that costs a few
  // multiplications and makes the state a few numbers. The constant, "epoch" in ASCII, keeps the
  // key apart from those of Sample(). The rank is not part of it: all ranks share one order.
  const KeyedPermutation permutation(total, MixKeys(MixKeys(options_.seed, 0x65706f6368U), epoch_));
  const std::uint64_t begin = batches_ * options_.batch_size;
  const std::uint64_t size = std::min(options_.batch_size, windows - begin);
  indices_.resize(size);
  permutation.ReadStrided(begin * options_.world_size + options_.rank, options_.world_size,
                          indices_);
  Fill(batch, Drawn::kNumbers);
  ++batches_;
  return true;
}

void WindowSampler::ReadStarts(std::span<const std::uint64_t> indices, WindowBatch& batch) {
  const std::uint64_t total = in_epoch_ || restored_ ? Total() : Refresh();
  const auto outside = [&](std::uint64_t index) { return index >= total; };
  const auto wrong = std::ranges::find_if(indices, outside);
  if (wrong != indices.end()) {
    throw Error(ErrorCode::kOutOfRange,
                StrCat("start ", *wrong, " is outside [0, ", total, "): there ",
                       total == 1 ? "is " : "are ", total == 0 ? "no" : std::to_string(total),
                       " valid start", total == 1 ? "" : "s"));
  }
  indices_.assign(indices.begin(), indices.end());
  Fill(batch, Drawn::kNumbers);
}

// Batches that were drawn ahead are counted in batches_. If drawing ahead reached the end of the
// epoch, the caller has not seen that end.
void WindowSampler::ReturnPrefetched() noexcept {
  batches_ -= prefetched_;
  finished_ = EndSeen();
  prefetched_ = 0;
  end_prefetched_ = false;
}

}  // namespace stream_store
