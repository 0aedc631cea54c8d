#include "arrow/batch_size.h"

#include <algorithm>
#include <string>

#include "stream_store/error.h"
#include "stream_store/interop.h"

namespace stream_store::arrow {
namespace {

constexpr std::uint64_t kMostRows = 1 << 24;  // also of rows that take no bytes
constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};

// What one leaf adds to a batch, in bits.
struct Cost {
  std::uint64_t row_bits = 0;      // also where the field is missing
  std::uint64_t unit_bits = 0;     // of each unit that is there
  std::uint64_t limit = kNoLimit;  // of units in a batch
};

Cost CostOf(const LeafPlan& leaf, std::uint64_t offset_limit) {
  Cost cost;
  const std::uint64_t item_bits = leaf.unit_items * leaf.item_bits;
  cost.row_bits = 1;
  if (leaf.has_row_offsets()) {
    cost.row_bits += 64;
    cost.unit_bits = item_bits;
  } else {
    cost.row_bits += item_bits;
  }
  if (leaf.has_narrow_offsets() && leaf.unit_items > 0) {
    cost.limit = offset_limit / leaf.unit_items;
  }
  return cost;
}

class Measure {
 public:
  Measure(const ExportPlan& plan, Row begin, std::uint64_t batch_bytes, std::uint64_t offset_limit)
      : plan_(plan), begin_(begin), budget_bits_(batch_bytes * 8) {
    for (const LeafPlan& leaf : plan.leaves) {
      costs_.push_back(CostOf(leaf, offset_limit));
      row_bits_ += costs_.back().row_bits;
    }
    extent_.units.assign(plan.leaves.size(), 0);
    extent_.end = begin;
  }

  // False at the end of the batch.
  bool Take(const interop::RecordRun& run) {
    std::uint64_t bits = run.begins_row ? row_bits_ : 0;
    for (const interop::RecordRun::Part& part : run.parts) {
      bits += UnitsOf(part) * costs_[Leaf(part)].unit_bits;
    }
    std::uint64_t fits = run.count;
    if (bits > 0) {
      fits = std::min(fits, (budget_bits_ - std::min(used_bits_, budget_bits_)) / bits);
    }
    if (run.begins_row) {
      fits = std::min(fits, kMostRows - static_cast<std::uint64_t>(extent_.end - begin_));
    }
    const bool first_row = run.row == begin_;
    fits = std::max(fits, std::uint64_t{first_row});
    for (const interop::RecordRun::Part& part : run.parts) {
      fits = std::min(fits, RoomFor(part));
    }
    if (fits == 0) {
      if (first_row) {
        RefuseRow(run);
      }
      extent_.end = run.row;  // the row that a record continues goes to the next batch with it
      return false;
    }
    for (const interop::RecordRun::Part& part : run.parts) {
      extent_.units[Leaf(part)] += fits * UnitsOf(part);
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

  std::uint64_t UnitsOf(const interop::RecordRun::Part& part) const {
    const std::uint64_t unit_words = plan_.leaves[Leaf(part)].unit_words;
    return unit_words == 0 ? 0 : part.length / unit_words;
  }

  std::uint64_t RoomFor(const interop::RecordRun::Part& part) const {
    const Cost& cost = costs_[Leaf(part)];
    const std::uint64_t units = UnitsOf(part);
    if (cost.limit == kNoLimit || units == 0) {
      return kNoLimit;
    }
    const std::uint64_t used = extent_.units[Leaf(part)];
    return used >= cost.limit ? 0 : (cost.limit - used) / units;
  }

  [[noreturn]] void RefuseRow(const interop::RecordRun& run) const {
    for (const interop::RecordRun::Part& part : run.parts) {
      if (RoomFor(part) == 0) {
        const LeafPlan& leaf = plan_.leaves[Leaf(part)];
        throw Error(ErrorCode::kInvalidArgument,
                    "exporting to Arrow: field '" + leaf.name + "': row " +
                        std::to_string(run.row) + " has " +
                        std::to_string(UnitsOf(part) * leaf.unit_items) +
                        " items, more than 32-bit offsets reach; declare it as " +
                        (leaf.is_text() ? "large_string or large_binary" : "LargeList"));
      }
    }
    throw Error(ErrorCode::kCorrupt,
                "exporting to Arrow: row " + std::to_string(run.row) + ": expected room for it");
  }

  const ExportPlan& plan_;
  const Row begin_;
  const std::uint64_t budget_bits_;
  std::vector<Cost> costs_;
  std::uint64_t row_bits_ = 64;  // the step
  std::uint64_t used_bits_ = 0;
  BatchExtent extent_;
};

}  // namespace

BatchExtent MeasureBatch(const Reader& reader, const ExportPlan& plan, Row begin, Row end,
                         std::uint64_t batch_bytes, std::uint64_t offset_limit) {
  Measure measure(plan, begin, batch_bytes, offset_limit);
  interop::ScanRows(reader, begin, end,
                    [&](const interop::RecordRun& run) { return measure.Take(run); });
  return std::move(measure).extent();
}

}  // namespace stream_store::arrow
