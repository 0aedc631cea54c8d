// A pack may come from anywhere, so every count in it is checked before it is used.
#include "format/pack.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "stream_store/error.h"
#include "stream_store/version.h"

#include "base/crc32c.h"
#include "base/str_cat.h"
#include "format/bytes.h"
#include "format/checksum.h"

namespace stream_store::internal {
namespace {

constexpr std::string_view kPackMagic = "SSRECPAK";
constexpr std::size_t kFixedBytes = 96;  // of the header; zeros follow
constexpr std::size_t kChecksumAt = kPackHeaderBytes - sizeof(std::uint32_t);
constexpr std::uint32_t kHasPrevious = 1;
constexpr std::uint64_t kWord = sizeof(std::uint64_t);

std::uint32_t ChecksumOfPack(std::span<const std::byte> pack) noexcept {
  const std::uint32_t head = Crc32cExtend(0xffffffffU, pack.data(), kChecksumAt);
  const std::span<const std::byte> body = pack.subspan(kPackHeaderBytes);
  return ~Crc32cExtendWords(head, body.data(), body.size() / kWord);
}

template <class Item>
std::span<const Item> TakeItems(std::span<const std::byte>& left, std::uint64_t count) noexcept {
  STREAM_STORE_ASSERT(count <= left.size() / sizeof(Item));
  // The bytes are those of such items, written by a little-endian machine.
  const auto* items = reinterpret_cast<const Item*>(left.data());
  left = left.subspan(count * sizeof(Item));
  return {items, count};
}

PackHeader TakeHeader(ByteReader& in) {
  PackHeader header;
  header.checksum_seed = in.Take<std::uint32_t>();
  in.TakeBytes(header.id.data(), header.id.size());
  for (std::uint64_t* number :
       {&header.chunk_bytes, &header.first_record, &header.records, &header.first_position,
        &header.values, &header.rows_before, &header.layout_words}) {
    *number = in.Take<std::uint64_t>();
  }
  header.previous = in.Take<std::uint32_t>();
  return header;
}

// Whether the numbers are those that a store can have, so that sums of them do not overflow.
bool Possible(const PackHeader& header) noexcept {
  return IsChunkSize(header.chunk_bytes) && header.records > 0 && header.records <= kMaxRows &&
         header.first_record <= kMaxRows - header.records && header.values <= kMaxValues &&
         header.first_position <= kMaxValues - header.values && header.rows_before <= kMaxRows &&
         header.layout_words <= kMaxLayoutWords * 2;
}

}  // namespace

std::uint64_t PackBytes(const PackHeader& header) noexcept {
  STREAM_STORE_ASSERT(header.records <= kMaxRows && header.values <= kMaxValues);
  return kPackHeaderBytes + header.layout_words * kWord + header.records * sizeof(Record) +
         header.values * sizeof(Value);
}

void WritePackHeader(const PackHeader& header, std::span<std::byte> pack) noexcept {
  STREAM_STORE_ASSERT(pack.size() == PackBytes(header));
  ByteWriter out;
  out.PutBytes(kPackMagic.data(), kPackMagic.size());
  out.Put(std::uint32_t{kFormatVersion});
  out.Put(header.checksum_seed);
  out.PutBytes(header.id.data(), header.id.size());
  for (const std::uint64_t number :
       {header.chunk_bytes, header.first_record, header.records, header.first_position,
        header.values, header.rows_before, header.layout_words}) {
    out.Put(number);
  }
  out.Put(header.previous);
  out.Put(header.has_previous ? kHasPrevious : 0U);
  STREAM_STORE_ASSERT(out.size() == kFixedBytes);
  const std::span<std::byte> head = pack.first(kPackHeaderBytes);
  std::ranges::fill(head, std::byte{0});
  std::ranges::copy(out.bytes(), head.begin());
  const std::uint32_t checksum = ChecksumOfPack(pack);
  std::memcpy(pack.data() + kChecksumAt, &checksum, sizeof(checksum));
}

PackParts DecodePack(std::span<const std::byte> pack, const std::string& name) {
  STREAM_STORE_ASSERT(reinterpret_cast<std::uintptr_t>(pack.data()) % kWord == 0);
  const auto corrupt = [&](const std::string& problem) {
    throw Error(ErrorCode::kCorrupt, StrCat(name, ": ", problem));
  };
  if (pack.size() < kPackHeaderBytes ||
      std::memcmp(pack.data(), kPackMagic.data(), kPackMagic.size()) != 0) {
    corrupt(StrCat("expected a pack but found ", pack.size(), " bytes of something else"));
  }
  if (const auto version = NumberAt<std::uint32_t>(pack, 8); version != kFormatVersion) {
    throw Error(ErrorCode::kVersion, StrCat(name, ": expected a pack of format version ",
                                            kFormatVersion, " but found ", version));
  }
  if (pack.size() % kWord != 0) {
    corrupt(StrCat("expected whole words but found ", pack.size(), " bytes"));
  }
  const auto stored = NumberAt<std::uint32_t>(pack, kChecksumAt);
  if (const std::uint32_t computed = ChecksumOfPack(pack); computed != stored) {
    corrupt(StrCat("its checksum is ", HexText(computed), " but should be ", HexText(stored)));
  }
  ByteReader in(pack.subspan(12));
  PackParts parts;
  parts.header = TakeHeader(in);
  const auto flags = in.Take<std::uint32_t>();
  parts.header.has_previous = flags == kHasPrevious;
  const std::span<const std::byte> zeros = pack.subspan(kFixedBytes, kChecksumAt - kFixedBytes);
  if (flags > kHasPrevious || !Possible(parts.header) || PackBytes(parts.header) != pack.size() ||
      std::ranges::any_of(zeros, [](std::byte byte) { return byte != std::byte{0}; })) {
    corrupt("its header is not valid");
  }
  std::span<const std::byte> left = pack.subspan(kPackHeaderBytes);
  parts.layouts = TakeItems<std::uint64_t>(left, parts.header.layout_words);
  parts.records = TakeItems<Record>(left, parts.header.records);
  parts.values = TakeItems<Value>(left, parts.header.values);
  return parts;
}

std::uint32_t BeginContentChecksum(const Record& record, std::uint32_t digest) noexcept {
  return BeginChecksum(0xffffffffU, record.start, record.step, RowOfRecord(record.row_session), 0,
                       digest);
}

}  // namespace stream_store::internal
