#include "arrow/import_plan.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "stream_store/error.h"
#include "stream_store/nested.h"

#include "arrow/import_items.h"
#include "base/str_cat.h"

namespace stream_store::arrow {

using internal::StrCat;

namespace {

[[noreturn]] void RefusePlan(const std::string& problem) {
  throw Error(ErrorCode::kInvalidArgument, StrCat("importing from Arrow: ", problem));
}

// Walks the foreign schema next to the columns of the store. Columns that do not fit are collected,
// so that one error names them all.
class ImportPlanner {
 public:
  ImportPlanner(const Schema& fields, const ArrowSchema& columns, const ArrowImportOptions& options)
      : fields_(fields), columns_(columns), options_(options) {}

  ImportPlan Plan() {
    CheckSchema(columns_);
    if (ParseFormat(columns_.format).kind != Kind::kStruct) {
      RefusePlan(StrCat("expected record batches, which are structs of columns, but found ",
                        TypeText(columns_)));
    }
    PlanSteps();
    const std::size_t found = PlanStruct(columns_, ColumnsOf(fields_), {}, "", nullptr);
    if (!problems_.empty()) {
      const std::string all = Joined(problems_, "\n  ");
      RefusePlan(problems_.size() == 1 ? all
                                       : StrCat(problems_.size(), " columns do not fit:\n  ", all));
    }
    if (found == 0) {
      RefusePlan(StrCat("no column is a field of the store; the columns are ", Names(columns_),
                        "; the fields are ", FieldNames()));
    }
    std::ranges::sort(plan_.leaves, {}, &ImportLeaf::type);
    LinkMarkers();
    return std::move(plan_);
  }

 private:
  static std::string Joined(const std::vector<std::string>& parts, const char* between) {
    std::string text;
    for (const std::string& part : parts) {
      text += text.empty() ? "" : between;
      text += part;
    }
    return text;
  }

  static std::string NameOf(const ArrowSchema& schema) {
    return schema.name == nullptr ? "" : schema.name;
  }

  static std::string Names(const ArrowSchema& schema) {
    constexpr std::int64_t kMostShown = 20;
    std::string text;
    for (std::int64_t i = 0; i < std::min(schema.n_children, kMostShown); ++i) {
      text += i == 0 ? "" : ", ";
      text += NameOf(*schema.children[i]);
    }
    return text + (schema.n_children > kMostShown ? ", …" : "");
  }

  std::string FieldNames() const {
    constexpr std::size_t kMostShown = 20;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < std::min(fields_.declared(), kMostShown); ++i) {
      names.push_back(fields_[fields_.declared_types()[i]].name);
    }
    return Joined(names, ", ") + (fields_.declared() > kMostShown ? ", …" : "");
  }

  void PlanSteps() {
    if (options_.step_column.empty()) {
      return;
    }
    for (std::int64_t i = 0; i < columns_.n_children; ++i) {
      const ArrowSchema& column = *columns_.children[i];
      if (NameOf(column) != options_.step_column) {
        continue;
      }
      ImportLeaf steps;
      steps.name = options_.step_column;
      steps.path = {i};
      steps.item = ParseFormat(column.format);
      if (steps.item.kind != Kind::kInteger || column.dictionary != nullptr) {
        RefusePlan(StrCat("the step column '", steps.name, "' must hold integers, not ",
                          TypeText(column)));
      }
      steps.source = SourceOfType(steps.item);
      steps.item_bytes = ItemBytes(steps.item);
      plan_.steps = std::move(steps);
      return;
    }
    RefusePlan(StrCat("there is no step column '", options_.step_column, "'; the columns are ",
                      Names(columns_)));
  }

