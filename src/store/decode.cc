// Converts raw values, read by any function, to a field's own type.
#include "stream_store/error.h"

#include "base/str_cat.h"
#include "store/read_functions.h"

namespace stream_store::internal {

void Decode(const View& view, std::span<const Value> values, TypeId type, void* out) {
  const StoreSchema& schema = *view.store_schema;
  if (type >= schema.schema.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("decode: type id ", type, " is outside [0, ", schema.schema.size(), ")"));
  }
  const Encoding& encoding = schema.encodings[type];
  const Field& field = schema.schema[type];
  const bool one_word = !encoding.packed && !encoding.block && encoding.item_words == 1 &&
                        encoding.dtype != DType::kNull;
  if (!one_word) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("decode: expected a field of one value per item but field '", field.name,
                       "' is ", encoding.packed ? "packed " : "", DTypeName(encoding.dtype),
                       "; read it with read_rows"));
  }
  DecodeWords(encoding, values.data(), values.size(), out);
}

}  // namespace stream_store::internal
