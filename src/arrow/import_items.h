// The items of flat columns: which a field accepts, and how they are given to the store.
//
// Used by import_plan.cc. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "stream_store/field_write.h"
#include "stream_store/schema.h"

#include "arrow/type.h"

namespace stream_store::arrow {

/// Whether a field of `dtype` accepts items of type `column`: either every such item is valid, or
/// the import checks each of them. Time zones, decimals and sizes must be the declared ones, because
/// converting them would change the meaning of a value.
bool AcceptsItems(DType dtype, const Type& declared, const Type& column);

/// The source type for the items of a column. Dates and times are integers of the same width.
Source SourceOfType(const Type& type);

/// The size of an item when it is loaded: bools are unpacked to one byte each, and an item of text
/// is one byte.
std::uint64_t ItemBytes(const Type& type);

/// The Arrow type of a field for messages: "packed list<uint8>".
std::string DeclaredText(const Field& field, const std::vector<std::string>& levels);

}  // namespace stream_store::arrow
