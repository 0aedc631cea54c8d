// Encoding of packed and nested fields: the bytes of their items, in whole words.

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <utility>

#include "format/encode_loops.h"
#include "format/nested_block.h"
#include "format/utf8.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kChunkItems = 256;

// Whether the items of a packed field are stored exactly as the caller has them. Bools are not,
// because a caller's byte 2 is stored as 1.
bool SameItems(DType dtype, Source source) noexcept {
  switch (dtype) {
    case DType::kInt8:
      return source == Source::kInt8;
    case DType::kInt16:
      return source == Source::kInt16;
    case DType::kInt32:
      return source == Source::kInt32;
    case DType::kUInt8:
      return source == Source::kUInt8;
    case DType::kUInt16:
      return source == Source::kUInt16;
    case DType::kUInt32:
      return source == Source::kUInt32;
    case DType::kFloat16:
      return source == Source::kFloat16;
    case DType::kFloat32:
      return source == Source::kFloat32;
    default:
      return false;
  }
}

// Writes `count` items as bytes and fills the last of the `words` words with zeros.
//
// Items of another type are encoded to words and decoded to the packed type, a chunk at a time. So
// a packed field applies exactly the rules and the rounding of a field that is not packed.
template <Source source>
std::uint64_t PackItems(const Encoding& encoding, const unsigned char* items, std::uint64_t count,
                        std::uint64_t words, Value* out) noexcept {
  auto* bytes = reinterpret_cast<unsigned char*>(out);
  if (words > 0) {
    out[words - 1] = 0;  // the padding
  }
  if (SameItems(encoding.dtype, source)) {
    std::memcpy(bytes, items, count * encoding.item_bytes);
    return kEncodedAll;
  }
  Encoding plain = encoding;
  plain.packed = false;
  plain.block = false;
  const EncodeLoop loop = FindWordLoop(encoding, source);
  std::array<Value, kChunkItems> chunk_words;
  for (std::uint64_t done = 0; done < count; done += kChunkItems) {
    const std::uint64_t chunk = std::min(kChunkItems, count - done);
    const std::uint64_t bad =
        loop(plain, items + done * SourceBytes(source), chunk, chunk_words.data());
    if (bad != kEncodedAll) {
      return done + bad;
    }
    DecodeWords(plain, chunk_words.data(), chunk, bytes + done * encoding.item_bytes);
  }
  return kEncodedAll;
}

template <Source source>
std::uint64_t EncodePacked(const Encoding& encoding, const unsigned char* items,
                           std::uint64_t count, Value* out) noexcept {
  return PackItems<source>(encoding, items, count, encoding.unit_words, out);
}

std::uint64_t CopyPacked(const Encoding&, const unsigned char* items, std::uint64_t count,
                         Value* out) noexcept {
  std::memcpy(out, items, count * sizeof(Value));
  return kEncodedAll;
}

// --- block fields: a word with the number of items, then their bytes ---

template <Source source>
std::uint64_t EncodeBlock(const Encoding& encoding, const unsigned char* items, std::uint64_t count,
                          Value* out) noexcept {
  out[0] = static_cast<Value>(count);
  if (count == 0) {
    return kEncodedAll;  // `items` may be null
  }
  return PackItems<source>(encoding, items, count, BlockWords(encoding, count) - 1, out + 1);
}

std::uint64_t EncodeBytes(const Encoding& encoding, const unsigned char* items, std::uint64_t count,
                          Value* out) noexcept {
  const std::uint64_t words = BlockWords(encoding, count);
  out[0] = static_cast<Value>(count);
  out[words - 1] = words == 1 ? out[0] : 0;  // the padding
  if (count > 0) {
    std::memcpy(out + 1, items, count);
  }
  return kEncodedAll;
}

std::uint64_t EncodeText(const Encoding& encoding, const unsigned char* items, std::uint64_t count,
                         Value* out) noexcept {
  const std::uint64_t bad = FirstInvalidUtf8(items, count);
  return bad != kAllUtf8 ? bad : EncodeBytes(encoding, items, count, out);
}

std::uint64_t EncodeCell(const Encoding& encoding, const unsigned char* items, std::uint64_t count,
                         Value* out) noexcept {
  const std::span<const std::byte> block(reinterpret_cast<const std::byte*>(items), count);
  return CheckNestedBlock(*encoding.nested, block) != nullptr
             ? 0
             : EncodeBytes(encoding, items, count, out);
}

std::uint64_t CopyBlock(const Encoding& encoding, const unsigned char* items, std::uint64_t count,
                        Value* out) noexcept {
  std::memcpy(out, items, count * sizeof(Value));
  return ItemsOfBlock(encoding, std::span<const Value>(out, count)).valid ? kEncodedAll : 0;
}

template <std::size_t... kSources>
constexpr LoopsBySource PackedLoops(std::index_sequence<kSources...>) {
  return {EncodePacked<static_cast<Source>(kSources)>..., CopyPacked};
}

template <std::size_t... kSources>
constexpr LoopsBySource BlockLoops(std::index_sequence<kSources...>) {
  return {EncodeBlock<static_cast<Source>(kSources)>..., CopyBlock};
}

constexpr LoopsBySource kPackedLoops = PackedLoops(std::make_index_sequence<13>());
constexpr LoopsBySource kBlockLoops = BlockLoops(std::make_index_sequence<13>());
constexpr LoopsBySource kByteBlockLoops = LoopsOfBytes(EncodeBytes, CopyBlock);
constexpr LoopsBySource kTextBlockLoops = LoopsOfBytes(EncodeText, CopyBlock);
constexpr LoopsBySource kCellLoops = LoopsOfBytes(EncodeCell, CopyBlock);

const LoopsBySource& LoopsOfBlocks(const Encoding& encoding) noexcept {
  switch (encoding.kind) {
    case WordKind::kByte:
      return kByteBlockLoops;
    case WordKind::kText:
      return kTextBlockLoops;
    case WordKind::kCell:
      return kCellLoops;
    default:
      return kBlockLoops;
  }
}

}  // namespace

EncodeLoop FindPackedLoop(const Encoding& encoding, Source source) noexcept {
  STREAM_STORE_ASSERT(encoding.packed || encoding.block);
  const LoopsBySource& loops = encoding.block ? LoopsOfBlocks(encoding) : kPackedLoops;
  return loops[static_cast<std::size_t>(source)];
}

}  // namespace stream_store::internal
