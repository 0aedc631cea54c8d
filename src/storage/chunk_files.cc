#include "storage/chunk_files.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <utility>

#include "base/assert.h"
#include "base/str_cat.h"

namespace stream_store::internal {

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

ChunkFiles::ChunkFiles(const Directory& directory, std::string kind, std::uint64_t chunk_bytes,
                       std::uint64_t first)
    : directory_(directory),
      kind_(std::move(kind)),
      chunk_bytes_(chunk_bytes),
      first_(first),
      end_(first * chunk_bytes) {
  STREAM_STORE_ASSERT(std::has_single_bit(chunk_bytes_));
}

void ChunkFiles::Restart(std::uint64_t first) {
  first_.store(first, std::memory_order_relaxed);
  const ForkMutexLock lock(mutex_);
  end_ = first * chunk_bytes_;
}

// Goes on from the last chunk that was there, or before it, if that one is gone. A writer may drop
// chunks meanwhile, the oldest first. So the list has ended only if the chunk before the missing one is
// still there; otherwise it may go on after the dropped ones.
void ChunkFiles::Refresh() {
  const std::uint64_t first = first_.load(std::memory_order_relaxed);
  const std::uint64_t old_end = this->end();
  std::uint64_t chunk =
      std::max(first, (old_end - std::min<std::uint64_t>(old_end, 1)) / chunk_bytes_);
  File::Facts facts;
  std::shared_ptr<const OpenChunk> open = UseNamed(chunk, facts);
  while (open == nullptr && chunk > first) {
    open = UseNamed(--chunk, facts);
  }
  const auto throw_missing = [&] {
    throw Error(ErrorCode::kCorrupt, StrCat(PathText(directory_.path() / ChunkName(kind_, chunk)),
                                            ": expected a file of the store but it is missing"));
  };
  if (open == nullptr) {
    throw_missing();
  }
  std::uint64_t end = 0;
  Chunk last;
  while (open != nullptr) {
    if (facts.size > chunk_bytes_) {
      throw Error(ErrorCode::kCorrupt, StrCat(open->file.path(), ": expected at most ",
                                              chunk_bytes_, " bytes but found ", facts.size));
    }
    end = chunk * chunk_bytes_ + facts.size;
    last = {chunk, facts.id};
    if (facts.size < chunk_bytes_) {
      break;
    }
    open = UseNamed(chunk + 1, facts);
    if (open == nullptr && UseNamed(chunk, facts) == nullptr) {
      throw_missing();
    }
    ++chunk;
  }
  const ForkMutexLock lock(mutex_);
  end_ = end;
  last_ = last;
}

ChunkFiles::Chunk ChunkFiles::last() const {
  const ForkMutexLock lock(mutex_);
  return last_;
}

std::uint64_t ChunkFiles::end() const {
  const ForkMutexLock lock(mutex_);
  return end_;
}

File ChunkFiles::Open(std::uint64_t chunk, bool writable) const {
  return directory_.OpenFile(ChunkName(kind_, chunk).c_str(), writable);
}

File ChunkFiles::Create(std::uint64_t chunk) const {
  return directory_.CreateFile(ChunkName(kind_, chunk).c_str());
}

File ChunkFiles::OpenOrCreate(std::uint64_t chunk) const {
  try {
    return Open(chunk, /*writable=*/true);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) {
      throw;
    }
  }
  return Create(chunk);
}

std::string ChunkFiles::path() const { return PathText(directory_.path() / kind_); }

std::string ChunkFiles::end_path() const {
  return PathText(directory_.path() / ChunkName(kind_, end() / chunk_bytes_));
}

void ChunkFiles::CreateFirst() const { Create(begin() / chunk_bytes_); }

void ChunkFiles::Unlink(std::uint64_t chunk) const {
  directory_.Unlink(ChunkName(kind_, chunk).c_str());
  const ForkMutexLock lock(mutex_);
  if (open_ != nullptr && open_->number == chunk) {
    open_.reset();
  }
}

std::vector<std::uint64_t> ChunkFiles::Numbers() const {
  std::vector<std::uint64_t> numbers;
  for (const std::string& name : directory_.Entries()) {
    if (const auto number = ChunkNumber(kind_, name)) {
      numbers.push_back(*number);
    }
  }
  std::ranges::sort(numbers);
  return numbers;
}

void ChunkFiles::CloseFile() const {
  const ForkMutexLock lock(mutex_);
  open_.reset();
}

// The file of a chunk, which stays open for the next call unless parked; null if there is none.
std::shared_ptr<const ChunkFiles::OpenChunk> ChunkFiles::Use(std::uint64_t chunk,
                                                             bool writable) const {
  {
    const ForkMutexLock lock(mutex_);
    if (open_ != nullptr && open_->number == chunk && (open_->writable || !writable)) {
      return open_;
    }
  }
  std::shared_ptr<const OpenChunk> opened;
  try {
    opened = std::make_shared<const OpenChunk>(OpenChunk{chunk, writable, Open(chunk, writable)});
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kNotFound) {
      return nullptr;
    }
    throw;
  }
  if (!parked_.load(std::memory_order_relaxed)) {
    const ForkMutexLock lock(mutex_);
    open_ = opened;
  }
  return opened;
}

// As Use(), but never a file that has lost its name to another one since it was opened: a chunk that
// was made ahead may be deleted, and made again.
std::shared_ptr<const ChunkFiles::OpenChunk> ChunkFiles::UseNamed(std::uint64_t chunk,
                                                                  File::Facts& facts) const {
  for (;;) {
    std::shared_ptr<const OpenChunk> open = Use(chunk, /*writable=*/false);
    if (open == nullptr) {
      return nullptr;
    }
    facts = open->file.GetFacts();
    // Of a deleted store, the open file is all that is left to read.
    if (facts.links > 0 || directory_.Deleted()) {
      return open;
    }
    CloseFile();
  }
}

std::size_t ChunkFiles::ReadAt(std::span<std::byte> out, std::uint64_t offset) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const std::uint64_t at = offset + done;
    const std::uint64_t within = at % chunk_bytes_;
    const std::size_t part = std::min<std::uint64_t>(out.size() - done, chunk_bytes_ - within);
    const std::shared_ptr<const OpenChunk> chunk = Use(at / chunk_bytes_, /*writable=*/false);
    const std::size_t read =
        chunk == nullptr ? 0 : chunk->file.ReadAt(out.subspan(done, part), within);
    done += read;
    if (read < part) {
      break;
    }
  }
  return done;
}

void ChunkFiles::WriteAt(std::span<const std::byte> bytes, std::uint64_t offset) const {
  while (!bytes.empty()) {
    const std::uint64_t within = offset % chunk_bytes_;
    const std::uint64_t chunk = offset / chunk_bytes_;
    const auto part = bytes.first(std::min<std::uint64_t>(bytes.size(), chunk_bytes_ - within));
    std::shared_ptr<const OpenChunk> open = Use(chunk, /*writable=*/true);
    if (open == nullptr) {
      open = std::make_shared<const OpenChunk>(OpenChunk{chunk, true, Create(chunk)});
      const ForkMutexLock lock(mutex_);
      open_ = open;
    }
    open->file.WriteAt(part, within);
    bytes = bytes.subspan(part.size());
    offset += part.size();
  }
}

void ChunkFiles::Sync() const { SyncFrom(0); }

void ChunkFiles::SyncFrom(std::uint64_t offset) const {
  for (const std::uint64_t chunk : Numbers()) {
    if (chunk >= offset / chunk_bytes_) {
      Open(chunk, /*writable=*/true).Sync();
    }
  }
}

}  // namespace stream_store::internal
