#include "storage/chunk_files.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <utility>

#include "base/assert.h"
#include "base/str_cat.h"

namespace stream_store::internal {
namespace {

// The numbers of the chunks of one kind, in order.
std::vector<std::uint64_t> NumbersOf(const Directory& directory, std::string_view kind) {
  std::vector<std::uint64_t> numbers;
  for (const std::string& name : directory.Entries()) {
    if (const auto number = ChunkNumber(kind, name)) {
      numbers.push_back(*number);
    }
  }
  std::ranges::sort(numbers);
  return numbers;
}

[[noreturn]] void ThrowMissing(const Directory& directory, std::string_view kind,
                               std::uint64_t chunk) {
  throw Error(ErrorCode::kCorrupt, StrCat(PathText(directory.path() / ChunkName(kind, chunk)),
                                          ": expected a file of the store but it is missing"));
}

// Only the last chunk may be shorter than the others.
void CheckSize(const File& file, std::uint64_t size, std::uint64_t chunk_bytes, bool last) {
  if (size == chunk_bytes || (last && size < chunk_bytes)) {
    return;
  }
  throw Error(ErrorCode::kCorrupt, StrCat(file.path(), ": expected ", last ? "at most " : "",
                                          chunk_bytes, " bytes but found ", size));
}

ChunkList List(const Directory& directory, std::string_view kind, std::uint64_t chunk_bytes) {
  const std::vector<std::uint64_t> numbers = NumbersOf(directory, kind);
  if (numbers.empty()) {
    ThrowMissing(directory, kind, 0);
  }
  ChunkList list{.first = numbers.front(), .end = numbers.back() + 1};
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (numbers[i] != list.first + i) {
      ThrowMissing(directory, kind, list.first + i);
    }
    const File file = directory.OpenFile(ChunkName(kind, numbers[i]).c_str(), /*writable=*/false);
    const std::uint64_t size = file.Size();
    CheckSize(file, size, chunk_bytes, i + 1 == numbers.size());
    list.last_bytes = size;
  }
  return list;
}

}  // namespace

std::string ChunkName(std::string_view kind, std::uint64_t chunk) {
  std::string digits = std::to_string(chunk);
  STREAM_STORE_ASSERT(digits.size() <= kChunkDigits);
  digits.insert(0, kChunkDigits - digits.size(), '0');
  return StrCat(kind, ".", digits);
}

std::optional<std::uint64_t> ChunkNumber(std::string_view kind, std::string_view name) noexcept {
  if (name.size() != kind.size() + 1 + kChunkDigits || !name.starts_with(kind) ||
      name[kind.size()] != '.') {
    return std::nullopt;
  }
  const char* const end = name.data() + name.size();
  std::uint64_t number = 0;
  const auto [stop, error] = std::from_chars(name.data() + kind.size() + 1, end, number);
  return error == std::errc() && stop == end ? std::optional(number) : std::nullopt;
}

ChunkFiles::ChunkFiles(const Directory& directory, std::string kind, std::uint64_t chunk_bytes)
    : directory_(directory), kind_(std::move(kind)), chunk_bytes_(chunk_bytes) {
  STREAM_STORE_ASSERT(std::has_single_bit(chunk_bytes_));
  Refresh();
}

void ChunkFiles::Refresh() {
  const ChunkList list = List(directory_, kind_, chunk_bytes_);
  const ForkMutexLock lock(mutex_);
  list_ = list;
  open_.reset();
}

std::uint64_t ChunkFiles::begin() const {
  const ForkMutexLock lock(mutex_);
  return list_.first * chunk_bytes_;
}

std::uint64_t ChunkFiles::end() const {
  const ForkMutexLock lock(mutex_);
  return (list_.end - 1) * chunk_bytes_ + list_.last_bytes;
}

// Returns null if there is no such file any more.
std::shared_ptr<const ChunkFiles::OpenChunk> ChunkFiles::Open(std::uint64_t chunk) const {
  {
    const ForkMutexLock lock(mutex_);
    if (open_ != nullptr && open_->number == chunk) {
      return open_;
    }
  }
  std::shared_ptr<const OpenChunk> opened;
  try {
    opened = std::make_shared<const OpenChunk>(
        OpenChunk{chunk, directory_.OpenFile(ChunkName(kind_, chunk).c_str(), /*writable=*/false)});
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kNotFound) {
      return nullptr;
    }
    throw;
  }
  const ForkMutexLock lock(mutex_);
  open_ = opened;
  return opened;
}

std::size_t ChunkFiles::ReadAt(std::span<std::byte> out, std::uint64_t offset) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const std::uint64_t at = offset + done;
    const std::uint64_t within = at % chunk_bytes_;
    const std::size_t part = std::min<std::uint64_t>(out.size() - done, chunk_bytes_ - within);
    const std::shared_ptr<const OpenChunk> chunk = Open(at / chunk_bytes_);
    const std::size_t read =
        chunk == nullptr ? 0 : chunk->file.ReadAt(out.subspan(done, part), within);
    done += read;
    if (read < part) {
      break;
    }
  }
  return done;
}

std::string ChunkFiles::path() const { return PathText(directory_.path() / kind_); }

}  // namespace stream_store::internal
