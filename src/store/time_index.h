// TimeIndex: the rows that have a field with times, and these times, for Reader::RowAt().
//
// Each row is read once, when a later row exists, because the last row of a store may still grow and
// get the field. There is one index for each field of a source: all its Readers share it (Shared()).
// Times become keys: int64s in the same order. A search is exact only if they never decrease, so the
// index remembers every place where they do, and a search in rows that have such a place throws.
//
// Rows may be dropped before the index has read them, and once most of its rows are dropped they
// cost memory for nothing. Newer Readers get another index then, and a Reader that still has those
// rows makes one for each call.
//
// Used by reader.cc and interop.cc. Thread rules: any thread may call the functions outside the
// class. Hold mutex() for every call but the constructor and first_row(). The mutex survives fork().
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "stream_store/dtype.h"
#include "stream_store/reader.h"
#include "stream_store/types.h"

#include "base/fork_mutex.h"
#include "storage/read_source.h"
#include "storage/view.h"
#include "store/growing_list.h"
#include "store/row_scan.h"

namespace stream_store::internal {

/// Times that a caller asks for, of any arithmetic type.
struct AskedTimes {
  const void* data = nullptr;
  std::size_t bytes = 8;  ///< of one
  bool is_floating = false;
  bool is_signed = true;
  const std::uint8_t* rests = nullptr;  ///< see interop::FindTimes()
};

/// Writes the row of each time. Reader::RowAt() describes it.
void FindTimes(const std::shared_ptr<ReadSource>& source, const View& view, const AskedTimes& asked,
               TypeId field, Side side, std::span<Row> out);

/// A time that is asked for, in the order of the keys of a field. In fields of integers it may be
/// between two keys.
struct TimeKey {
  enum class Rest : std::uint8_t {
    kNone,
    kLowerHalf,  ///< above `key` by up to a half
    kUpperHalf,  ///< above `key` by more than a half, and below the next one
    kBelowAll,   ///< less than any key
  };
  std::int64_t key = 0;
  Rest rest = Rest::kNone;
};

class TimeIndex {
 public:
  /// Begins at the first row of the View. Throws Error(kInvalidArgument) unless the field has one
  /// number or time per row.
  TimeIndex(const View& view, TypeId field);

  ForkMutex& mutex() noexcept { return mutex_; }

  std::uint64_t first_row() const noexcept { return first_row_; }

  /// Whether this is the index for a View of its source: it has the rows that the View has, as far as
  /// they were read, and not mostly rows that were dropped. Not after Extend() ran out of memory.
  bool Fits(const View& view, DType dtype) const noexcept;

  /// Reads the rows of the View that were not read yet, except its last row if that may grow. Throws
  /// Error(kCorrupt); the rows before the corrupt one are in the index then.
  void Extend(const ReadSource& source, const View& view);

  /// Writes the row of each time. `last` is the time of the last row of the View, if that may grow
  /// and has one. REQUIRES: Extend(source, view) was called.
  /// Throws Error(kInvalidArgument) if the times of the View decrease, or one that is asked for is
  /// NaN.
  void Find(const View& view, std::optional<std::int64_t> last, const AskedTimes& asked, Side side,
            std::span<Row> out) const;

  /// The key of a stored value; nothing for NaN and NaT.
  std::optional<std::int64_t> KeyOf(Value value) const noexcept;

 private:
  enum class Order : std::uint8_t { kSigned, kUnsigned, kFloat };

  class Entries;

  TimeKey AskedKey(const AskedTimes& asked, std::size_t i) const;
  TimeKey KeyOfInteger(const AskedTimes& asked, std::size_t i) const noexcept;
  TimeKey KeyOfDouble(double time) const noexcept;
  bool IsNearer(std::int64_t before, const TimeKey& asked, std::int64_t after) const noexcept;
  double TimeOf(std::int64_t key) const noexcept;
  std::string TimeText(std::int64_t key) const;
  void RequireOrder(const View& view, const Entries& entries) const;

  static constexpr std::uint64_t kFewDropped = 65536;  // never too many to keep

  ForkMutex mutex_{ForkMutex::Rank::kInner};
  const TypeId field_;
  const DType dtype_;
  const Order order_;
  const std::uint64_t first_row_;
  bool broken_ = false;  // a row was read and not added
  RowScanner scanner_;
  GrowingList<Row> rows_;           // that have the field
  GrowingList<std::int64_t> keys_;  // of each of them
  GrowingList<std::size_t> falls_;  // the numbers of keys that are less than the one before
};

}  // namespace stream_store::internal