  // Plans the columns of one struct and returns how many of them the store has. `nodes` are the
  // store's columns at the same place; `inner_markers` collects the outermost markers inside.
  //
  // Unknown columns are ignored at the top, where a table often has more than the store needs, and
  // are errors inside a struct, where they are more likely a mistake.
  std::size_t PlanStruct(const ArrowSchema& schema, const std::vector<ColumnNode>& nodes,
                         const std::vector<std::int64_t>& path, const std::string& outer,
                         std::vector<std::size_t>* inner_markers) {
    std::unordered_map<std::string_view, const ColumnNode*> by_name;
    for (const ColumnNode& node : nodes) {
      by_name.emplace(node.name, &node);
    }
    std::unordered_map<std::string, bool> seen;
    std::size_t found = 0;
    for (std::int64_t i = 0; i < schema.n_children; ++i) {
      const ArrowSchema& column = *schema.children[i];
      const std::string name = NameOf(column);
      const std::string full = outer + name;
      const auto at = by_name.find(name);
      if (at == by_name.end()) {
        if (!outer.empty()) {
          problems_.push_back(StrCat("column '", outer.substr(0, outer.size() - 1),
                                     "' has a field '", name,
                                     "' that the struct in the store does not have"));
        }
        continue;
      }
      if (!seen.emplace(name, true).second) {
        problems_.push_back(StrCat("there are two columns '", full, "'"));
        continue;
      }
      ++found;
      std::vector<std::int64_t> inner = path;
      inner.push_back(i);
      PlanColumn(column, *at->second, std::move(inner), full, inner_markers);
    }
    return found;
  }

  void PlanColumn(const ArrowSchema& column, const ColumnNode& node, std::vector<std::int64_t> path,
                  const std::string& name, std::vector<std::size_t>* outer_markers) {
    if (std::string place = name; FindUnion(column, place)) {
      problems_.push_back(StrCat("column '", name, "' is ", TypeText(column), ": ",
                                 place == name ? "it" : place,
                                 " is a union, which cannot be stored; split it into its members"));
      return;
    }
    if (HasOnlyNulls(column)) {
      return;  // the column is null in every row, which has the same meaning as no column
    }
    if (node.leaf) {
      PlanLeaf(column, *node.leaf, std::move(path), name);
      return;
    }
    PlanStructColumn(column, node, std::move(path), name, outer_markers);
  }

  void PlanStructColumn(const ArrowSchema& column, const ColumnNode& node,
                        std::vector<std::int64_t> path, const std::string& name,
                        std::vector<std::size_t>* outer_markers) {
    std::vector<NestedLayer> layers;
    const ArrowSchema* found = nullptr;
    try {
      found = &UnwrapValues(column, name, layers);
    } catch (const Error& error) {
      problems_.push_back(StrCat("column '", name, "': ", error.what()));
      return;
    }
    const ArrowSchema& values = *found;
    if (ParseFormat(values.format).kind != Kind::kStruct) {
      problems_.push_back(
          StrCat("column '", name, "' is ", TypeText(column), "; the store's field is a struct"));
      return;
    }
    if (!IsNullable(column) && layered_ == nullptr && layers.empty()) {
      plan_.not_null.push_back({name, path});
    }
    const bool begins_layered = layered_ == nullptr && !layers.empty();
    if (begins_layered) {
      layered_ = &column;
      layered_at_ = path.size();
    }
    // A marker excludes only the outermost markers inside it: those exclude the ones further in.
    std::vector<std::size_t> markers;
    PlanStruct(values, node.children, path, name + ".", &markers);
    if (node.marker) {
      ImportMarker marker{.type = *node.marker, .path = std::move(path), .markers = markers};
      if (layered_ != nullptr) {
        marker.outer_structs = marker.path.size() - layered_at_;
        marker.nested = std::make_shared<const NestedSource>(
            PlanMember(*layered_, InsideLayers(marker.path), std::nullopt, name));
      }
      plan_.markers.push_back(std::move(marker));
      markers = {plan_.markers.size() - 1};
    }
    if (begins_layered) {
      layered_ = nullptr;
    }
    if (outer_markers != nullptr) {
      outer_markers->insert(outer_markers->end(), markers.begin(), markers.end());
    }
  }

  // The part of a path that leads from the layers around a struct to one of its members.
  std::span<const std::int64_t> InsideLayers(const std::vector<std::int64_t>& path) const {
    return std::span(path).subspan(layered_at_);
  }

  // Uses `plan` for a leaf, through the structs around it if these are behind layers.
  void UsePlan(NestedSource plan, ImportLeaf& leaf) const {
    if (layered_ != nullptr) {
      leaf.outer_structs = leaf.path.size() - layered_at_;
      plan = PlanMember(*layered_, InsideLayers(leaf.path), std::move(plan), leaf.name);
    }
    leaf.nested = std::make_shared<const NestedSource>(std::move(plan));
  }

