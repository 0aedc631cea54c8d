#include "arrow/batch_size.h"

#include <algorithm>
#include <span>
#include <string>

#include "stream_store/error.h"

#include "base/assert.h"
#include "base/str_cat.h"

namespace stream_store::arrow {

using internal::StrCat;

namespace {

// This also limits batches of rows that take no bytes, such as those of null columns.
constexpr std::uint64_t kMostRows = 1 << 24;
constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};

// The size that one leaf adds to a batch, in bits, because bools and validity take one bit each.
struct Cost {
  std::uint64_t row_bits = 0;      // of each row, also if the field is missing in it
  std::uint64_t unit_bits = 0;     // of each unit that is present, in addition
  std::uint64_t limit = kNoLimit;  // most units in a batch
};

// Rows with offsets cost as much as they have; all others occupy their items even if they are null.
Cost CostOf(const LeafPlan& leaf, std::uint64_t offset_limit) {
  Cost cost;
  const std::uint64_t item_bits = leaf.unit_items * leaf.item_bits;
  cost.row_bits = 1;  // validity
  if (leaf.nested != nullptr) {
    cost.row_bits = leaf.nested->MissingBits();
    cost.unit_bits = item_bits;
    return cost;
  }
  if (leaf.has_row_offsets()) {
    cost.row_bits += 64;  // the offset, counted as a wide one: the size is approximate anyway
    cost.unit_bits = item_bits;
  } else {
    cost.row_bits += item_bits;
  }
  if (leaf.has_narrow_offsets() && leaf.unit_items > 0) {
    cost.limit = offset_limit / leaf.unit_items;
  }
  return cost;
}

// Adds runs of records to a batch until one does not fit.
class Measure {
 public:
  Measure(const ExportPlan& plan, Row begin, const BatchLimits& limits, const TakeRows& take)
      : plan_(plan), begin_(begin), budget_bits_(limits.bytes * 8), take_(take) {
    for (const LeafPlan& leaf : plan.leaves) {
      costs_.push_back(CostOf(leaf, limits.offset));
      row_bits_ += costs_.back().row_bits;
    }
    extent_.units.assign(plan.leaves.size(), 0);
    extent_.end = begin;
  }

  // Adds as many rows of the run as fit. Returns false at the end of the batch.
  //
  // All rows of a run have the same size, so one division decides how many fit. A row may consist
  // of several records and therefore of several runs; only the first of them counts as a row.
  bool Take(const interop::RecordRun& run) {
    std::uint64_t bits = run.begins_row ? row_bits_ : 0;
    units_.resize(run.parts.size());
    for (std::size_t i = 0; i < run.parts.size(); ++i) {
      units_[i] = UnitsOf(run.parts[i]);
      bits += units_[i] == 0 ? 0 : units_[i] * costs_[Leaf(run.parts[i])].unit_bits;
    }
    std::uint64_t fits = run.count;
    if (bits > 0) {
      fits = std::min(fits, (budget_bits_ - std::min(used_bits_, budget_bits_)) / bits);
    }
    if (run.begins_row) {
      fits = std::min(fits, kMostRows - static_cast<std::uint64_t>(extent_.end - begin_));
    }
    const bool first_row = run.row == begin_;  // it is taken even if it exceeds the budget
    fits = std::max(fits, std::uint64_t{first_row});
    for (std::size_t i = 0; i < run.parts.size(); ++i) {
      fits = std::min(fits, RoomFor(run, run.parts[i], units_[i]));
    }
    if (fits == 0) {
      if (first_row) {
        RefuseRow(run);
      }
      // If this run continues a row whose first record was taken, the whole row moves to the next
      // batch. `units` still counts that record, which only makes its buffers too large.
      extent_.end = run.row;
      return false;
    }
    if (take_) {
      fits = take_(run, fits);
    }
    for (std::size_t i = 0; i < run.parts.size(); ++i) {
      if (units_[i] > 0) {
        extent_.units[Leaf(run.parts[i])] += fits * units_[i];
      }
    }
    used_bits_ += fits * bits;
    extent_.end = run.row + static_cast<Row>(fits);
    return fits == run.count;
  }

  BatchExtent extent() && { return std::move(extent_); }

 private:
  std::size_t Leaf(const interop::RecordRun::Part& part) const {
    return plan_.leaf_of_type[part.type];
  }

  // 0 for a field that is not exported.
  std::uint64_t UnitsOf(const interop::RecordRun::Part& part) const {
    const std::size_t leaf = Leaf(part);
    return leaf == kNotExported ? 0 : plan_.leaves[leaf].MostUnits(part.length);
  }

  // The units of the first record of a run. The padding of a block field makes UnitsOf() too large
  // by a few, which must not refuse a row that fits.
  std::uint64_t ExactUnitsOf(const interop::RecordRun& run,
                             const interop::RecordRun::Part& part) const {
    const LeafPlan& leaf = plan_.leaves[Leaf(part)];
    if (!leaf.is_block()) {
      return UnitsOf(part);
    }
    const std::span words(run.values + part.begin, part.length);
    return internal::ItemsOfBlock(leaf.encoding, words).count / leaf.unit_items;
  }

  // How many rows of the run, of `units` units each, fit below the limit of the leaf.
  std::uint64_t RoomFor(const interop::RecordRun& run, const interop::RecordRun::Part& part,
                        std::uint64_t units) const {
    if (units == 0) {
      return kNoLimit;
    }
    const Cost& cost = costs_[Leaf(part)];
    if (cost.limit == kNoLimit) {
      return kNoLimit;
    }
    const std::uint64_t room = cost.limit - std::min(extent_.units[Leaf(part)], cost.limit);
    return units <= room ? room / units : std::uint64_t{ExactUnitsOf(run, part) <= room};
  }

  [[noreturn]] void RefuseRow(const interop::RecordRun& run) const {
    for (const interop::RecordRun::Part& part : run.parts) {
      if (RoomFor(run, part, UnitsOf(part)) == 0) {
        const LeafPlan& leaf = plan_.leaves[Leaf(part)];
        throw Error(ErrorCode::kInvalidArgument,
                    StrCat("exporting to Arrow: field '", leaf.name, "': row ", run.row, " has ",
                           ExactUnitsOf(run, part) * leaf.unit_items,
                           " items, more than 32-bit offsets can count; declare it as ",
                           leaf.is_text() ? "large_string or large_binary" : "LargeList"));
      }
    }
    throw Error(ErrorCode::kCorrupt,
                StrCat("exporting to Arrow: row ", run.row,
                       ": expected it to fit into an empty batch, but it does not"));
  }

  const ExportPlan& plan_;
  const Row begin_;
  const std::uint64_t budget_bits_;
  const TakeRows& take_;
  std::vector<Cost> costs_;
  std::uint64_t row_bits_ = 64;  // the step
  std::uint64_t used_bits_ = 0;
  std::vector<std::uint64_t> units_;  // of the parts of the current run
  BatchExtent extent_;
};

}  // namespace

BatchExtent MeasureBatch(const Reader& reader, const ExportPlan& plan, Row begin, Row end,
                         const BatchLimits& limits, const TakeRows& take) {
  STREAM_STORE_ASSERT(begin < end);
  Measure measure(plan, begin, limits, take);
  interop::ScanRows(reader, begin, end,
                    [&](const interop::RecordRun& run) { return measure.Take(run); });
  return std::move(measure).extent();
}

}  // namespace stream_store::arrow
