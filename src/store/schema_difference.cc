#include "store/schema_difference.h"

#include <cstddef>

#include "base/str_cat.h"

namespace stream_store::internal {
namespace {

std::string FieldAt(const Schema& schema, std::size_t type) {
  if (type >= schema.size()) {
    return "nothing";
  }
  const Field& field = schema.fields()[type];
  return StrCat("'", field.name, "' (", FieldText(field), ")");
}

}  // namespace

std::string DifferenceText(const Schema& first, const Schema& other) {
  std::size_t type = 0;
  while (type < first.size() && type < other.size() &&
         first.fields()[type] == other.fields()[type]) {
    ++type;
  }
  const std::string expected = FieldAt(first, type);
  const std::string found = FieldAt(other, type);
  return StrCat("type id ", type, ": expected ", expected, " but found ", found,
                expected == found ? " of another feature" : "");
}

}  // namespace stream_store::internal
