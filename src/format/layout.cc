// Checks and digests of layouts.

#include "format/layout.h"

#include "base/crc32c.h"

namespace stream_store::internal {

std::uint32_t LayoutDigest(std::span<const std::uint64_t> words) noexcept {
  return ~Crc32cExtendWords(0xffffffffU, words.data(), words.size());
}

const char* CheckLayout(std::span<const std::uint64_t> words,
                        std::span<const Encoding> encodings) noexcept {
  if (words.empty()) {
    return "expected a head word but found nothing";
  }
  if (words.size() - 1 != WordType(words[0])) {
    return "its field count is not that of its words";
  }
  // There are at most 65,535 lengths below 2^48, so their sum stays below 2^64.
  std::uint64_t total = 0;
  std::uint64_t next_type = 0;
  for (const std::uint64_t word : words.subspan(1)) {
    const std::uint64_t type = WordType(word);
    if (type >= encodings.size()) {
      return "a type id is not one of a declared field";
    }
    if (type < next_type) {
      return "its type ids do not rise";
    }
    if (!encodings[type].AllowsLength(WordLength(word))) {
      return "a length is not one its field allows";
    }
    next_type = type + 1;
    total += WordLength(word);
  }
  if (total != WordLength(words[0])) {
    return "its lengths do not sum to its total";
  }
  return nullptr;
}

}  // namespace stream_store::internal
