// The `schema` file: bytes <-> Schema. Pure functions; every input is either refused or
// round-trips.
//
//   u64 magic "SSSCHEMA" | u32 format version | u32 field count | u64 body bytes | 16 bytes store id
//   per field: u8 dtype | u8 flags (1 packed, 2 hidden) | u16 path parts | u32 shape dims |
//              u32 dims… | u16 name bytes, name | per part u16 bytes, part |
//              u32 feature bytes, feature JSON
//   u32 CRC32C of all before
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

/// Throws Error(kInvalidArgument) if it would pass kMaxSchemaBytes.
std::vector<std::byte> EncodeSchema(const Schema& schema, const StoreId& id);

/// `path` names the file in messages. Throws Error(kCorrupt, kVersion).
Schema DecodeSchema(std::span<const std::byte> bytes, const StoreId& id, const std::string& path);

}  // namespace stream_store::internal
