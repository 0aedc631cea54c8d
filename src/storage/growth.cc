#include "storage/growth.h"

#include <algorithm>

#include "stream_store/error.h"

#include "storage/store_files.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kGrain = 64 << 10;
constexpr std::uint64_t kBlock = 4 << 10;  // of nearly every file system
constexpr unsigned kMostHalvings = 32;     // a step of 2^40 bytes becomes 256

std::uint64_t RoundUp(std::uint64_t bytes, std::uint64_t grain) {
  return (bytes + grain - 1) / grain * grain;
}

// The mapping of a file must hold all of it.
std::uint64_t WithinReservation(const DataFile& file, std::uint64_t bytes) {
  return std::min(bytes, std::max(file.reserved(), file.bytes()));
}

}  // namespace

Growth::Sizes Growth::CurrentSizes() const noexcept {
  Sizes sizes{};
  for (const Kind kind : kAllKinds) {
    sizes[Index(kind)] = files_.data(kind).bytes();
  }
  return sizes;
}

// The sizes of the hints that reach to the ends of the other files; 0 for those.
Growth::Sizes Growth::HintBytesOfFiles() const noexcept {
  Sizes sizes{};
  sizes[Index(Kind::kPositionHints)] = HintBytes(files_.values.bytes() / sizeof(Value));
  sizes[Index(Kind::kRowHints)] = RowHintBytes(files_.records.bytes() / sizeof(Record));
  return sizes;
}

// Each record begins at most one row.
std::uint64_t Growth::RowHintBytes(std::uint64_t records) const noexcept {
  return HintBytes(records - std::min(records, row_lag_));
}

// Half of the present size, but no more than a chunk: a bounded store must not allocate far ahead.
std::uint64_t Growth::StepOf(Kind kind) const noexcept {
  const DataFile& file = files_.data(kind);
  const std::uint64_t at_least = kind == Kind::kValues ? step_values_ * sizeof(Value) : 0;
  const std::uint64_t half = (file.bytes() - file.files().begin()) / 2;
  const std::uint64_t step = std::max({kGrain, half, at_least});
  return std::min({step, file.files().chunk_bytes(), largest_step_}) >> halvings_;
}

std::uint64_t Growth::WholeStep(Kind kind) const noexcept { return StepOf(kind) / kBlock * kBlock; }

std::uint64_t Growth::Grain() const noexcept {
  return halvings_ == 0 ? std::min(kGrain, files_.identity().chunk_bytes) : kBlock;
}

// After kMostHalvings, no step is as large as a block.
void Growth::Halve() noexcept { halvings_ = std::min(halvings_ + 1, kMostHalvings); }

void Growth::Grow(const Ends& needed, const Ends& in_use) {
  const auto bytes = [this](const Ends& ends) -> Sizes {
    return {ends.layout_words * sizeof(std::uint64_t), HintBytes(ends.values),
            RowHintBytes(ends.records), ends.values * sizeof(Value), ends.records * sizeof(Record)};
  };
  const Sizes before = CurrentSizes();
  const Sizes needed_bytes = bytes(needed);
  const KindBytes first = FirstBytes(files_.begin());
  for (const Kind kind : kAllKinds) {
    const std::size_t i = Index(kind);
    if (needed_bytes[i] > files_.data(kind).reserved()) {
      files_.data(kind).Remap(first[i], needed_bytes[i]);
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
  for (std::size_t i = 0; i < kKinds; ++i) {
    keep[i] = std::max(needed[i], in_use[i]);
  }
  for (;;) {
    try {
      for (std::size_t i = 0; i < kKinds; ++i) {
        DataFile& file = files_.data(kAllKinds[i]);
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
  for (std::size_t i = 0; i < kKinds; ++i) {
    DataFile& file = files_.data(kAllKinds[i]);
    const std::uint64_t spare = file.bytes() - std::min(file.bytes(), keep[i]);
    const std::uint64_t size = RoundUp(file.bytes() - spare + spare / 2, kBlock);
    if (spare > 0 && size < file.bytes()) {
      shorter |= file.ShortenTo(size);
    }
  }
  if (shorter) {
    files_.NoteShortened();
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
    for (std::size_t i = 0; i < kKinds; ++i) {
      if (needed[i] > before[i]) {
        const Kind kind = kAllKinds[i];
        const std::uint64_t size = RoundUp(before[i] + StepOf(kind), Grain());
        wanted[i] = std::max(needed[i], WithinReservation(files_.data(kind), size));
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
  const Sizes content = {used.layout_words * sizeof(std::uint64_t), 0, 0,
                         used.values * sizeof(Value), used.records * sizeof(Record)};
  Sizes wanted = CurrentSizes();
  bool more = false;
  for (const Kind kind : {Kind::kLayouts, Kind::kValues, Kind::kRecords}) {
    const std::size_t i = Index(kind);
    const std::uint64_t step = WholeStep(kind);
    const bool soon = content[i] + LowWater(kind) > wanted[i];
    if (step > 0 && soon && wanted[i] + step <= files_.data(kind).reserved()) {
      wanted[i] += step;
      more = true;
    }
  }
  const Sizes hints = HintBytesOfFiles();
  if (!more && hints[Index(Kind::kPositionHints)] <= files_.position_hints.bytes() &&
      hints[Index(Kind::kRowHints)] <= files_.row_hints.bytes()) {
    return;
  }
  if (!TryGrow(wanted)) {
    Halve();
  } else if (more) {
    halvings_ -= std::min(halvings_, 1U);
  }
}

// Grows the files to these sizes, and the hints to match, so that the limits can reach the ends of the
// files. Returns false if the disk is too full: then no file has grown.
bool Growth::TryGrow(const Sizes& wanted) {
  const Sizes before = CurrentSizes();
  try {
    for (const Kind kind : kAllKinds) {
      files_.data(kind).GrowTo(wanted[Index(kind)]);
    }
    const Sizes hints = HintBytesOfFiles();
    for (const Kind kind : {Kind::kPositionHints, Kind::kRowHints}) {
      DataFile& file = files_.data(kind);
      file.GrowTo(WithinReservation(file, RoundUp(hints[Index(kind)], Grain())));
    }
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
  for (std::size_t i = 0; i < kKinds; ++i) {
    if (DataFile& file = files_.data(kAllKinds[i]); file.bytes() > sizes[i]) {
      file.ShortenTo(sizes[i]);
    }
  }
}

}  // namespace stream_store::internal
