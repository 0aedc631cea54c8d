// ArrowImporter: stages the rows of batches in a store, some thousand at a time.
//
// Every part of a batch takes these steps:
//   1. The loaders turn each column into a Column, without copying where they can.
//   2. FindMarker() finds the rows in which a struct is present but all of its members are null.
//   3. Stage() adds the steps and passes the columns to StagedRows::Extend().
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "stream_store/arrow.h"
#include "stream_store/error.h"
#include "stream_store/store.h"

#include "arrow/import_plan.h"
#include "arrow/leaf_loader.h"
#include "arrow/owned.h"
#include "base/str_cat.h"

namespace stream_store {
namespace {

using arrow::ColumnView;
using arrow::ImportLeaf;
using arrow::ImportMarker;
using arrow::LeafLoader;
using arrow::MarkerView;
using arrow::OwnedArrow;
using arrow::RowRef;
using internal::StrCat;

// How many rows are staged at a time. Loading, checking and encoding are separate passes over the
// same rows, so the rows should be few enough to stay in the cache. The first number is small,
// because the size of rows is not known before some have been loaded.
constexpr std::uint64_t kMostRows = 16'384;
constexpr std::uint64_t kFirstRows = 256;
constexpr std::uint64_t kTargetBytes = 4 << 20;

[[noreturn]] void RefuseImport(const std::string& problem) {
  throw Error(ErrorCode::kInvalidArgument, StrCat("importing from Arrow: ", problem));
}

}  // namespace

struct ArrowImporter::Impl {
  Impl(StagedRows& into, const ArrowSchema& schema, const ArrowImportOptions& options)
      : rows(into),
        plan(arrow::PlanImport(into.schema(), schema, options)),
        columns_of_batch(schema.n_children) {
    for (const ImportLeaf& leaf : plan.leaves) {
      loaders.emplace_back(leaf);
      kept_views.emplace_back();
    }
    if (plan.steps) {
      step_loader.emplace(*plan.steps);
    }
    marker_present.resize(plan.markers.size());
  }

  // Stages the rows of one batch in order.
  void Append(const ArrowArray& batch) {
    arrow::CheckBatch(batch, columns_of_batch);
    const auto count = static_cast<std::uint64_t>(batch.length);
    CheckStructs(batch, rows.rows());
    std::vector<ColumnView> views;
    views.reserve(plan.leaves.size());
    for (const ImportLeaf& leaf : plan.leaves) {
      views.push_back(arrow::ViewColumn(batch, leaf));
    }
    std::vector<MarkerView> structs;
    structs.reserve(plan.markers.size());
    for (const ImportMarker& marker : plan.markers) {
      structs.push_back(arrow::ViewMarker(batch, marker));
    }
    std::optional<ColumnView> step_view;
    if (plan.steps) {
      step_view = arrow::ViewColumn(batch, *plan.steps);
    }
    for (std::uint64_t done = 0; done < count;) {
      const std::uint64_t now =
          LoadColumns(std::min(rows_at_once, count - done), [&](std::size_t i, std::uint64_t most) {
            return loaders[i].LoadRange(views[i], done, most, rows.rows());
          });
      for (std::size_t i = 0; i < structs.size(); ++i) {
        FindMarker(i, now, [&](std::uint64_t row) { return std::pair(&structs[i], done + row); });
      }
      Stage(now, step_view
                     ? std::optional(step_loader->LoadRange(*step_view, done, now, rows.rows()))
                     : std::nullopt);
      done += now;
    }
  }

  // Checks the structs that are declared not null. The first row of the batch has the number
  // `first` in messages.
  void CheckStructs(const ArrowArray& batch, std::uint64_t first) const {
    for (const arrow::ImportNotNull& column : plan.not_null) {
      arrow::CheckNotNull(batch, column, first);
    }
  }

  // Loads all columns of at most `count` rows and returns of how many. Nested columns come first,
  // because they may load fewer rows than asked; those that loaded more are cut.
  template <class Load>
  std::uint64_t LoadColumns(std::uint64_t count, const Load& load) {
    const std::uint64_t asked = count;
    columns.resize(loaders.size());
    for (const bool nested : {true, false}) {
      for (std::size_t i = 0; i < loaders.size(); ++i) {
        if (plan.leaves[i].is_nested == nested) {
          columns[i] = load(i, count);
          count = std::min(count, loaders[i].loaded_rows());
        }
      }
    }
    // Rows that were loaded in vain cost time, so the next part has hardly more rows than this one.
    most_rows = count < asked ? count + count / 8 + 1 : 8 * rows_at_once;
    return count;
  }