  static bool IsNullable(const ArrowSchema& column) {
    return (column.flags & ARROW_FLAG_NULLABLE) != 0;
  }

  // Whether a column, or the values of its dictionaries and runs, has type null.
  static bool HasOnlyNulls(const ArrowSchema& column) {
    if (column.dictionary != nullptr) {
      return HasOnlyNulls(*column.dictionary);
    }
    const Kind kind = ParseFormat(column.format).kind;
    return kind == Kind::kNull ||
           (kind == Kind::kRunEnds && column.n_children == 2 && HasOnlyNulls(*column.children[1]));
  }

  // Plans a column for a field other than a struct, or records why it does not fit.
  void PlanLeaf(const ArrowSchema& column, TypeId type, std::vector<std::int64_t> path,
                const std::string& name) {
    ImportLeaf leaf;
    leaf.type = type;
    leaf.name = name;
    leaf.path = std::move(path);
    // Behind layers, only the cells say in which rows the structs around the column are null.
    leaf.not_null = !IsNullable(column) && layered_ == nullptr;
    if (fields_[type].dtype == DType::kNested) {
      PlanNestedLeaf(column, std::move(leaf));
    } else {
      PlanFlatLeaf(column, std::move(leaf));
    }
  }

  void PlanNestedLeaf(const ArrowSchema& column, ImportLeaf leaf) {
    const Field& field = fields_[leaf.type];
    try {
      UsePlan(PlanNested(ParseNestedType(field.nested), column, leaf.name), leaf);
    } catch (const Error& error) {
      problems_.push_back(StrCat("column '", leaf.name, "' is ", TypeText(column), ", field '",
                                 field.name, "' is nested ", field.nested, ": ", error.what(),
                                 "; cast the column first, or declare the field with its type"));
      return;
    }
    leaf.is_nested = true;
    leaf.source = Source::kWords;
    leaf.item_bytes = sizeof(Value);
    plan_.leaves.push_back(std::move(leaf));
  }

  void PlanFlatLeaf(const ArrowSchema& column, ImportLeaf leaf) {
    const Field& field = fields_[leaf.type];
    const ArrowField given =
        leaf.type < options_.fields.size() ? options_.fields[leaf.type] : ArrowField{};
    const std::vector<std::string> levels = LevelsOf(field, given);
    leaf.classes = given.classes;
    leaf.is_layered = layered_ != nullptr;
    const std::vector<const ArrowSchema*> arrays = LevelsOfColumn(column, leaf);
    for (const ArrowSchema* array : arrays) {
      leaf.lists.push_back(ParseFormat(array->format));
    }
    leaf.item = leaf.lists.back();
    leaf.lists.pop_back();
    const bool fits =
        arrays.back()->n_children == 0 && FitsShape(field, leaf) && FitsItems(field, levels, leaf);
    if (!fits) {
      problems_.push_back(StrCat("column '", leaf.name, "' is ", TypeText(column), ", field '",
                                 field.name, "' is ", DeclaredText(field, levels),
                                 ": cast the column first, or declare the field as the column's "
                                 "type"));
      return;
    }
    leaf.source = SourceOfType(leaf.item);
    leaf.item_bytes = ItemBytes(leaf.item);
    leaf.source_items = leaf.item.kind == Kind::kDecimal       ? leaf.item_bytes / 8
                        : leaf.item.kind == Kind::kFixedBinary ? leaf.item_bytes
                                                               : 1;
    const int field_bits = InfoOf(field.dtype).bits;
    if (leaf.item.kind == Kind::kFloat && field_bits < leaf.item.bits) {
      leaf.exact_bits = field_bits;
    }
    if (!leaf.lists.empty()) {
      leaf.nested_text = NestedTypeText(TypeOfLevels(levels, /*nullable=*/true));
    }
    if (leaf.is_layered && !PlanLayers(column, arrays.back()->format, levels.back(), leaf)) {
      return;
    }
    plan_.leaves.push_back(std::move(leaf));
  }

