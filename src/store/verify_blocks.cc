#include "store/verify_blocks.h"

#include <algorithm>

#include "base/str_cat.h"
#include "format/layout.h"
#include "format/nested_block.h"
#include "format/utf8.h"

namespace stream_store::internal {
namespace {

// Texts are checked in parts of this size, so that memory does not depend on their length.
constexpr std::uint64_t kPartWords = (128 << 10) / sizeof(Value);

// The longest UTF-8 sequence that a part can cut, without its last byte.
constexpr std::uint64_t kCutBytes = 3;

// One field-write of a block field, in the values file.
struct Place {
  RecordVerifier& verifier;
  std::uint64_t position;
  std::uint64_t words;
};

// The bytes of the words [begin, begin + words) of a field-write. Valid until the next read.
const std::byte* BytesAt(const Place& place, std::uint64_t begin, std::uint64_t words) {
  return reinterpret_cast<const std::byte*>(place.verifier.values(place.position + begin, words));
}

// Returns the index of the first byte of the first ill-formed sequence, or kAllUtf8. A sequence that
// the end of a part cuts begins the next part.
std::uint64_t FirstInvalidText(const Place& place, std::uint64_t bytes) {
  for (std::uint64_t done = 0; done < bytes;) {
    const std::uint64_t word = done / sizeof(Value);
    const std::uint64_t skip = done % sizeof(Value);
    const std::uint64_t words = std::min(kPartWords, place.words - 1 - word);
    const std::uint64_t count = std::min(words * sizeof(Value) - skip, bytes - done);
    const std::uint64_t bad = FirstInvalidUtf8(BytesAt(place, 1 + word, words) + skip, count);
    const bool last = done + count == bytes;
    if (bad == kAllUtf8) {
      done += count;
    } else if (!last && bad + kCutBytes >= count) {
      done += bad;
    } else {
      return done + bad;
    }
  }
  return kAllUtf8;
}

bool PaddingIsZero(const Place& place, std::uint64_t bytes) {
  const std::uint64_t used = bytes % sizeof(Value);
  if (used == 0) {
    return true;
  }
  const std::byte* last = BytesAt(place, place.words - 1, 1);
  return std::all_of(last + used, last + sizeof(Value),
                     [](std::byte byte) { return byte == std::byte{0}; });
}

// Returns why a field-write is not valid, or an empty text if it is.
std::string FaultOf(const Encoding& encoding, const Place& place) {
  const auto count = static_cast<std::uint64_t>(*place.verifier.values(place.position, 1));
  if (count > kMaxWriteValues || BlockWords(encoding, count) != place.words) {
    return StrCat(count, " items in ", place.words, " words, the one with their number included");
  }
  if (count % encoding.items != 0) {
    return StrCat(count, " items, which are not a multiple of ", encoding.items);
  }
  const std::uint64_t bytes = count * encoding.item_bytes;
  if (!PaddingIsZero(place, bytes)) {
    return "bytes after the last item that are not zero";
  }
  if (encoding.kind == WordKind::kText) {
    const std::uint64_t bad = FirstInvalidText(place, bytes);
    return bad == kAllUtf8 ? "" : StrCat("text that is not UTF-8 at byte ", bad);
  }
  if (encoding.kind == WordKind::kCell) {
    const std::byte* block = BytesAt(place, 1, place.words - 1);
    const char* fault = CheckNestedBlock(*encoding.nested, {block, bytes});
    return fault == nullptr ? "" : fault;
  }
  return "";
}

}  // namespace

BlockChecker::BlockChecker(std::span<const Encoding> encodings)
    : encodings_(encodings),
      has_blocks_(std::ranges::any_of(encodings, [](const Encoding& e) { return e.block; })) {}

const std::vector<BlockChecker::Part>& BlockChecker::PartsOf(RecordVerifier& verifier,
                                                             std::uint32_t layout) {
  LayoutParts& made = known_[layout % known_.size()];
  if (made.key == layout + std::uint64_t{1}) {
    return made.parts;
  }
  made.key = layout + std::uint64_t{1};
  made.parts.clear();
  std::uint64_t begin = 0;
  const std::uint64_t first = verifier.Layout(layout).word;
  const std::uint64_t fields = verifier.Layout(layout).fields;
  for (std::uint64_t i = 1; i <= fields; ++i) {
    const std::uint64_t word = verifier.layout_word(first + i);
    const std::uint64_t type = WordType(word);
    if (type < encodings_.size() && encodings_[type].block) {
      made.parts.push_back({static_cast<TypeId>(type), begin, WordLength(word)});
    }
    begin += WordLength(word);
  }
  return made.parts;
}

std::optional<BlockFault> BlockChecker::Check(RecordVerifier& verifier, const Record& record) {
  if (!has_blocks_) {
    return std::nullopt;
  }
  const std::uint64_t end = verifier.value_capacity();
  for (const Part& part : PartsOf(verifier, record.layout)) {
    // Another process may have changed the files since the record was verified.
    if (record.start > end || part.begin + part.words > end - record.start || part.words == 0) {
      return BlockFault{part.type, record.start, "values past the values file"};
    }
    const Place place{verifier, record.start + part.begin, part.words};
    if (std::string fault = FaultOf(encodings_[part.type], place); !fault.empty()) {
      return BlockFault{part.type, place.position, std::move(fault)};
    }
  }
  return std::nullopt;
}

}  // namespace stream_store::internal