  // Stages rows of the kept batches in any order.
  void AppendKept(std::span<const std::uint64_t> numbers) {
    while (!numbers.empty()) {
      Find(numbers.first(std::min<std::size_t>(rows_at_once, numbers.size())));
      const std::uint64_t now = LoadColumns(refs.size(), [&](std::size_t i, std::uint64_t most) {
        return loaders[i].LoadRows(kept_views[i], std::span(refs).first(most), rows.rows());
      });
      refs.resize(now);
      numbers = numbers.subspan(now);
      for (std::size_t i = 0; i < plan.markers.size(); ++i) {
        FindMarker(i, now, [&](std::uint64_t row) {
          return std::pair(&kept_structs[refs[row].batch][i], refs[row].row);
        });
      }
      Stage(now, plan.steps ? std::optional(step_loader->LoadRows(kept_steps, refs, rows.rows()))
                            : std::nullopt);
    }
  }

  // Keeps a batch for AppendKept(). Its views are made now, so that errors appear early.
  void Keep(OwnedArrow<ArrowArray> taken) {
    const ArrowArray& batch = *taken;
    arrow::CheckBatch(batch, columns_of_batch);
    CheckStructs(batch, kept_rows());
    for (std::size_t i = 0; i < plan.leaves.size(); ++i) {
      kept_views[i].push_back(arrow::ViewColumn(batch, plan.leaves[i]));
    }
    std::vector<MarkerView>& structs = kept_structs.emplace_back();
    for (const ImportMarker& marker : plan.markers) {
      structs.push_back(arrow::ViewMarker(batch, marker));
    }
    if (plan.steps) {
      kept_steps.push_back(arrow::ViewColumn(batch, *plan.steps));
    }
    kept_ends.push_back(kept_rows() + static_cast<std::uint64_t>(batch.length));
    kept.push_back(std::move(taken));
  }

  std::uint64_t kept_rows() const { return kept_ends.empty() ? 0 : kept_ends.back(); }

  // Finds batch and row of each number. Batches usually have the same size, so the batch computed
  // from that of the first is usually right and saves the binary search.
  void Find(std::span<const std::uint64_t> numbers) {
    refs.resize(numbers.size());
    const std::uint64_t all = kept_rows();
    const std::uint64_t each = kept.empty() ? 1 : std::max<std::uint64_t>(1, kept_ends.front());
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const std::uint64_t number = numbers[i];
      if (number >= all) {
        throw Error(ErrorCode::kOutOfRange,
                    StrCat("importing from Arrow: row ", number, " is outside [0, ", all, ")"));
      }
      std::uint64_t batch = std::min<std::uint64_t>(number / each, kept_ends.size() - 1);
      if (number >= kept_ends[batch] || (batch > 0 && number < kept_ends[batch - 1])) {
        batch = static_cast<std::uint64_t>(std::ranges::upper_bound(kept_ends, number) -
                                           kept_ends.begin());
      }
      refs[i] = {static_cast<std::uint32_t>(batch),
                 number - (batch == 0 ? 0 : kept_ends[batch - 1])};
    }
  }

  // Finds the rows in which marker `i` is written: its struct is present and none of its members
  // is. Without the marker such a struct would look like a null. `where(row)` returns the view of
  // the struct and the row in it. Inner markers must have been found before.
  template <class Where>
  void FindMarker(std::size_t i, std::uint64_t count, const Where& where) {
    const ImportMarker& marker = plan.markers[i];
    std::vector<std::uint8_t>& present = marker_present[i];
    present.assign(count, 1);
    for (std::uint64_t row = 0; row < count; ++row) {
      const auto [view, at] = where(row);
      if (marker.nested && !IsPresentBehindLayers(*view, at)) {
        present[row] = 0;
      }
      for (const arrow::Validity& validity : view->around.validities) {
        const std::uint64_t bit = validity.shift + at;
        present[row] = static_cast<std::uint8_t>(
            present[row] & (static_cast<unsigned>(validity.bits[bit / 8]) >> (bit % 8) & 1U));
      }
    }
    for (const std::size_t leaf : marker.leaves) {
      Exclude(loaders[leaf].present(), present);
    }
    for (const std::size_t inner : marker.markers) {
      Exclude(marker_present[inner].data(), present);
    }
  }

  static bool IsPresentBehindLayers(const MarkerView& view, std::uint64_t row) {
    try {
      return arrow::NestedWriter::IsPresent(view.nested, row);
    } catch (const arrow::CellError& error) {
      RefuseImport(StrCat("a column of structs: ", error.problem));
    }
  }

  // Clears the rows in which `others` is present; a null pointer means that it is in every row.
  static void Exclude(const std::uint8_t* others, std::vector<std::uint8_t>& present) {
    for (std::size_t row = 0; row < present.size(); ++row) {
      present[row] =
          static_cast<std::uint8_t>(others == nullptr || others[row] != 0 ? 0 : present[row]);
    }
  }

