// The `schema` file. Its bytes may be hostile: every count in it is checked before it is used.

#include "format/schema_codec.h"

#include <cstring>
#include <utility>

#include "stream_store/error.h"
#include "stream_store/version.h"

#include "base/crc32c.h"
#include "base/str_cat.h"
#include "format/bytes.h"

namespace stream_store::internal {
namespace {

constexpr std::string_view kSchemaMagic = "SSSCHEMA";
constexpr std::size_t kHeaderBytes = 48;
constexpr std::size_t kChecksumBytes = 4;
constexpr std::uint8_t kPackedFlag = 1;
constexpr std::uint8_t kHiddenFlag = 2;

void PutField(ByteWriter& out, const Field& field, std::uint64_t since) {
  out.Put(static_cast<std::uint8_t>(field.dtype));
  out.Put(static_cast<std::uint8_t>((field.packed ? kPackedFlag : 0) |
                                    (field.hidden ? kHiddenFlag : 0)));
  out.Put(static_cast<std::uint16_t>(field.path.size()));
  out.Put(static_cast<std::uint32_t>(field.shape.size()));
  out.Put(since);
  for (const std::uint32_t dimension : field.shape) {
    out.Put(dimension);
  }
  out.PutText<std::uint16_t>(field.name);
  for (const std::string& part : field.path) {
    out.PutText<std::uint16_t>(part);
  }
  out.PutText<std::uint32_t>(field.feature_json);
  if (field.dtype == DType::kNested) {
    out.PutText<std::uint32_t>(field.nested);
  }
}

// Counts are compared with the bytes that are left before anything is allocated for them: a
// checksum can be forged, and a huge count must not exhaust memory.
Field TakeField(ByteReader& in, std::vector<std::uint64_t>& since, const auto& corrupt) {
  Field field;
  field.dtype = static_cast<DType>(in.Take<std::uint8_t>());
  const auto flags = in.Take<std::uint8_t>();
  const auto parts = in.Take<std::uint16_t>();
  const auto dimensions = in.Take<std::uint32_t>();
  since.push_back(in.Take<std::uint64_t>());
  if ((flags & ~(kPackedFlag | kHiddenFlag)) != 0) {
    corrupt("unknown flags");
  }
  if (dimensions > in.left() / sizeof(std::uint32_t)) {
    corrupt("more dimensions than bytes");
  }
  field.packed = (flags & kPackedFlag) != 0;
  field.hidden = (flags & kHiddenFlag) != 0;
  for (std::uint32_t i = 0; i < dimensions; ++i) {
    field.shape.push_back(in.Take<std::uint32_t>());
  }
  field.name = in.TakeText<std::uint16_t>();
  for (std::uint16_t i = 0; i < parts && !in.failed(); ++i) {
    field.path.push_back(in.TakeText<std::uint16_t>());
  }
  field.feature_json = in.TakeText<std::uint32_t>();
  if (field.dtype == DType::kNested) {
    field.nested = in.TakeText<std::uint32_t>();
  }
  if (in.failed()) {
    corrupt("it ends early");
  }
  return field;
}

// Checks the length, magic, version and checksum, without interpreting the rest.
void CheckFrame(std::span<const std::byte> bytes, const std::string& path) {
  const auto corrupt = [&](const std::string& why) {
    throw Error(ErrorCode::kCorrupt, StrCat(path, ": reading the schema: ", why));
  };
  if (bytes.size() < kHeaderBytes + kChecksumBytes || bytes.size() > kMaxSchemaBytes) {
    corrupt(StrCat("expected ", kHeaderBytes + kChecksumBytes, " to ", kMaxSchemaBytes,
                   " bytes but found ", bytes.size()));
  }
  if (std::memcmp(bytes.data(), kSchemaMagic.data(), kSchemaMagic.size()) != 0) {
    corrupt("it does not begin with SSSCHEMA");
  }
  const auto version = NumberAt<std::uint32_t>(bytes, 8);
  if (version != kFormatVersion) {
    throw Error(ErrorCode::kVersion,
                StrCat(path, ": format version ", version, "; this build reads ", kFormatVersion));
  }
  const std::size_t checked = bytes.size() - kChecksumBytes;
  const auto expected = NumberAt<std::uint32_t>(bytes, checked);
  const std::uint32_t found = Crc32c(bytes.data(), checked);
  if (expected != found) {
    corrupt(StrCat("checksum expected ", HexText(expected), " but found ", HexText(found)));
  }
}

}  // namespace

std::vector<std::byte> EncodeSchema(const Schema& schema, const StoreId& id) {
  ByteWriter body;
  for (std::size_t type = 0; type < schema.size(); ++type) {
    PutField(body, schema.fields()[type], schema.since(static_cast<TypeId>(type)));
  }
  const std::size_t total = kHeaderBytes + body.size() + kChecksumBytes;
  if (total > kMaxSchemaBytes) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("declaring fields: expected at most ", kMaxSchemaBytes,
                       " bytes of names and features but found ", total));
  }
  ByteWriter out;
  out.PutBytes(kSchemaMagic.data(), kSchemaMagic.size());
  out.Put(std::uint32_t{kFormatVersion});
  out.Put(static_cast<std::uint32_t>(schema.size()));
  out.Put(std::uint64_t{body.size()});
  out.PutBytes(id.data(), id.size());
  out.Put(std::uint64_t{schema.revision()});
  out.PutBytes(body.bytes().data(), body.size());
  out.Put(Crc32c(out.bytes().data(), out.size()));
  return std::move(out.bytes());
}

Schema DecodeSchema(std::span<const std::byte> bytes, const StoreId& id, const std::string& path) {
  CheckFrame(bytes, path);
  const auto corrupt = [&](const std::string& why) {
    throw Error(ErrorCode::kCorrupt, StrCat(path, ": reading the schema: ", why));
  };
  ByteReader in(bytes.first(bytes.size() - kChecksumBytes).subspan(kSchemaMagic.size() + 4));
  const auto count = in.Take<std::uint32_t>();
  const auto body_bytes = in.Take<std::uint64_t>();
  StoreId found{};
  in.TakeBytes(found.data(), found.size());
  if (found != id) {
    corrupt("it belongs to another store");
  }
  const auto revision = in.Take<std::uint64_t>();
  if (body_bytes != in.left()) {
    corrupt(StrCat("expected ", body_bytes, " bytes of fields but found ", in.left()));
  }
  // The vector is not reserved: it grows with the bytes that exist, not with the stored `count`.
  // NOLINTBEGIN(performance-inefficient-vector-operation)
  std::vector<Field> fields;
  std::vector<std::uint64_t> since;
  for (std::uint32_t type = 0; type < count; ++type) {
    fields.push_back(TakeField(in, since, [&](const char* why) {
      corrupt(StrCat("type id ", type, " of ", count, ": ", why));
    }));
  }
  // NOLINTEND(performance-inefficient-vector-operation)
  if (in.left() != 0) {
    corrupt(StrCat(in.left(), " bytes follow the last field"));
  }
  try {
    return {std::move(fields), std::move(since), revision};
  } catch (const Error& error) {
    corrupt(error.what());
    throw;
  }
}

}  // namespace stream_store::internal
