#include "arrow/export_plan.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "stream_store/error.h"

#include "base/str_cat.h"

namespace stream_store::arrow {

using internal::StrCat;

namespace {

[[noreturn]] void Refuse(const std::string& problem) {
  throw Error(ErrorCode::kInvalidArgument, StrCat("exporting to Arrow: ", problem));
}

std::uint64_t ItemBits(const Type& type) {
  switch (type.kind) {
    case Kind::kNull:
      return 0;
    case Kind::kBool:
      return 1;
    case Kind::kString:
    case Kind::kBinary:
      return 8;
    case Kind::kFixedBinary:
      return 8 * static_cast<std::uint64_t>(type.size);
    default:
      return static_cast<std::uint64_t>(type.bits);
  }
}

// How items of one type are exported as another type; kNothing if they cannot be. Any stored float
// is a float64 already.
ItemConversion ConversionToOther(DType field, DType asked) {
  if ((field == DType::kFloat16 || field == DType::kFloat32) && asked == DType::kFloat64) {
    return ItemConversion::kWords;
  }
  return IsInteger(field) && IsInteger(asked) ? ItemConversion::kChecked : ItemConversion::kNothing;
}

// How a field is exported as items of type `asked`; kNothing if it cannot be. `declared` is the
// type that the field has by default.
ItemConversion ConversionOf(const Field& field, const Type& declared, const Type& asked) {
  const auto dtype = DTypeOf(asked);
  if (dtype != field.dtype) {
    return field.packed || !dtype ? ItemConversion::kNothing
                                  : ConversionToOther(field.dtype, *dtype);
  }
  if (field.packed) {
    return field.dtype == DType::kBool ? ItemConversion::kPackedBits : ItemConversion::kPacked;
  }
  switch (asked.kind) {
    case Kind::kBool:
      return ItemConversion::kBits;
    case Kind::kDate:
    case Kind::kTime:
      return asked.bits == 64 ? ItemConversion::kWords : ItemConversion::kChecked;
    case Kind::kDecimal:
      return asked.precision == declared.precision && asked.scale == declared.scale
                 ? ItemConversion::kWords
                 : ItemConversion::kNothing;
    case Kind::kFixedBinary:
      return ItemConversion::kDecode;  // each byte is a word, so never kWords, also for 8 bytes
    default:
      break;
  }
  return ItemBits(asked) == 64 ? ItemConversion::kWords : ItemConversion::kDecode;
}

// Walks the schema of the stream next to the columns of the store.
class ExportPlanner {
 public:
  ExportPlanner(const Schema& schema, const ArrowExportOptions& options)
      : schema_(schema), options_(options), plan_{} {
    plan_.leaf_of_type.assign(schema.size(), kNotExported);
  }

  ExportPlan Plan() {
    const std::vector<ColumnNode> columns = ColumnsOf(schema_);
    auto root = std::make_shared<SchemaNode>(DefaultSchema(schema_, options_));
    if (options_.requested != nullptr) {
      Adopt(*root);
    }
    std::unordered_map<std::string_view, const ColumnNode*> by_name;
    for (const ColumnNode& column : columns) {
      by_name.emplace(column.name, &column);
    }
    for (const SchemaNode& node : root->children) {
      const auto at = by_name.find(node.name);
      const bool is_step = !options_.step_column.empty() && node.name == options_.step_column;
      if (is_step == (at != by_name.end())) {
        Refuse(is_step ? StrCat("the step column '", node.name, "' has the name of a field")
                       : StrCat("the requested column '", node.name, "' is not a field"));
      }
      plan_.columns.push_back(is_step ? Steps(node) : Column(node, *at->second, ""));
      if (!is_step) {
        by_name.erase(at);  // so that a second request for it is refused
      }
    }
    plan_.schema = std::move(root);
    return std::move(plan_);
  }