  // Adds the markers and the steps to `columns` and stages them. Then adapts the number of rows at
  // a time to the size of those just loaded.
  void Stage(std::uint64_t count, const std::optional<Column>& given_steps) {
    for (std::size_t i = 0; i < plan.markers.size(); ++i) {
      columns.push_back(Column{.type = plan.markers[i].type,
                               .source = Source::kBool,
                               .row_items = 0,
                               .present = marker_present[i].data()});
    }
    // Fields that were added after a struct have higher type ids than its marker.
    std::ranges::sort(columns, {}, &Column::type);
    given_steps ? ReadSteps(*given_steps, count) : CountSteps(count);
    rows.Extend(steps, columns);
    std::uint64_t bytes = count * sizeof(Step);
    for (const LeafLoader& loader : loaders) {
      bytes += loader.loaded_bytes();
    }
    const std::uint64_t fitting = kTargetBytes * count / std::max<std::uint64_t>(1, bytes);
    rows_at_once = std::clamp<std::uint64_t>(fitting, 1, std::min(kMostRows, most_rows));
  }

  // Makes steps that continue after the last one, or from 0 in an empty store.
  void CountSteps(std::uint64_t count) {
    const std::optional<Step> last = rows.last_step();
    Step first = 0;
    Step end = 0;
    if (last) {
      const bool past = __builtin_add_overflow(*last, 1, &first);
      if (past || __builtin_add_overflow(first, static_cast<Step>(count) - 1, &end)) {
        RefuseImport("the steps would exceed 2^63 - 1");
      }
    }
    steps.resize(count);
    for (std::uint64_t row = 0; row < count; ++row) {
      steps[row] = first + static_cast<Step>(row);
    }
  }

  // Loads steps from their column. They may be integers of any width; Extend() checks that they
  // increase.
  void ReadSteps(const Column& column, std::uint64_t count) {
    steps.resize(count);
    const arrow::Type& type = plan.steps->item;
    const std::uint64_t bytes = plan.steps->item_bytes;
    for (std::uint64_t row = 0; row < count; ++row) {
      if (column.present != nullptr && column.present[row] == 0) {
        RefuseImport(StrCat("column '", plan.steps->name, "', row ", rows.rows() + row,
                            ": a null; every row needs a step"));
      }
      std::uint64_t word = 0;
      std::memcpy(&word, static_cast<const std::byte*>(column.data) + row * bytes, bytes);
      // Sign-extends the little-endian number by shifting it to the top of the word and back.
      const auto unused = static_cast<unsigned>(64 - type.bits);
      const auto step = static_cast<Step>(word << unused) >> unused;
      steps[row] = type.is_signed ? step : static_cast<Step>(word);
      if (!type.is_signed && steps[row] < 0) {
        RefuseImport(StrCat("column '", plan.steps->name, "', row ", rows.rows() + row, ": ", word,
                            " is larger than 2^63 - 1"));
      }
    }
  }

  StagedRows& rows;
  const arrow::ImportPlan plan;
  const std::int64_t columns_of_batch;
  std::vector<LeafLoader> loaders;
  std::optional<LeafLoader> step_loader;
  std::vector<std::vector<std::uint8_t>> marker_present;
  std::vector<Column> columns;
  std::vector<Step> steps;
  std::uint64_t rows_at_once = kFirstRows;
  std::uint64_t most_rows = kFirstRows;  // the most of the next part

  std::vector<OwnedArrow<ArrowArray>> kept;
  std::vector<std::uint64_t> kept_ends;               // by batch: number of rows up to its end
  std::vector<std::vector<ColumnView>> kept_views;    // by leaf, by batch
  std::vector<std::vector<MarkerView>> kept_structs;  // by batch, by marker
  std::vector<ColumnView> kept_steps;
  std::vector<RowRef> refs;  // result of Find()
};

ArrowImporter::ArrowImporter(StagedRows& rows, const ArrowSchema& schema,
                             const ArrowImportOptions& options)
    : impl_(std::make_unique<Impl>(rows, schema, options)) {}

ArrowImporter::~ArrowImporter() = default;

void ArrowImporter::Append(ArrowArray* batch) {
  const OwnedArrow<ArrowArray> taken(batch);
  impl_->Append(*taken);
}

void ArrowImporter::Keep(ArrowArray* batch) { impl_->Keep(OwnedArrow<ArrowArray>(batch)); }

std::uint64_t ArrowImporter::kept_rows() const noexcept { return impl_->kept_rows(); }

void ArrowImporter::AppendKept(std::span<const std::uint64_t> rows) { impl_->AppendKept(rows); }

}  // namespace stream_store
