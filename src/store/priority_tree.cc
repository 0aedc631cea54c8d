// Checks of arguments, and draws. tree_levels.cc holds the tree itself.
#include "stream_store/priority_tree.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "stream_store/error.h"

#include "base/str_cat.h"
#include "store/permutation.h"
#include "store/tree_levels.h"

namespace stream_store {

using internal::RandomFraction;
using internal::StrCat;
using internal::TreeLevels;

namespace {

[[noreturn]] void Refuse(ErrorCode code, std::string_view function, const std::string& reason) {
  throw Error(code, StrCat("priority tree: ", function, ": ", reason));
}

bool IsWeight(double weight) noexcept { return weight >= 0 && weight <= PriorityTree::kMaxWeight; }

std::string WeightText(double weight) {
  return StrCat("expected a weight in [0, 2^900] but found ", weight);
}

void RequireSameSize(std::string_view function, std::string_view name, std::size_t expected,
                     std::size_t found) {
  if (expected != found) {
    Refuse(ErrorCode::kInvalidArgument, function,
           StrCat("expected ", expected, " ", name, ", as many as the other span has, but found ",
                  found));
  }
}

void RequireSize(std::string_view function, std::uint64_t size) {
  if (size > PriorityTree::kMaxSize) {
    Refuse(ErrorCode::kInvalidArgument, function,
           StrCat("expected at most ", PriorityTree::kMaxSize, " leaves but found ", size));
  }
}

}  // namespace

PriorityTree::PriorityTree(PriorityTreeOptions options)
    : levels_(std::make_unique<TreeLevels>(options.keep_extremes, options.first_leaf)) {
  RequireSize("first_leaf", options.first_leaf);
}

PriorityTree::PriorityTree(PriorityTree&&) noexcept = default;
PriorityTree& PriorityTree::operator=(PriorityTree&&) noexcept = default;
PriorityTree::~PriorityTree() = default;

std::uint64_t PriorityTree::size() const noexcept { return levels_->size(); }

std::uint64_t PriorityTree::first_leaf() const noexcept { return levels_->first(); }

double PriorityTree::total() const noexcept { return levels_->total(); }

double PriorityTree::MinWeight() const noexcept { return levels_->MinPositive(); }

double PriorityTree::MaxWeight() const noexcept { return levels_->Max(); }

std::uint64_t PriorityTree::memory_bytes() const noexcept { return levels_->memory_bytes(); }

double PriorityTree::weight(std::uint64_t leaf) const {
  double weight = 0;
  Get({&leaf, 1}, {&weight, 1});
  return weight;
}

void PriorityTree::Resize(std::uint64_t size, double weight) {
  RequireSize("Resize", size);
  if (!IsWeight(weight)) {
    Refuse(ErrorCode::kInvalidArgument, "Resize", WeightText(weight));
  }
  if (size < first_leaf()) {
    Refuse(ErrorCode::kOutOfRange, "Resize",
           StrCat("expected at least ", first_leaf(), " leaves, which were dropped, but found ",
                  size));
  }
  if (size > levels_->size()) {
    levels_->Grow(size, weight);
  } else if (size < levels_->size()) {
    levels_->Shrink(first_leaf(), size);
  }
}

void PriorityTree::DropBefore(std::uint64_t leaf) {
  if (leaf > size()) {
    Refuse(ErrorCode::kOutOfRange, "DropBefore",
           StrCat("expected a leaf in [0, ", size(), "] but found ", leaf));
  }
  if (leaf > first_leaf()) {
    levels_->Shrink(leaf, size());
  }
}

void PriorityTree::Set(std::span<const std::uint64_t> leaves, std::span<const double> weights) {
  RequireSameSize("Set", "weights", leaves.size(), weights.size());
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    if (!IsWeight(weights[i])) [[unlikely]] {
      Refuse(ErrorCode::kInvalidArgument, "Set",
             StrCat("weights[", i, "]: ", WeightText(weights[i])));
    }
    if (leaves[i] >= size() || leaves[i] < first_leaf()) [[unlikely]] {
      Refuse(leaves[i] >= size() ? ErrorCode::kOutOfRange : ErrorCode::kDropped, "Set",
             StrCat("leaves[", i, "]: expected a leaf in [", first_leaf(), ", ", size(),
                    ") but found ", leaves[i]));
    }
  }
  levels_->Write(leaves, weights);
}

void PriorityTree::Get(std::span<const std::uint64_t> leaves, std::span<double> weights) const {
  RequireSameSize("Get", "weights", leaves.size(), weights.size());
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    if (leaves[i] >= size()) [[unlikely]] {
      Refuse(ErrorCode::kOutOfRange, "Get",
             StrCat("leaves[", i, "]: expected a leaf in [0, ", size(), ") but found ", leaves[i]));
    }
  }
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    weights[i] = leaves[i] < first_leaf() ? 0 : levels_->Read(leaves[i]);
  }
}

void PriorityTree::Find(std::span<const double> targets, std::span<std::uint64_t> leaves) const {
  RequireSameSize("Find", "leaves", targets.size(), leaves.size());
  const double sum = total();
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (!(targets[i] >= 0 && targets[i] < sum)) [[unlikely]] {  // also if it is NaN
      Refuse(
          ErrorCode::kOutOfRange, "Find",
          StrCat("targets[", i, "]: expected a number in [0, ", sum, ") but found ", targets[i]));
    }
  }
  std::array<double, TreeLevels::kBlock> left;
  for (std::size_t begin = 0; begin < targets.size(); begin += left.size()) {
    const std::size_t count = std::min(left.size(), targets.size() - begin);
    std::copy_n(&targets[begin], count, left.begin());
    levels_->Descend({left.data(), count}, leaves.subspan(begin, count));
  }
}

void PriorityTree::Draw(const DrawOptions& options, std::span<std::uint64_t> leaves) const {
  const double sum = total();
  if (!(sum > 0)) {
    Refuse(ErrorCode::kInvalidArgument, "Draw",
           StrCat("expected a leaf whose weight is not 0 but found none among ",
                  size() - first_leaf()));
  }
  if (options.rank >= options.world_size) {
    Refuse(ErrorCode::kInvalidArgument, "Draw",
           StrCat("expected a rank in [0, ", options.world_size, ") but found ", options.rank));
  }
  const std::uint64_t key = internal::MixKeys(options.seed, options.batch);
  const bool stratified = options.spread == DrawSpread::kStratified;
  const std::uint64_t parts = stratified ? leaves.size() * options.world_size : 1;
  const double part = sum / static_cast<double>(parts);
  std::array<double, TreeLevels::kBlock> targets;
  for (std::size_t begin = 0; begin < leaves.size(); begin += targets.size()) {
    const std::size_t count = std::min(targets.size(), leaves.size() - begin);
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t place = (begin + i) * options.world_size + options.rank;
      const double before = stratified ? static_cast<double>(place) : 0;
      targets[i] = (before + RandomFraction(key, place)) * part;
    }
    levels_->Descend({targets.data(), count}, leaves.subspan(begin, count));
  }
}

}  // namespace stream_store