  // The arrays of a column from the outside in, lists first, without dictionaries and run ends.
  // Notes a dictionary that is outermost, and whether there are other ones or run ends.
  static std::vector<const ArrowSchema*> LevelsOfColumn(const ArrowSchema& column,
                                                        ImportLeaf& leaf) {
    std::vector<const ArrowSchema*> arrays;
    const ArrowSchema* at = &column;
    while (true) {
      const Type type = ParseFormat(at->format);
      if (at->dictionary != nullptr) {
        leaf.is_layered = leaf.is_layered || at != &column || type.kind != Kind::kInteger;
        leaf.is_dictionary = true;
        leaf.index = type;
        at = at->dictionary;
      } else if (type.kind == Kind::kRunEnds && at->n_children == 2) {
        leaf.is_layered = true;
        at = at->children[1];
      } else {
        arrays.push_back(at);
        if (!type.is_list() || at->n_children != 1) {
          return arrays;
        }
        at = at->children[0];
      }
    }
  }

  // Makes the plan that takes the items of a flat field out of a column with layers. The items keep
  // the type of the column: they are converted and checked afterwards, as those of other columns.
  // Returns false, having recorded why, if the layers are malformed.
  bool PlanLayers(const ArrowSchema& column, const char* item, const std::string& field_item,
                  ImportLeaf& leaf) {
    std::vector<std::string> formats;
    formats.reserve(leaf.lists.size() + 1);
    for (std::size_t i = 0; i < leaf.lists.size(); ++i) {
      formats.push_back(leaf.shape[i] == kRagged ? "+l" : StrCat("+w:", leaf.shape[i]));
    }
    formats.push_back(leaf.item.kind == Kind::kNull ? field_item : item);
    leaf.is_dictionary = false;
    try {
      UsePlan(PlanNested(TypeOfLevels(formats, /*nullable=*/false), column, leaf.name), leaf);
    } catch (const Error& error) {
      problems_.push_back(StrCat("column '", leaf.name, "': ", error.what()));
    }
    return leaf.nested != nullptr;
  }

  // Whether the lists of the column match the dimensions of the field. Sizes that the column's type
  // does not fix are checked row by row.
  static bool FitsShape(const Field& field, ImportLeaf& leaf) {
    const std::span<const std::uint32_t> shape = ListShape(field);
    leaf.shape.assign(shape.begin(), shape.end());
    if (leaf.lists.empty() && leaf.shape.size() == 1) {
      leaf.scalar_as_list = true;
      return true;
    }
    if (leaf.lists.size() != leaf.shape.size()) {
      return false;
    }
    for (std::size_t i = 0; i < leaf.lists.size(); ++i) {
      const bool other_size = leaf.lists[i].kind == Kind::kFixedList && leaf.shape[i] != kRagged &&
                              leaf.lists[i].size != static_cast<std::int64_t>(leaf.shape[i]);
      if (other_size) {
        return false;
      }
    }
    return true;
  }

  // Whether the field accepts the items of the column.
  static bool FitsItems(const Field& field, const std::vector<std::string>& levels,
                        const ImportLeaf& leaf) {
    // pyarrow infers the item type null for lists that are all empty.
    if (leaf.item.kind == Kind::kNull) {
      return !leaf.lists.empty();
    }
    return AcceptsItems(field.dtype, ParseFormat(levels.back().c_str()), leaf.item);
  }

  // Finds the leaves inside each marked struct. This is done last, because sorting the leaves by
  // type id changes their indices.
  void LinkMarkers() {
    for (ImportMarker& marker : plan_.markers) {
      for (std::size_t i = 0; i < plan_.leaves.size(); ++i) {
        const std::vector<std::int64_t>& path = plan_.leaves[i].path;
        if (path.size() > marker.path.size() &&
            std::equal(marker.path.begin(), marker.path.end(), path.begin())) {
          marker.leaves.push_back(i);
        }
      }
    }
  }

  const Schema& fields_;
  const ArrowSchema& columns_;
  const ArrowImportOptions& options_;
  ImportPlan plan_;
  std::vector<std::string> problems_;
  // The outermost struct column behind layers that is being planned, and the length of its path.
  const ArrowSchema* layered_ = nullptr;
  std::size_t layered_at_ = 0;
};

}  // namespace

ImportPlan PlanImport(const Schema& fields, const ArrowSchema& columns,
                      const ArrowImportOptions& options) {
  return ImportPlanner(fields, columns, options).Plan();
}

}  // namespace stream_store::arrow