 private:
  // Replaces the default schema by the requested one, whose names, order and metadata it keeps.
  void Adopt(SchemaNode& root) const {
    SchemaNode asked = CopySchema(*options_.requested);
    if (ParseFormat(asked.format.c_str()).kind != Kind::kStruct) {
      Refuse(StrCat("the requested schema must be a struct of columns, not ",
                    TypeText(*options_.requested)));
    }
    if (asked.children.size() != root.children.size()) {
      Refuse(StrCat("expected a requested schema of ", root.children.size(), " columns, as ",
                    options_.columns ? "were chosen" : "the store has", ", but found ",
                    asked.children.size(), " columns"));
    }
    root = std::move(asked);
  }

  ColumnPlan Steps(const SchemaNode& node) const {
    if (node.format != "l") {
      Refuse(StrCat("the step column '", node.name, "' is int64, not ",
                    TypeText(ParseFormat(node.format.c_str()))));
    }
    return ColumnPlan{.role = ColumnPlan::Role::kStep, .name = node.name};
  }

  // Plans a column; `parent` is the path of its struct with a dot, or "".
  ColumnPlan Column(const SchemaNode& node, const ColumnNode& column, const std::string& parent) {
    ColumnPlan plan;
    plan.name = parent + column.name;
    plan.nullable = (node.flags & ARROW_FLAG_NULLABLE) != 0;
    if (column.leaf) {
      plan.leaf = AddLeaf(node, *column.leaf);
      return plan;
    }
    plan.role = ColumnPlan::Role::kStruct;
    if (ParseFormat(node.format.c_str()).kind != Kind::kStruct ||
        node.children.size() != column.children.size()) {
      Refuse(StrCat("column '", node.name, "' is a struct of ", column.children.size(),
                    " fields, but the requested type is ",
                    TypeText(ParseFormat(node.format.c_str())), " of ", node.children.size()));
    }
    if (column.marker) {
      plan.markers.push_back(AddMarker(*column.marker));
    }
    for (std::size_t i = 0; i < node.children.size(); ++i) {
      const SchemaNode& child = node.children[i];
      if (child.name != column.children[i].name) {
        Refuse(StrCat("column '", node.name, "': expected its field '", column.children[i].name,
                      "' but found '", child.name, "' in the requested schema"));
      }
      plan.children.push_back(Column(child, column.children[i], plan.name + "."));
    }
    return plan;
  }

  // A marker has no items; its validity becomes part of that of its struct.
  std::size_t AddMarker(TypeId type) {
    LeafPlan leaf;
    leaf.type = type;
    leaf.name = schema_[type].name;
    leaf.unit_words = 0;
    leaf.unit_items = 0;
    return Add(std::move(leaf));
  }

  // Plans a field as the requested type `top`, whose levels must match the dimensions of the field:
  // a list or fixed-size list for each, then an item that the stored words convert to.
  std::size_t AddLeaf(const SchemaNode& top, TypeId type) {
    const Field& field = schema_[type];
    if (field.dtype == DType::kNested) {
      return AddNested(top, type);
    }
    const ArrowField given = type < options_.fields.size() ? options_.fields[type] : ArrowField{};
    const std::vector<std::string> declared = LevelsOf(field, given);
    LeafPlan leaf;
    leaf.type = type;
    leaf.name = field.name;
    const SchemaNode* node = &top;
    const std::size_t lists = declared.size() - 1;
    for (std::size_t i = 0; i < lists; ++i) {
      leaf.lists.push_back(ParseFormat(node->format.c_str()));
      const Type& list = leaf.lists.back();
      const bool fits =
          list.has_offsets() || (list.kind == Kind::kFixedList && field.shape[i] != kRagged &&
                                 list.size == static_cast<std::int64_t>(field.shape[i]));
      if (!fits || node->children.size() != 1) {
        RefuseType(field, declared, top);
      }
      node = &node->children[0];
      leaf.has_nullable_items &= i > 0 || (node->flags & ARROW_FLAG_NULLABLE) != 0;
    }
    leaf.item = ParseFormat(node->format.c_str());
    const Type own = ParseFormat(declared.back().c_str());
    leaf.conversion = ConversionOf(field, own, leaf.item);
    const bool empty = field.dtype == DType::kNull && leaf.item.kind == Kind::kNull;
    if ((leaf.conversion == ItemConversion::kNothing && !empty) || !node->children.empty()) {
      RefuseType(field, declared, top);
    }
    leaf.conversion = empty ? ItemConversion::kNothing : leaf.conversion;
    leaf.encoding = internal::MakeEncoding(field);
    Measure(field, leaf);
    return Add(std::move(leaf));
  }

