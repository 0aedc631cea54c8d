// The list of records a store should hold, and its comparison with a Reader.
#include "crash/model.h"

#include <algorithm>
#include <stdexcept>

#include "base/str_cat.h"

namespace stream_store::crash {

using internal::StrCat;

namespace {

[[noreturn]] void Differ(const std::string& what) { throw std::runtime_error(what); }

}  // namespace

Value ModelRecord::value(std::size_t field, int index) const noexcept {
  const std::uint64_t mixed =
      (seed * kMostFields + field) * 0x9e3779b97f4a7c15U + static_cast<std::uint64_t>(index);
  const auto bit = static_cast<Value>((mixed * 0xbf58476d1ce4e5b9U) >> 63);
  return field == kFlag || field == 6 ? bit : 1 + bit;
}

int ModelRecord::last_field() const noexcept {
  int field = static_cast<int>(kMostFields) - 1;
  while (field >= 0 && lengths[static_cast<std::size_t>(field)] == kMissing) --field;
  return field;
}

std::vector<Field> ModelFields(std::size_t count) {
  std::vector<Field> fields = {Field{.name = "scalar"},
                               Field{.name = "ragged", .shape = {kRagged}},
                               Field{.name = "pair", .shape = {2}},
                               Field{.name = "flag", .dtype = DType::kBool},
                               Field{.name = "later"},
                               Field{.name = "late list", .shape = {kRagged}},
                               Field{.name = "late flag", .dtype = DType::kBool}};
  fields.resize(count);
  return fields;
}

Added AddedFields(const Schema& schema) {
  if (schema.size() < kFirstFields || schema.size() > kMostFields ||
      schema.fields() != ModelFields(schema.size())) {
    Differ(StrCat("the ", schema.size(), " fields are not those that were declared and added"));
  }
  Added added;
  for (std::size_t field = 0; field < schema.size(); ++field) {
    const std::uint64_t since = schema.since(static_cast<TypeId>(field));
    if (field >= kFirstFields) {
      added.push_back(since);
    } else if (since != 0) {
      Differ(StrCat("field ", field, " was added at record ", since, " instead of declared"));
    }
  }
  return added;
}

Added Lowered(Added added, std::uint64_t records) {
  for (std::uint64_t& since : added) since = std::min(since, records);
  return added;
}

Call::Call(const ModelRecord& record, bool broken) {
  std::size_t total = 0;
  for (const int length : record.lengths)
    total += static_cast<std::size_t>(length > 0 ? length : 0);
  values_.resize(total);
  Value* next = values_.data();
  for (std::size_t field = 0; field < kMostFields; ++field) {
    const int length = record.lengths[field];
    if (length == kMissing) continue;
    for (int i = 0; i < length; ++i) next[i] = record.value(field, i);
    if (broken && field == kFlag) next[length - 1] = 2;  // not a valid bool
    writes_[count_++] = FieldWrite(static_cast<TypeId>(field), Source::kInt64, next,
                                   static_cast<std::uint64_t>(length));
    next += length;
  }
}

std::uint64_t Model::rows(std::size_t count) const {
  std::uint64_t rows = 0;
  for (std::size_t i = 0; i < count; ++i) rows += records[i].begins_row ? 1U : 0U;
  return rows;
}

std::size_t Model::RecordOfRow(Row row) const {
  std::size_t record = 0;
  for (Row begun = -1; record < records.size(); ++record) {
    begun += records[record].begins_row ? 1 : 0;
    if (begun == row) break;
  }
  return record;
}

std::uint64_t Model::values(std::size_t count) const {
  std::uint64_t values = 0;
  for (std::size_t i = 0; i < count; ++i) {
    for (const int length : records[i].lengths)
      values += static_cast<std::uint64_t>(length > 0 ? length : 0);
  }
  return values;
}

bool Model::FlagOfRow(Row row) const {
  std::size_t record = RecordOfRow(row);
  bool flag = false;
  do {
    flag = flag || (records[record].lengths[kFlag] > 0 && records[record].value(kFlag, 0) != 0);
    ++record;
  } while (record < records.size() && !records[record].begins_row);
  return flag;
}

// Compares a row that begins with record `first`; returns the first record of the next row.
std::size_t Model::CheckRow(const Reader& reader, Row row, std::size_t first) const {
  const RowView view = reader.row(row);
  if (view.step() != records[first].step) {
    Differ(StrCat("row ", row, ": step ", view.step(), " instead of ", records[first].step));
  }
  auto found = view.begin();
  std::size_t record = first;
  do {
    const ModelRecord& expected = records[record];
    for (std::size_t field = 0; field < kMostFields; ++field) {
      if (expected.lengths[field] == kMissing) continue;
      if (found == view.end() || found->type != field ||
          found->values.size() != static_cast<std::size_t>(expected.lengths[field])) {
        Differ(StrCat("row ", row, ": record ", record, " has another shape in field ", field));
      }
      for (int i = 0; i < expected.lengths[field]; ++i) {
        if (found->values[static_cast<std::size_t>(i)] != expected.value(field, i)) {
          Differ(StrCat("row ", row, ": record ", record, ", field ", field, ": value ", i, " is ",
                        found->values[static_cast<std::size_t>(i)], " instead of ",
                        expected.value(field, i)));
        }
      }
      ++found;
    }
    ++record;
  } while (record < reader.records() && !records[record].begins_row);
  if (found != view.end()) Differ(StrCat("row ", row, " has fields that were never appended"));
  return record;
}

void Model::Check(const Reader& reader, Random& random) const {
  if (reader.records() > records.size()) {
    Differ(StrCat(reader.records(), " records found, only ", records.size(), " were appended"));
  }
  const std::size_t count = reader.records();
  const auto first = static_cast<Row>(reader.first_row());
  std::size_t record = RecordOfRow(first);
  if (reader.first_position() != values(record)) {
    Differ(StrCat("row ", first, " begins at position ", reader.first_position(), " instead of ",
                  values(record)));
  }
  for (Row row = first; row < static_cast<Row>(reader.num_rows()); ++row) {
    if (record >= count) Differ(StrCat("row ", row, " was never appended"));
    record = CheckRow(reader, row, record);
  }
  if (record != count) Differ(StrCat(count - record, " records belong to no row"));
  if (reader.size() != values(count)) {
    Differ(StrCat(reader.size(), " values found instead of ", values(count)));
  }
  if (reader.kept_rows() == 0 || reader.size() == reader.first_position()) return;
  // The look-up by hints: a position lies between the first of its row and that of the next.
  const auto position =
      static_cast<Position>(random.Between(reader.first_position(), reader.size() - 1));
  Row row = -1;
  Position start = -1;
  reader.RowOf({&position, 1}, {&row, 1});
  reader.PositionOf({&row, 1}, {&start, 1});
  const RowView view = reader.row(row);
  Position length = 0;
  for (const auto& [type, span] : view) length += static_cast<Position>(span.size());
  if (position < start || position >= start + length)
    Differ(StrCat("position ", position, " is not in row ", row));
}

}  // namespace stream_store::crash
