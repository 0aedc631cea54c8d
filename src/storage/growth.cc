#include "storage/growth.h"

#include <algorithm>

#include "stream_store/error.h"

#include "storage/store_files.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kGrain = 64 << 10;
constexpr std::uint64_t kBlock = 4 << 10;  // of nearly every file system
constexpr std::uint64_t kLargestStep = 1 << 30;
constexpr unsigned kMostHalvings = 32;  // a step of 2^40 bytes becomes 256

// The order in which files grow: readers follow records to the other three.
constexpr std::size_t kLayouts = 0;
constexpr std::size_t kHints = 1;
constexpr std::size_t kValues = 2;
constexpr std::size_t kRecords = 3;

std::uint64_t RoundUp(std::uint64_t bytes, std::uint64_t grain) {
  return (bytes + grain - 1) / grain * grain;
}

// The mapping of a file must hold all of it.
std::uint64_t WithinReservation(const DataFile& file, std::uint64_t bytes) {
  return std::min(bytes, std::max(file.reserved(), file.bytes()));
}

}  // namespace

std::uint64_t HintBytes(std::uint64_t values, std::uint64_t rows) noexcept {
  return (std::max(values, rows) / kHintStride + 2) * sizeof(Hint);
}

std::array<DataFile*, Growth::kFiles> Growth::Files() const noexcept {
  return {&files_.layouts, &files_.hints, &files_.values, &files_.records};
}

Growth::Sizes Growth::CurrentSizes() const noexcept {
  return {files_.layouts.bytes(), files_.hints.bytes(), files_.values.bytes(),
          files_.records.bytes()};
}

std::uint64_t Growth::HintBytesOfFiles() const noexcept {
  return HintBytes(files_.values.bytes() / sizeof(Value), files_.records.bytes() / sizeof(Record));
}

std::uint64_t Growth::StepOf(std::size_t file, std::uint64_t bytes) const noexcept {
  const std::uint64_t at_least = file == kValues ? step_values_ * sizeof(Value) : 0;
  return std::max({kGrain, std::min(bytes / 2, kLargestStep), at_least}) >> halvings_;
}

// After kMostHalvings, no step is as large as a block.
void Growth::Halve() noexcept { halvings_ = std::min(halvings_ + 1, kMostHalvings); }

void Growth::Grow(const Ends& needed, const Ends& in_use) {
  const auto bytes = [](const Ends& ends) -> Sizes {
    return {ends.layout_words * sizeof(std::uint64_t), HintBytes(ends.values, ends.records),
            ends.values * sizeof(Value), ends.records * sizeof(Record)};
  };
  const Sizes before = CurrentSizes();
  const Sizes needed_bytes = bytes(needed);
  for (std::size_t i = 0; i < kFiles; ++i) {
    if (needed_bytes[i] > Files()[i]->reserved()) {
      Files()[i]->Remap(needed_bytes[i]);
    }
  }
  AllocateNeeded(needed_bytes, bytes(in_use));
  GrowFurther(before);
}

// Allocates what the call needs in each file, or throws and leaves no file larger than it was.
// Gives back half of the unused space again and again until it succeeds, so that the other files
// keep as much as they can.
void Growth::AllocateNeeded(const Sizes& needed, const Sizes& in_use) {
  const Sizes before = CurrentSizes();
  Sizes keep{};
  for (std::size_t i = 0; i < kFiles; ++i) {
    keep[i] = std::max(needed[i], in_use[i]);
  }
  for (;;) {
    try {
      for (std::size_t i = 0; i < kFiles; ++i) {
        DataFile& file = *Files()[i];
        if (needed[i] > file.bytes()) {
          file.GrowTo(std::max(needed[i], WithinReservation(file, RoundUp(needed[i], kBlock))));
        }
      }
      return;
    } catch (const Error& error) {
      const bool again = error.code() == ErrorCode::kNoSpace && GiveBackHalf(keep);
      if (!again) {
        ShortenTo(before);
        throw;
      }
      Halve();
    }
  }
}

// Returns whether a file became shorter.
bool Growth::GiveBackHalf(const Sizes& keep) noexcept {
  if (!files_.MayShorten()) {
    return false;
  }
  bool shorter = false;
  for (std::size_t i = 0; i < kFiles; ++i) {
    DataFile& file = *Files()[i];
    const std::uint64_t spare = file.bytes() - std::min(file.bytes(), keep[i]);
    const std::uint64_t size = RoundUp(file.bytes() - spare + spare / 2, kBlock);
    if (spare > 0 && size < file.bytes()) {
      shorter |= file.ShortenTo(size);
    }
  }
  return shorter;
}

// Lets each file that has grown since `before` grow by a full step, or by the largest half, quarter
// and so on of a step that the disk has space for. An ext4 that is too full allocates what it has
// and then reports the error, so a failed attempt is undone before the next one.
void Growth::GrowFurther(const Sizes& before) {
  const Sizes needed = CurrentSizes();
  for (;;) {
    Sizes wanted = needed;
    for (std::size_t i = 0; i < kFiles; ++i) {
      if (needed[i] > before[i]) {
        const std::uint64_t grain = halvings_ == 0 ? kGrain : kBlock;
        const std::uint64_t size = RoundUp(before[i] + StepOf(i, before[i]), grain);
        wanted[i] = std::max(needed[i], WithinReservation(*Files()[i], size));
      }
    }
    if (wanted == needed) {
      return;
    }
    if (TryGrow(wanted)) {
      halvings_ -= std::min(halvings_, 1U);
      return;
    }
    Halve();
  }
}

void Growth::GrowAhead(const Ends& used) {
  const Sizes content = {used.layout_words * sizeof(std::uint64_t), 0, used.values * sizeof(Value),
                         used.records * sizeof(Record)};
  Sizes wanted = CurrentSizes();
  bool more = false;
  for (const std::size_t i : {kLayouts, kValues, kRecords}) {
    const std::uint64_t step = StepOf(i, wanted[i]) / kBlock * kBlock;
    const bool soon = content[i] + step / 2 > wanted[i];
    if (step > 0 && soon && wanted[i] + step <= Files()[i]->reserved()) {
      wanted[i] += step;
      more = true;
    }
  }
  if (!more && HintBytesOfFiles() <= files_.hints.bytes()) {
    return;
  }
  if (!TryGrow(wanted)) {
    Halve();
  } else if (more) {
    halvings_ -= std::min(halvings_, 1U);
  }
}

// Grows the files to these sizes, and `hints` to match, so that the limits can reach the ends of the
// files. Returns false if the disk is too full: then no file has grown.
bool Growth::TryGrow(const Sizes& wanted) {
  const Sizes before = CurrentSizes();
  try {
    for (const std::size_t i : {kLayouts, kHints, kValues, kRecords}) {
      Files()[i]->GrowTo(wanted[i]);
    }
    const std::uint64_t grain = halvings_ == 0 ? kGrain : kBlock;
    files_.hints.GrowTo(WithinReservation(files_.hints, RoundUp(HintBytesOfFiles(), grain)));
    return true;
  } catch (const Error& error) {
    ShortenTo(before);
    if (error.code() != ErrorCode::kNoSpace) {
      throw;
    }
    return false;
  }
}

// Undoes a growth that failed. Files that are shorter stay as they are.
void Growth::ShortenTo(const Sizes& sizes) noexcept {
  for (std::size_t i = 0; i < kFiles; ++i) {
    if (Files()[i]->bytes() > sizes[i]) {
      Files()[i]->ShortenTo(sizes[i]);
    }
  }
}

}  // namespace stream_store::internal