  // Its units are the bytes of its cells.
  std::size_t AddNested(const SchemaNode& top, TypeId type) {
    const Field& field = schema_[type];
    auto plan = PlanNested(ParseNestedType(field.nested), top);
    if (!plan) {
      RefuseType(field, field.nested, NodeText(top));
    }
    LeafPlan leaf;
    leaf.type = type;
    leaf.name = field.name;
    leaf.nested = std::make_shared<const NestedLeafPlan>(*std::move(plan));
    leaf.encoding = internal::MakeEncoding(field);
    leaf.block_unit_bytes = 1;
    leaf.item_bits = 8;
    return Add(std::move(leaf));
  }

  // Derives the sizes of a unit and of an item.
  static void Measure(const Field& field, LeafPlan& leaf) {
    leaf.source_is_signed = field.dtype != DType::kUInt64;
    leaf.item_bits = ItemBits(leaf.item);
    leaf.ragged = leaf.is_text() || (!field.shape.empty() && field.shape[0] == kRagged);
    if (field.dtype == DType::kNull) {
      leaf.ragged = false;
      leaf.unit_words = 0;
      leaf.unit_items = 0;
      return;
    }
    std::uint64_t items = 1;
    for (const std::uint32_t dimension : field.shape) {
      items *= dimension == kRagged ? 1 : dimension;
      leaf.fixed.push_back(dimension == kRagged ? 0 : dimension);
    }
    const bool is_decimal = leaf.item.kind == Kind::kDecimal;
    leaf.unit_words = is_decimal ? items * leaf.item_bits / 64 : items;
    leaf.unit_items = items;
    if (leaf.is_block()) {
      leaf.block_unit_bytes = items * leaf.encoding.item_bytes;
    } else if (field.packed) {
      leaf.unit_words = leaf.encoding.unit_words;
    }
    if (field.dtype == DType::kFixedBinary) {  // its one dimension is part of the item
      leaf.unit_items = 1;
    }
  }

  [[noreturn]] static void RefuseType(const Field& field, const std::vector<std::string>& declared,
                                      const SchemaNode& asked) {
    std::string own;
    for (const std::string& level : declared) {
      own += (own.empty() ? "" : " of ") + TypeText(ParseFormat(level.c_str()));
    }
    std::string wanted;
    for (const SchemaNode* node = &asked; node != nullptr;
         node = node->children.empty() ? nullptr : &node->children[0]) {
      wanted += (wanted.empty() ? "" : " of ") + TypeText(ParseFormat(node->format.c_str()));
    }
    RefuseType(field, own, wanted);
  }

  [[noreturn]] static void RefuseType(const Field& field, const std::string& own,
                                      const std::string& wanted) {
    Refuse(StrCat("column '", field.name, "' is ", own, "; it cannot be exported as ", wanted,
                  ". Request its own type, and cast the result"));
  }

  std::size_t Add(LeafPlan leaf) {
    plan_.leaf_of_type[leaf.type] = static_cast<std::uint32_t>(plan_.leaves.size());
    plan_.leaves.push_back(std::move(leaf));
    return plan_.leaves.size() - 1;
  }

  const Schema& schema_;
  const ArrowExportOptions& options_;
  ExportPlan plan_;
};

}  // namespace

bool LeafPlan::has_narrow_offsets() const noexcept {
  return (is_text() && item.bits != 64) || std::ranges::any_of(lists, [](const Type& list) {
           return list.has_offsets() && list.bits == 32;
         });
}

ExportPlan PlanExport(const Schema& schema, const ArrowExportOptions& options) {
  return ExportPlanner(schema, options).Plan();
}

}  // namespace stream_store::arrow
