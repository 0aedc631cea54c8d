// The `schema` file: converts a Schema to bytes and back.
//
// Used by storage (create, open). Thread rules: pure functions.
// Invariant: DecodeSchema() either throws or returns a schema for which EncodeSchema() gives the
// same bytes.
//
//   u64 magic "SSSCHEMA" | u32 format version | u32 field count | u64 body bytes |
//   16 bytes store id | u64 revision
//   per field: u8 dtype | u8 flags (1 packed, 2 hidden) | u16 path parts | u32 shape dims |
//              u64 since | u32 dims… | u16 name bytes, name | per part u16 bytes, part |
//              u32 feature bytes, feature JSON
//   u32 CRC32C of all bytes before it
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "stream_store/schema.h"

namespace stream_store::internal {

using StoreId = std::array<std::uint8_t, 16>;

inline constexpr std::uint64_t kMaxSchemaBytes = 16ULL << 20;

/// Returns the content of the `schema` file of the store `id`. Throws Error(kInvalidArgument) if it
/// would have more than kMaxSchemaBytes.
std::vector<std::byte> EncodeSchema(const Schema& schema, const StoreId& id);

/// Decodes the content of the `schema` file of the store `id`. `path` names the file in messages.
/// Throws Error(kVersion) for another format version, and Error(kCorrupt) for any damage.
Schema DecodeSchema(std::span<const std::byte> bytes, const StoreId& id, const std::string& path);

}  // namespace stream_store::internal
