// Checks and parts that the maker, the writer and the parser of nested types share.
//
// Used by nested_type.cc and nested_parse.cc. Thread rules: pure functions.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "stream_store/nested.h"

#include "format/nested_format.h"

namespace stream_store::internal {

/// Whether names may contain this byte without being written as a JSON string.
inline bool IsPlainNameByte(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.';
}

/// Throws Error(kInvalidArgument) if a type is too deep or has too many nodes.
void CheckNestedSize(int depth, std::size_t nodes);

/// Throws Error(kInvalidArgument) if a name is not UTF-8 or contains a zero byte.
void CheckNestedName(std::string_view name);

/// Throws Error(kInvalidArgument) if a node has another number of children than its format needs.
void CheckNestedNode(const NestedType& type, const NestedFormat& format);

/// Returns the type of a format with these children, as MakeNestedType() but without checking the
/// depth, the number of nodes and the names.
NestedType BuildNestedType(const NestedFormat& format, std::vector<NestedType> children);

}  // namespace stream_store::internal
