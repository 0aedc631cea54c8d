// Damage to the chunk files of a store, on an image of its directory in memory.
//
// The kinds of a store are sequences of files, such as `values.000000000003`. A copy with another
// tool, or a person, may lose such files, exchange them, or give them other numbers and sizes. Used by
// the fuzz target of complete stores and by the tests of damage.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stream_store::crash {

/// The files of a directory, by their names.
using Image = std::map<std::string, std::vector<std::byte>>;

/// Reads all regular files of a directory, except for an empty `lock`.
Image LoadImage(const std::filesystem::path& path);

/// Replaces a directory by one that has the files of the image, and an empty `lock`.
void WriteImage(const Image& image, const std::filesystem::path& path);

/// The parts of a chunk's name.
struct ChunkOf {
  std::string kind;
  std::uint64_t number = 0;
};

/// Returns nothing for other names, such as "control" or "values.3".
std::optional<ChunkOf> ParseChunk(std::string_view name);

/// Returns the name of a chunk of a kind.
std::string NameOfChunk(std::string_view kind, std::uint64_t number);

/// The names of the files of one kind, in order: its chunks, or the one file of that name.
std::vector<std::string> FilesOfKind(const Image& image, std::string_view kind);

/// The bytes of all files of one kind, one after the other.
std::vector<std::byte> JoinKind(const Image& image, std::string_view kind);

/// Stores bytes into the files of one kind, whose sizes do not change.
/// REQUIRES: as many bytes as JoinKind() returns.
void SplitKind(Image& image, std::string_view kind, const std::vector<std::byte>& bytes);

enum class ChunkDamage {
  kMissing,     ///< the file is gone
  kSwapped,     ///< it has exchanged its name with another chunk of the kind
  kRenumbered,  ///< it has another number, or one with too few or too many digits
  kDoubled,     ///< a copy of it has another number
  kLonger,      ///< it is longer than a chunk
  kShorter,     ///< its end is missing
};

inline constexpr std::uint64_t kChunkDamages = 6;

/// Damages one file. `choice` chooses the other chunk, number or size. Returns false if nothing has
/// changed: the file is no chunk, or the only one of its kind.
bool DamageChunk(Image& image, const std::string& name, ChunkDamage damage, std::uint64_t choice);

}  // namespace stream_store::crash
