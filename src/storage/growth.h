// Growth: plans how much the data files of a store grow, all kinds together. It follows
// "Growth" in docs/format.md.
//
// A call needs space in up to five kinds of files, and space in one of them is of no use without the others.
// So what the call needs is allocated first, in all files; then each file that grew gets more, so
// that the next calls need not grow. On a nearly full disk the extra space is halved until it fits,
// and space that earlier calls took and that is not in use is given back to the file that needs it.
//
// Used by Capacity. Thread rules: all functions are called under the state mutex; Grow() also under
// the append flag, because it may map a file again, and may shorten files below the limits.
// Invariants:
//   1. A file is never shortened below the ends that are in use: what is published, staged or
//      promised to the running call. So no reader and no append loses a byte that it may touch.
//   2. A call that fails leaves no file larger than it was.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "storage/data_file.h"
#include "storage/kinds.h"

namespace stream_store::internal {

class StoreFiles;

class Growth {
 public:
  /// Where the content of the files ends, as far as growth needs to know: the number of rows follows
  /// from SetRowLag().
  struct Ends {
    std::uint64_t values = 0;
    std::uint64_t records = 0;
    std::uint64_t layout_words = 0;
  };

  /// `values` grows by at least `step_values` where the disk has the space. `files` must outlive
  /// it.
  Growth(StoreFiles& files, std::uint64_t step_values) : files_(files), step_values_(step_values) {}

  /// Sets how many more records than rows there are at least, wherever the files end. Without it,
  /// the row hints of a store that has run for long would be allocated far ahead, because rows lag
  /// further and further from the number of records.
  void SetRowLag(std::uint64_t lag) noexcept { row_lag_ = lag; }

  /// No step is larger than this from now on: a bounded store must not allocate far ahead.
  void LimitSteps(std::uint64_t bytes) noexcept { largest_step_ = bytes; }

  /// Grows the files to hold `needed` or more, and maps a file again that outgrows its reservation.
  /// Files may become shorter, but not than `in_use` or `needed`: compare the sizes afterwards,
  /// also after an Error.
  ///
  /// Throws Error(kNoSpace, kIo). Cost: a few system calls. On a nearly full disk, some for each
  /// halving, the first time; the size that succeeded is where the next call starts.
  void Grow(const Ends& needed, const Ends& in_use);

  /// Grows each file of which less than LowWater() is left after `used`, inside its reservation.
  /// If there is not enough space, no file grows and the next step is smaller. Throws Error(kIo).
  void GrowAhead(const Ends& used);

  /// Half of the step by which the file of this kind would grow next, in bytes.
  std::uint64_t LowWater(Kind kind) const noexcept { return WholeStep(kind) / 2; }

 private:
  using Sizes = KindBytes;

  Sizes CurrentSizes() const noexcept;
  std::uint64_t StepOf(Kind kind) const noexcept;
  std::uint64_t WholeStep(Kind kind) const noexcept;
  void Halve() noexcept;
  void AllocateNeeded(const Sizes& needed, const Sizes& in_use);
  bool GiveBackHalf(const Sizes& keep) noexcept;
  void GrowFurther(const Sizes& before);
  bool TryGrow(const Sizes& wanted);
  void ShortenTo(const Sizes& sizes) noexcept;
  Sizes HintBytesOfFiles() const noexcept;
  std::uint64_t RowHintBytes(std::uint64_t records) const noexcept;
  std::uint64_t Grain() const noexcept;

  StoreFiles& files_;
  const std::uint64_t step_values_;
  std::uint64_t largest_step_ = 1 << 30;
  std::uint64_t row_lag_ = 0;
  unsigned halvings_ =
      0;  // of the growth step: one more after a full disk, one less after a growth
};

/// The bytes of hints that as many positions or rows need, and of one hint more, because the limits
/// do not count the last one.
constexpr std::uint64_t HintBytes(std::uint64_t reach) noexcept {
  return (reach / kHintStride + 2) * sizeof(std::uint64_t);
}

}  // namespace stream_store::internal
