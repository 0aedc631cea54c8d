// Fuzz targets for pure functions of bytes: the schema and the control file.
#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "stream_store/error.h"

#include "base/crc32c.h"
#include "format/bytes.h"
#include "format/control.h"
#include "format/schema_codec.h"
#include "fuzz/require.h"
#include "fuzz/targets.h"

namespace stream_store::fuzz {

using namespace internal;  // the targets check the bytes of the format themselves

namespace {

constexpr StoreId kId = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

// Stores the right checksum of all bytes except the last four there. Without that, no mutation
// would get past the check.
std::vector<std::byte> Mended(Bytes bytes) {
  std::vector<std::byte> mended(bytes.size());
  std::transform(bytes.begin(), bytes.end(), mended.begin(),
                 [](std::uint8_t byte) { return std::byte{byte}; });
  if (mended.size() >= 4) {
    const std::uint32_t sum = Crc32c(mended.data(), mended.size() - 4);
    std::memcpy(mended.data() + mended.size() - 4, &sum, sizeof(sum));
  }
  return mended;
}

bool Typed(const Error& error) {
  return error.code() == ErrorCode::kCorrupt || error.code() == ErrorCode::kVersion;
}

}  // namespace

void FuzzSchema(Bytes bytes) {
  std::vector<std::byte> file = Mended(bytes);
  if (file.size() >= 40) std::memcpy(file.data() + 24, kId.data(), kId.size());
  if (file.size() >= 4) {
    const std::uint32_t sum = Crc32c(file.data(), file.size() - 4);
    std::memcpy(file.data() + file.size() - 4, &sum, sizeof(sum));
  }
  try {
    const Schema schema = DecodeSchema(file, kId, "schema");
    Require(EncodeSchema(schema, kId) == file, "a schema that is taken is encoded the same");
  } catch (const Error& error) {
    Require(Typed(error), error.what());
  }
}

void FuzzControl(Bytes bytes) {
  std::array<std::vector<std::byte>, 3> blocks;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const std::size_t begin = std::min(bytes.size(), i * kSlotBytes);
    const std::size_t end = std::min(bytes.size(), begin + kSlotBytes);
    const Bytes part = bytes.subspan(begin, end - begin);
    // Half of the inputs get valid checksums.
    blocks[i] = Mended(part);
    if (bytes.size() % 2 == 1) {
      std::transform(part.begin(), part.end(), blocks[i].begin(),
                     [](std::uint8_t byte) { return std::byte{byte}; });
    }
  }
  StoreId id = kId;
  try {
    id = DecodeIdentity(blocks[0], "control").id;
  } catch (const Error& error) {
    Require(Typed(error), error.what());
  }
  const auto first = DecodeSlot(blocks[1], id);
  const auto second = DecodeSlot(blocks[2], id);
  Require(first.has_value() == SlotProblem(blocks[1], id).empty(), "a problem for each bad slot");
  const auto chosen = ChooseSlot(first, second);
  Require(chosen.has_value() == (first || second), "a valid slot is chosen");
  for (const auto& slot : {first, second}) {
    if (!slot) continue;
    Require(chosen->sequence >= slot->sequence, "the newest slot is chosen");
    const auto encoded = EncodeSlot(*slot);
    Require(DecodeSlot(encoded, id) == slot, "a slot is encoded the same");
  }
}

}  // namespace stream_store::fuzz
