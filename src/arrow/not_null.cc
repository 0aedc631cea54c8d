#include "arrow/not_null.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "stream_store/interop.h"

namespace stream_store::arrow {
namespace {

using Fields = std::vector<TypeId>;

// A column that is declared not null, as no row seen so far contradicts.
struct NotNull {
  ColumnPlan* column;
  SchemaNode* node;
  Fields own;      // the column is present in a row that has one of them
  bool is_member;  // of a struct
  Fields outer;    // likewise of that struct
};

void AddFields(const ExportPlan& plan, const ColumnPlan& column, Fields& fields) {
  if (column.role == ColumnPlan::Role::kLeaf) {
    fields.push_back(plan.leaves[column.leaf].type);
  }
  for (const std::size_t marker : column.markers) {
    fields.push_back(plan.leaves[marker].type);
  }
  for (const ColumnPlan& child : column.children) {
    AddFields(plan, child, fields);
  }
}

// Collects the columns that are declared not null. `columns` and `nodes` have the same order;
// `parent` is the struct around them, or null.
void Collect(const ExportPlan& plan, const ColumnPlan* parent, std::vector<ColumnPlan>& columns,
             std::vector<SchemaNode>& nodes, std::vector<NotNull>& found) {
  for (std::size_t i = 0; i < columns.size(); ++i) {
    ColumnPlan& column = columns[i];
    if (!column.nullable && column.role != ColumnPlan::Role::kStep) {
      found.push_back({&column, &nodes[i], Fields(), parent != nullptr, Fields()});
      NotNull& added = found.back();
      AddFields(plan, column, added.own);
      if (parent != nullptr) {
        AddFields(plan, *parent, added.outer);
      }
    }
    if (column.role == ColumnPlan::Role::kStruct) {
      Collect(plan, &column, column.children, nodes[i].children, found);
    }
  }
}

// Compares the fields of rows with the columns that need them.
class RowCheck {
 public:
  RowCheck(std::vector<NotNull> columns, std::size_t fields)
      : columns_(std::move(columns)), has_(fields, 0) {}

  // Takes the next run. Returns whether columns are left.
  //
  // All rows of a run have the same fields, but another record may continue the last one. That row
  // is checked when the next one begins.
  bool Take(const interop::RecordRun& run) {
    if (run.begins_row) {
      EndRow();
      for (const TypeId type : fields_) {
        has_[type] = 0;
      }
      fields_.clear();
      in_row_ = true;
    }
    for (const interop::RecordRun::Part& part : run.parts) {
      has_[part.type] = 1;
      fields_.push_back(part.type);
    }
    if (run.count > 1) {
      EndRow();
    }
    return !columns_.empty();
  }

  // Checks the current row, if there is one.
  void EndRow() {
    if (in_row_) {
      std::erase_if(columns_, [this](const NotNull& column) {
        const bool lacks = !Has(column.own) && (!column.is_member || Has(column.outer));
        if (lacks) {
          column.column->nullable = true;
          column.node->flags |= ARROW_FLAG_NULLABLE;
        }
        return lacks;
      });
    }
  }

 private:
  bool Has(const Fields& fields) const {
    return std::ranges::any_of(fields, [this](TypeId type) { return has_[type] != 0; });
  }

  std::vector<NotNull> columns_;
  std::vector<std::uint8_t> has_;  // by type id: whether the current row has the field
  Fields fields_;                  // those with a 1 in has_
  bool in_row_ = false;
};

}  // namespace

void AllowMissingValues(const Reader& reader, Row begin, Row end, ExportPlan& plan) {
  auto schema = std::make_shared<SchemaNode>(*plan.schema);
  std::vector<NotNull> columns;
  Collect(plan, nullptr, plan.columns, schema->children, columns);
  if (columns.empty()) {
    return;
  }
  RowCheck check(std::move(columns), plan.leaf_of_type.size());
  interop::ScanRows(reader, begin, end,
                    [&](const interop::RecordRun& run) { return check.Take(run); });
  check.EndRow();
  plan.schema = std::move(schema);
}

}  // namespace stream_store::arrow
