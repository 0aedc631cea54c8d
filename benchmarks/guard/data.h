// Stores, places and outputs for the guarded operations: fixed, and aligned so that no address
// changes a count.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <vector>

#include "stream_store/reader.h"
#include "stream_store/store.h"

namespace stream_store::guard {

inline constexpr std::uint64_t kStepValues = 11;
inline constexpr std::uint64_t kEpisodeRows = 200;
inline constexpr std::uint64_t kMostRagged = 10;  ///< items of the ragged field

/// The fields of every store here; the ragged one only where it says so.
enum : TypeId { kAction = 0, kObservation = 1, kReward = 2, kDone = 3, kRaggedField = 4 };

/// A temporary store without rows, without a helper thread, with room for that many steps.
StreamStore MakeEmptyStore(std::uint64_t steps);

/// Steps of 11 values each: all of one shape.
StreamStore MakeRegularStore(std::uint64_t steps);

/// Steps of many shapes: a ragged field more, and every field but `done` missing in 3 of 10 rows.
StreamStore MakeIrregularStore(std::uint64_t steps);

/// Columns for extend(), and the steps that go with them.
struct ColumnData {
  explicit ColumnData(std::uint64_t rows);

  std::vector<Column> Columns() const;

  std::vector<Step> steps;
  std::vector<std::int64_t> actions;
  std::vector<float> observations;
  std::vector<float> rewards;
  std::vector<std::uint8_t> done;
};

/// `batches` × `size` places in [0, bound), from a fixed seed; Next() gives batch after batch, round
/// and round.
class Draws {
 public:
  Draws(std::uint64_t batches, std::uint64_t size, std::uint64_t bound);

  std::span<const std::int64_t> Next() noexcept;

 private:
  std::uint64_t size_;
  std::uint64_t next_ = 0;
  std::vector<std::int64_t> draws_;
};

/// Zeros that begin at a page.
template <class T>
class Pages {
 public:
  explicit Pages(std::size_t count) : items_(new (std::align_val_t{kPage}) T[count]()) {}

  T* data() noexcept { return items_.get(); }

 private:
  static constexpr std::size_t kPage = 4096;

  struct Delete {
    void operator()(T* items) const noexcept {
      ::operator delete[](items, std::align_val_t{kPage});
    }
  };

  std::unique_ptr<T[], Delete> items_;
};

}  // namespace stream_store::guard
