#include "store/refusal_text.h"

#include <algorithm>
#include <string>

#include "base/str_cat.h"
#include "format/encoding.h"
#include "format/layout.h"
#include "format/nested_block.h"
#include "storage/column_rows.h"
#include "storage/store_files.h"
#include "storage/writer.h"

namespace stream_store::internal {

namespace {

using Rule = Refusal::Rule;

std::string FieldText(const Schema& schema, TypeId type) {
  if (type >= schema.size()) {
    return StrCat("type id ", type);
  }
  return StrCat("field '", schema[type].name, "' (type id ", type, ")");
}

std::string LengthText(const Schema& schema, const Encoding& encoding, const FieldWrite& write) {
  if (encoding.block && write.source() == Source::kWords) {
    return StrCat(FieldText(schema, write.type()), ", ", FieldText(schema[write.type()]),
                  ": expected words that begin with the number of items but found ", write.count(),
                  " words");
  }
  const std::string unit = write.source() == Source::kBytes   ? "bytes"
                           : write.source() == Source::kWords ? "words"
                                                              : "items";
  const std::uint64_t expected =
      write.source() == Source::kWords && !encoding.ragged ? encoding.unit_words : encoding.items;
  return StrCat(FieldText(schema, write.type()), ", ", FieldText(schema[write.type()]),
                ": expected ", encoding.ragged ? "a multiple of " : "", expected, " ", unit,
                " but found ", write.count());
}

// The offsets of a column are the caller's, so they may be invalid; then the row has no length.
std::string ColumnLengthText(const Schema& schema, const Column& column, std::uint64_t row) {
  const std::int64_t* offsets = column.offsets;
  if (offsets != nullptr && (offsets[row] < 0 || offsets[row + 1] < offsets[row])) {
    return StrCat(FieldText(schema, column.type),
                  ": expected offsets that are 0 or more and do not decrease but found ",
                  offsets[row], " and ", offsets[row + 1]);
  }
  return LengthText(schema, MakeEncoding(schema[column.type]), WriteOfRow(column, row));
}

// The stored words of a block field are refused only for their first word.
std::string WordsText(const Encoding& encoding, const FieldWrite& write) {
  const std::uint64_t rest = (write.count() - 1) * sizeof(Value);
  const std::uint64_t least = rest == 0 ? 0 : (rest - sizeof(Value)) / encoding.item_bytes + 1;
  return StrCat("expected the first word to be the number of items, from ", least, " to ",
                rest / encoding.item_bytes, " in ", write.count(), " words, but found ",
                ItemText(Source::kWords, write.data(), 0));
}

std::string CellText(const Encoding& encoding, const FieldWrite& write) {
  if (write.source() != Source::kBytes && write.source() != Source::kUInt8) {
    return "expected the bytes of a nested block but found numbers";
  }
  const std::span block(static_cast<const std::byte*>(write.data()), write.count());
  const char* fault = CheckNestedBlock(*encoding.nested, block);
  return StrCat("expected a nested block of this type but found ", write.count(),
                write.count() == 1 ? " byte" : " bytes", fault == nullptr ? "" : ": ",
                fault == nullptr ? "" : fault);
}

// Float fields accept every number that their type can be rounded to.
std::string RangeText(DType dtype) {
  return StrCat(
      " is beyond the range of ", DTypeName(dtype),
      dtype == DType::kFloat16 ? ", -65504 to 65504" : ", -3.4028235e+38 to 3.4028235e+38");
}

std::string ValueText(const Schema& schema, const FieldWrite& write, std::uint64_t item) {
  const Field& field = schema[write.type()];
  const Encoding encoding = MakeEncoding(field);
  const bool whole = encoding.block && write.source() == Source::kWords;
  const std::string name = FieldText(schema, write.type());
  if (whole || encoding.kind == WordKind::kCell) {
    return StrCat(name, ", ", FieldText(field), ": ",
                  whole ? WordsText(encoding, write) : CellText(encoding, write));
  }
  const std::string shape = field.shape.empty() ? "" : StrCat(", ", FieldText(field));
  const std::string place = write.count() == 1 ? "" : StrCat(" (item ", item, ")");
  const bool is_number = write.source() != Source::kBytes && write.source() != Source::kWords;
  return StrCat(name, shape, ": ", ItemText(write.source(), write.data(), item), place,
                encoding.kind == WordKind::kFloat && is_number
                    ? RangeText(field.dtype)
                    : StrCat(" is not a valid ", DTypeName(field.dtype)));
}

std::string DeclaredOrder(const Schema& schema) {
  constexpr std::size_t kShown = 12;
  std::string text;
  for (std::size_t i = 0; i < schema.declared() && i < kShown; ++i) {
    text += StrCat(i == 0 ? "" : ", ", schema[schema.declared_types()[i]].name);
  }
  return schema.declared() > kShown ? text + ", …" : text;
}

// Every text about repeated or misplaced fields has the word "order", which callers may look for.
// `before` is the type id of the field-write before, in this call or an earlier one of the same
// step.
std::string OrderText(const Schema& schema, TypeId type, std::int64_t before,
                      const std::string& where) {
  if (before == type) {
    return StrCat(FieldText(schema, type), " appears twice in ", where,
                  "; fields come in declared order, each at most once");
  }
  const std::string previous = FieldText(schema, static_cast<TypeId>(before));
  return StrCat(FieldText(schema, type), " came after ", previous, " in ", where,
                "; the declared order is ", DeclaredOrder(schema));
}

[[noreturn]] void ThrowAs(const Refusal& refusal, const Writer& writer, const std::string& text) {
  throw Error(refusal.code, StrCat(writer.files()->path_text(), ": append: ", text));
}

}  // namespace

void ThrowRefusal(const Refusal& refusal, Writer& writer, Step step,
                  std::span<const FieldWrite> writes, Step before) {
  writer.RequireWritable("append");
  if (refusal.rule == Rule::kStaging) {
    writer.RequireNotStaging("append");
  }
  const Schema& schema = writer.schema();
  const std::size_t i = refusal.write;
  switch (refusal.rule) {
    case Rule::kUnknownType:
      ThrowAs(refusal, writer,
              StrCat("Unknown field: type id ", writes[i].type(), " of ", schema.size()));
    case Rule::kOrder:
      if (i >= kLayoutMaxFields) {
        ThrowAs(refusal, writer,
                StrCat(writes.size(), " field-writes: expected at most ", kLayoutMaxFields));
      }
      if (i > 0) {
        ThrowAs(refusal, writer,
                OrderText(schema, writes[i].type(), static_cast<std::int64_t>(refusal.item),
                          "one step"));
      }
      ThrowAs(refusal, writer,
              OrderText(schema, writes[0].type(), writer.LastTypeBefore(writes[0].type()),
                        StrCat("step ", step)));
    case Rule::kLength:
      ThrowAs(refusal, writer,
              LengthText(schema, MakeEncoding(schema[writes[i].type()]), writes[i]));
    case Rule::kValue:
      ThrowAs(refusal, writer, ValueText(schema, writes[i], refusal.item));
    case Rule::kStepDecreases:
      ThrowAs(refusal, writer,
              StrCat("step ", step, " after step ", before, ": steps never decrease (order)"));
    case Rule::kTooManyRows:
      ThrowAs(refusal, writer, StrCat("a store holds at most ", kMaxRows, " rows"));
    case Rule::kStepNotAfter:
      ThrowAs(refusal, writer,
              StrCat("the last step, ", before, ", is the largest: no step can follow"));
    case Rule::kStaging:
      ThrowAs(refusal, writer, "rows were being staged");  // and are not any more
    default:
      break;
  }
  ThrowAs(refusal, writer, "refused");
}

void ThrowRefusal(const Refusal& refusal, Writer& writer, std::span<const Step> steps,
                  std::span<const Column> columns, std::uint64_t rows_before) {
  writer.RequireWritable("extend");
  const Schema& schema = writer.schema();
  const std::size_t c = refusal.write;
  const std::size_t row = refusal.row;
  const auto write_of_row = [&] { return WriteOfRow(columns[c], row); };
  switch (refusal.rule) {
    case Rule::kUnknownType:
      ThrowAs(refusal, writer,
              StrCat("Unknown field: type id ", columns[c].type, " of ", schema.size()));
    case Rule::kOrder:
      if (c >= kLayoutMaxFields || c == 0) {
        ThrowAs(refusal, writer,
                StrCat(columns.size(), " columns: expected at most ", kLayoutMaxFields));
      }
      ThrowAs(refusal, writer, OrderText(schema, columns[c].type, columns[c - 1].type, "one row"));
    case Rule::kLength:
      ThrowAs(refusal, writer,
              StrCat("row ", rows_before + row,
                     " of the call: ", ColumnLengthText(schema, columns[c], row)));
    case Rule::kValue:
      ThrowAs(refusal, writer,
              StrCat("row ", rows_before + row,
                     " of the call: ", ValueText(schema, write_of_row(), refusal.item)));
    case Rule::kStepNotAfter:
      ThrowAs(refusal, writer,
              StrCat("row ", rows_before + row, " of the call: step ", steps[row],
                     " is not greater than the one before it (order): steps strictly increase"));
    default:
      break;
  }
  ThrowAs(refusal, writer, StrCat("a store holds at most ", kMaxRows, " rows"));
}

}  // namespace stream_store::internal
