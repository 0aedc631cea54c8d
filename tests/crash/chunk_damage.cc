#include "crash/chunk_damage.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "base/assert.h"

namespace stream_store::crash {
namespace {

constexpr std::size_t kDigits = 12;
constexpr std::uint64_t kChunkBytesAt = 56;          // in the identity, at the start of `control`
constexpr std::uint64_t kMostBytes = (1 << 20) + 1;  // no larger images: tests write them often

std::string Digits(std::uint64_t number, std::size_t width) {
  std::string digits = std::to_string(number);
  return digits.size() < width ? digits.insert(0, width - digits.size(), '0') : digits;
}

// Another number for a chunk: a neighbour, one far away, or the same with other digits.
std::string OtherName(const ChunkOf& chunk, std::uint64_t choice) {
  const std::array<std::string, 8> names = {
      NameOfChunk(chunk.kind, chunk.number + 1),
      NameOfChunk(chunk.kind, chunk.number == 0 ? 2 : chunk.number - 1),
      NameOfChunk(chunk.kind, chunk.number + 1 + choice / 8 % 100),
      NameOfChunk(chunk.kind, 999'999'999'999),
      chunk.kind + "." + Digits(chunk.number, kDigits - 1),
      chunk.kind + "." + Digits(chunk.number, kDigits + 1),
      chunk.kind + ".+" + Digits(chunk.number, kDigits - 1),
      chunk.kind,
  };
  return names[choice % names.size()];
}

// The size of a full chunk, if the identity says one that is small enough to be exceeded.
std::uint64_t FullSize(const Image& image, std::uint64_t otherwise) {
  std::uint64_t bytes = 0;
  const auto control = image.find("control");
  if (control == image.end() || control->second.size() < kChunkBytesAt + sizeof(bytes)) {
    return otherwise;
  }
  std::memcpy(&bytes, control->second.data() + kChunkBytesAt, sizeof(bytes));
  return bytes < kMostBytes ? std::max(bytes, otherwise) : otherwise;
}

bool Swap(Image& image, const std::string& name, std::uint64_t choice) {
  std::vector<std::string> others = FilesOfKind(image, ParseChunk(name)->kind);
  std::erase(others, name);
  if (others.empty()) {
    return false;
  }
  std::swap(image[name], image[others[choice % others.size()]]);
  return true;
}

}  // namespace

Image LoadImage(const std::filesystem::path& path) {
  Image image;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_regular_file() || (name == "lock" && entry.file_size() == 0)) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
    image[name].assign(bytes, bytes + text.size());
  }
  return image;
}

void WriteImage(const Image& image, const std::filesystem::path& path) {
  std::filesystem::remove_all(path);
  std::filesystem::create_directory(path);
  std::ofstream(path / "lock") << "";
  for (const auto& [name, bytes] : image) {
    std::ofstream file(path / name, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }
}

std::optional<ChunkOf> ParseChunk(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || name.size() - dot - 1 != kDigits) {
    return std::nullopt;
  }
  ChunkOf chunk{.kind = std::string(name.substr(0, dot))};
  const char* const end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + dot + 1, end, chunk.number);
  return error == std::errc() && stop == end ? std::optional(chunk) : std::nullopt;
}

std::string NameOfChunk(std::string_view kind, std::uint64_t number) {
  return std::string(kind) + "." + Digits(number, kDigits);
}

std::vector<std::string> FilesOfKind(const Image& image, std::string_view kind) {
  std::vector<std::string> names;
  for (const auto& [name, bytes] : image) {
    const auto chunk = ParseChunk(name);
    if (name == kind || (chunk && chunk->kind == kind)) {
      names.push_back(name);
    }
  }
  return names;  // in order, because all numbers have the same number of digits
}

std::vector<std::byte> JoinKind(const Image& image, std::string_view kind) {
  std::vector<std::byte> joined;
  for (const std::string& name : FilesOfKind(image, kind)) {
    const std::vector<std::byte>& bytes = image.at(name);
    joined.insert(joined.end(), bytes.begin(), bytes.end());
  }
  return joined;
}

void SplitKind(Image& image, std::string_view kind, const std::vector<std::byte>& bytes) {
  auto from = bytes.begin();
  for (const std::string& name : FilesOfKind(image, kind)) {
    std::vector<std::byte>& file = image.at(name);
    STREAM_STORE_ASSERT(static_cast<std::size_t>(bytes.end() - from) >= file.size());
    const auto to = from + static_cast<std::ptrdiff_t>(file.size());
    std::copy(from, to, file.begin());
    from = to;
  }
  STREAM_STORE_ASSERT(from == bytes.end());
}

bool DamageChunk(Image& image, const std::string& name, ChunkDamage damage, std::uint64_t choice) {
  const std::optional<ChunkOf> chunk = ParseChunk(name);
  const auto found = image.find(name);
  if (!chunk || found == image.end()) {
    return false;
  }
  std::vector<std::byte>& bytes = found->second;
  switch (damage) {
    case ChunkDamage::kMissing:
      image.erase(found);
      return true;
    case ChunkDamage::kSwapped:
      return Swap(image, name, choice);
    case ChunkDamage::kRenumbered: {
      std::vector<std::byte> content = std::move(bytes);
      image.erase(found);
      image[OtherName(*chunk, choice)] = std::move(content);
      return true;
    }
    case ChunkDamage::kDoubled: {
      const std::vector<std::byte> content = bytes;
      image[OtherName(*chunk, choice)] = content;
      return true;
    }
    case ChunkDamage::kLonger:
      bytes.resize(FullSize(image, bytes.size()) + 1 + choice % 4096);
      return true;
    case ChunkDamage::kShorter:
      if (bytes.empty()) {
        return false;
      }
      bytes.resize(choice % bytes.size());
      return true;
  }
  return false;
}

}  // namespace stream_store::crash
