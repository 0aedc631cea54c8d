// Stores, random places and output memory for all programs here. They are the same in every run,
// and aligned so that addresses do not affect instruction counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <vector>

#include "stream_store/reader.h"
#include "stream_store/store.h"

namespace stream_store::benchmarks {

inline constexpr std::int64_t kSizes[] = {20'000, 2'000'000, 20'000'000};  ///< steps of a store
inline constexpr std::uint64_t kStepValues = 11;
inline constexpr std::uint64_t kEpisodeRows = 200;
inline constexpr std::uint64_t kMostRagged = 10;  ///< items of the ragged field
inline constexpr std::uint64_t kWindows = 256;    ///< per batch
inline constexpr std::uint64_t kWidth = 128;      ///< values of a flat window
inline constexpr std::uint64_t kLength = 12;      ///< rows of a row window
inline constexpr std::uint64_t kBatchRows = kWindows * kLength;

/// The fields of every store here. Only irregular stores have the ragged one.
enum : TypeId { kAction = 0, kObservation = 1, kReward = 2, kDone = 3, kRaggedField = 4 };

/// Returns the fields without the ragged one, with an observation of `items` items.
std::vector<Field> StepFields(std::uint32_t items = 8);

/// Creates an empty temporary store with space for `steps` steps and without a helper thread.
StreamStore MakeEmptyStore(std::uint64_t steps);

/// Creates a store whose steps have 11 values each, all of one shape.
StreamStore MakeRegularStore(std::uint64_t steps);

/// Creates a store with steps of many shapes: it has the ragged field, and each field except `done`
/// is missing in 3 of 10 rows.
StreamStore MakeIrregularStore(std::uint64_t steps);

/// Columns for Extend(), with their steps, which count from `first`.
struct ColumnData {
  explicit ColumnData(std::uint64_t rows, Step first = 0);

  std::vector<Column> Columns() const;

  std::vector<Step> steps;
  std::vector<std::int64_t> actions;
  std::vector<float> observations;
  std::vector<float> rewards;
  std::vector<std::uint8_t> done;
};

/// `batches` × `size` places in [0, bound), from a fixed seed. Next() returns one batch after the
/// other, and starts again after the last.
class Draws {
 public:
  Draws(std::uint64_t batches, std::uint64_t size, std::uint64_t bound);

  std::span<const std::int64_t> Next() noexcept;

 private:
  std::uint64_t size_;
  std::uint64_t next_ = 0;
  std::vector<std::int64_t> draws_;
};

/// Number of batches for Draws: so many that the core's caches no longer hold a place when it is
/// read again.
constexpr std::uint64_t Batches(std::uint64_t size) { return (std::uint64_t{1} << 18) / size; }

/// Zeroed memory that begins at a page.
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

/// Memory for one batch of row windows. `columns` has the fields, and the ragged one on request.
struct RowsRoom {
  explicit RowsRoom(bool ragged_too);

  Pages<std::int64_t> action{kBatchRows};
  Pages<float> observation{8 * kBatchRows};
  Pages<float> reward{kBatchRows};
  Pages<std::uint8_t> done{kBatchRows};
  Pages<float> ragged{kMostRagged * kBatchRows};
  Pages<std::int64_t> lengths{kBatchRows};
  Pages<std::uint8_t> present{5 * kBatchRows};
  Pages<Step> steps{kBatchRows};
  std::vector<RowsColumn> columns;
};

/// The competitor of reading flat windows: one memcpy per window and column, from a source of three
/// columns of `size` values each, into `out`, column after column.
void CopyWindows(const Value* source, std::uint64_t size, std::span<const Position> starts,
                 Value* out) noexcept;

}  // namespace stream_store::benchmarks
