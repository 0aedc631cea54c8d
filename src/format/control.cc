// The fixed blocks of the `control` file.

#include "format/control.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>

#include "stream_store/error.h"
#include "stream_store/version.h"

#include "base/crc32c.h"
#include "base/str_cat.h"
#include "format/bytes.h"

namespace stream_store::internal {
namespace {

constexpr std::size_t kBlockBytes = 512;
constexpr std::size_t kChecksumOffset = kBlockBytes - 4;
static_assert(kIdentityBytes == kBlockBytes && kSlotBytes == kBlockBytes);

constexpr std::string_view kIdentityMagic = "SSCONTRL";
constexpr std::string_view kSlotMagic = "SSSYSLOT";
constexpr std::uint32_t kEndianMark = 0x01020304U;
constexpr std::uint64_t kCleanFlag = 1;
constexpr std::size_t kSlotEnd = 194;  // of the fields; zeros from there to the checksum

using Block = std::array<std::byte, kBlockBytes>;

// Offsets are written out in the functions below, in the order of the table in control.h. Structs
// with the layout of the file would depend on padding.
template <class T>
void PutAt(Block& block, std::size_t offset, const T& what) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::memcpy(block.data() + offset, &what, sizeof(what));
}

void PutMagic(Block& block, std::string_view magic) {
  std::memcpy(block.data(), magic.data(), magic.size());
}

void PutChecksum(Block& block) {
  PutAt(block, kChecksumOffset, Crc32c(block.data(), kChecksumOffset));
}

bool HasMagic(std::span<const std::byte> bytes, std::string_view magic) noexcept {
  return std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

StoreId IdAt(std::span<const std::byte> bytes, std::size_t offset) noexcept {
  StoreId id{};
  std::memcpy(id.data(), bytes.data() + offset, id.size());
  return id;
}

bool AllZero(std::span<const std::byte> bytes) noexcept {
  return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
}

// The first problem of a block's length, magic or checksum, or an empty text.
std::string FrameProblem(std::span<const std::byte> bytes, std::string_view magic) {
  if (bytes.size() != kBlockBytes) {
    return StrCat("expected ", kBlockBytes, " bytes but found ", bytes.size());
  }
  if (!HasMagic(bytes, magic)) {
    return StrCat("it does not begin with ", magic);
  }
  const auto expected = NumberAt<std::uint32_t>(bytes, kChecksumOffset);
  const std::uint32_t found = Crc32c(bytes.data(), kChecksumOffset);
  if (expected == found) {
    return {};
  }
  return StrCat("checksum expected ", HexText(expected), " but found ", HexText(found));
}

// The fields of a slot whose frame is valid.
Slot SlotAt(std::span<const std::byte> bytes) noexcept {
  const auto number = [bytes](std::size_t offset) {
    return NumberAt<std::uint64_t>(bytes, offset);
  };
  Slot slot;
  slot.id = IdAt(bytes, 8);
  slot.sequence = number(24);
  slot.session = number(32);
  slot.records = number(40);
  slot.values = number(48);
  slot.layout_words = number(56);
  slot.rows = number(64);
  slot.field_writes = number(72);
  slot.clean = number(80) == kCleanFlag;
  slot.unix_nanoseconds = number(88);
  slot.begin = {.records = number(96),
                .values = number(104),
                .rows = number(112),
                .layout_words = number(120),
                .field_writes = number(128)};
  slot.retention.rows = number(136);
  slot.retention.bytes = number(144);
  slot.retention.segments = number(152);
  slot.retention.segment_count = NumberAt<std::uint16_t>(bytes, 160);
  for (std::size_t i = 0; i < Retention::kMaxSegmentFields; ++i) {
    slot.retention.segment_by[i] = NumberAt<std::uint16_t>(bytes, 162 + 2 * i);
  }
  return slot;
}

// Whether the retained part begins at or before the end of the slot.
bool BeginFits(const Slot& slot) noexcept {
  const Begin& begin = slot.begin;
  return begin.records <= slot.records && begin.values <= slot.values && begin.rows <= slot.rows &&
         begin.layout_words <= slot.layout_words && begin.field_writes <= slot.field_writes;
}

}  // namespace

std::uint64_t& SmallestChunkBytes() noexcept {
  static constinit std::uint64_t bytes = kMinChunkBytes;
  return bytes;
}

bool IsChunkSize(std::uint64_t bytes) noexcept {
  return std::has_single_bit(bytes) && SmallestChunkBytes() <= bytes && bytes <= kMaxChunkBytes;
}

std::array<std::byte, kIdentityBytes> EncodeIdentity(const Identity& identity) {
  Block block{};
  PutMagic(block, kIdentityMagic);
  PutAt(block, 8, std::uint32_t{kFormatVersion});
  PutAt(block, 12, kEndianMark);
  PutAt(block, 16, identity.id);
  PutAt(block, 32, identity.parent);
  PutAt(block, 48, identity.checksum_seed);
  PutAt(block, 56, identity.chunk_bytes);
  PutChecksum(block);
  return block;
}

Identity DecodeIdentity(std::span<const std::byte> bytes, const std::string& path) {
  // The version comes first, because another version may keep its checksum in another place.
  if (bytes.size() == kBlockBytes && HasMagic(bytes, kIdentityMagic)) {
    const auto version = NumberAt<std::uint32_t>(bytes, 8);
    if (version != kFormatVersion) {
      throw Error(ErrorCode::kVersion, StrCat(path, ": format version ", version,
                                              "; this build reads ", kFormatVersion));
    }
  }
  std::string problem = FrameProblem(bytes, kIdentityMagic);
  if (problem.empty()) {
    const auto mark = NumberAt<std::uint32_t>(bytes, 12);
    if (mark != kEndianMark) {
      problem = StrCat("endian mark expected ", HexText(kEndianMark), " but found ", HexText(mark));
    } else if (!AllZero(bytes.subspan(52, 4)) ||
               !AllZero(bytes.subspan(64, kChecksumOffset - 64))) {
      problem = "expected zeros after the checksum seed and the chunk size";
    } else if (const auto chunk = NumberAt<std::uint64_t>(bytes, 56); !IsChunkSize(chunk)) {
      problem = StrCat("chunk size expected a power of two from ", kMinChunkBytes, " to ",
                       kMaxChunkBytes, " but found ", chunk);
    }
  }
  if (!problem.empty()) {
    throw Error(ErrorCode::kCorrupt, StrCat(path, ": identity: ", problem));
  }
  return {IdAt(bytes, 16), IdAt(bytes, 32), NumberAt<std::uint32_t>(bytes, 48),
          NumberAt<std::uint64_t>(bytes, 56)};
}

std::array<std::byte, kSlotBytes> EncodeSlot(const Slot& slot) {
  Block block{};
  PutMagic(block, kSlotMagic);
  PutAt(block, 8, slot.id);
  PutAt(block, 24, slot.sequence);
  PutAt(block, 32, slot.session);
  PutAt(block, 40, slot.records);
  PutAt(block, 48, slot.values);
  PutAt(block, 56, slot.layout_words);
  PutAt(block, 64, slot.rows);
  PutAt(block, 72, slot.field_writes);
  PutAt(block, 80, slot.clean ? kCleanFlag : std::uint64_t{0});
  PutAt(block, 88, slot.unix_nanoseconds);
  const Begin& begin = slot.begin;
  PutAt(
      block, 96,
      std::array{begin.records, begin.values, begin.rows, begin.layout_words, begin.field_writes});
  const Retention& retention = slot.retention;
  PutAt(block, 136, std::array{retention.rows, retention.bytes, retention.segments});
  PutAt(block, 160, retention.segment_count);
  PutAt(block, 162, retention.segment_by);
  PutChecksum(block);
  return block;
}

std::string SlotProblem(std::span<const std::byte> bytes, const StoreId& id) {
  std::string problem = FrameProblem(bytes, kSlotMagic);
  if (!problem.empty()) {
    return problem;
  }
  if (const StoreId found = IdAt(bytes, 8); found != id) {
    return StrCat("store id expected ", IdText(id), " but found ", IdText(found));
  }
  if (NumberAt<std::uint64_t>(bytes, 80) > kCleanFlag) {
    return "unknown flags";
  }
  if (!AllZero(bytes.subspan(kSlotEnd, kChecksumOffset - kSlotEnd))) {
    return "expected zeros after the fields of segment_by";
  }
  if (!BeginFits(SlotAt(bytes))) {
    return "it retains records from after its own end";
  }
  if (SlotAt(bytes).retention.segment_count > Retention::kMaxSegmentFields) {
    return "too many fields of segment_by";
  }
  return {};
}

// The conditions are those of SlotProblem(), without its texts: recovery and readers call this
// often and do not need a reason.
std::optional<Slot> DecodeSlot(std::span<const std::byte> bytes, const StoreId& id) noexcept {
  const bool framed =
      bytes.size() == kBlockBytes && HasMagic(bytes, kSlotMagic) &&
      NumberAt<std::uint32_t>(bytes, kChecksumOffset) == Crc32c(bytes.data(), kChecksumOffset);
  if (!framed || IdAt(bytes, 8) != id || NumberAt<std::uint64_t>(bytes, 80) > kCleanFlag ||
      !AllZero(bytes.subspan(kSlotEnd, kChecksumOffset - kSlotEnd))) {
    return std::nullopt;
  }
  const Slot slot = SlotAt(bytes);
  const bool possible =
      BeginFits(slot) && slot.retention.segment_count <= Retention::kMaxSegmentFields;
  return possible ? std::optional(slot) : std::nullopt;
}

std::optional<Slot> ChooseSlot(const std::optional<Slot>& first,
                               const std::optional<Slot>& second) noexcept {
  if (!first) {
    return second;
  }
  if (!second) {
    return first;
  }
  return second->sequence > first->sequence ? second : first;
}

std::string IdText(const StoreId& id) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : id) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace stream_store::internal
