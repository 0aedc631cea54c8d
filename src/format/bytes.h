// ByteWriter and ByteReader: little-endian numbers in blocks of bytes. Used by schema_codec and
// control. Thread rules: an object belongs to one thread.
//
// A ByteReader never reads beyond its end. A read that does not fit returns zeros or nothing and
// sets failed() permanently, so that a decoder can read a group of numbers and test once.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/assert.h"

namespace stream_store::internal {

static_assert(
    std::endian::native == std::endian::little,
    "the format is little-endian and is read through mappings, so the machine must be too");

/// Builds a block by appending numbers and bytes.
class ByteWriter {
 public:
  /// Appends a number of type T, little-endian.
  template <class T>
    requires std::is_unsigned_v<T>
  void Put(T number) {
    PutBytes(&number, sizeof(number));
  }

  /// Appends `size` bytes.
  void PutBytes(const void* bytes, std::size_t size) {
    const auto* begin = static_cast<const std::byte*>(bytes);
    bytes_.insert(bytes_.end(), begin, begin + size);
  }

  /// Appends the length of a text as a number of type Length, then its bytes.
  /// REQUIRES: text.size() <= std::numeric_limits<Length>::max().
  template <class Length>
  void PutText(std::string_view text) {
    STREAM_STORE_ASSERT(text.size() <= std::numeric_limits<Length>::max());
    Put(static_cast<Length>(text.size()));
    PutBytes(text.data(), text.size());
  }

  /// Bytes appended so far.
  std::size_t size() const noexcept { return bytes_.size(); }

  /// The block. The reference is valid until the next Put.
  std::vector<std::byte>& bytes() noexcept { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

/// Takes numbers and bytes from the front of a block. The block must outlive the reader.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) noexcept : left_(bytes) {}

  /// Takes a number of type T. Returns 0 after a failure.
  template <class T>
    requires std::is_unsigned_v<T>
  T Take() noexcept {
    T number = 0;
    TakeBytes(&number, sizeof(number));
    return number;
  }

  /// Takes `size` bytes into `out`, which is unchanged after a failure.
  void TakeBytes(void* out, std::size_t size) noexcept {
    const std::span<const std::byte> bytes = TakeSpan(size);
    if (bytes.size() == size && size > 0) {
      std::memcpy(out, bytes.data(), size);
    }
  }

  /// Takes a length of type Length, then that many bytes. Returns an empty text after a failure.
  template <class Length>
  std::string TakeText() {
    const std::span<const std::byte> bytes = TakeSpan(Take<Length>());
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  /// Bytes that have not been taken.
  std::size_t left() const noexcept { return left_.size(); }

  /// Whether any read did not fit.
  bool failed() const noexcept { return failed_; }

 private:
  std::span<const std::byte> TakeSpan(std::size_t size) noexcept {
    failed_ = failed_ || size > left_.size();
    if (failed_) {
      return {};
    }
    const std::span<const std::byte> taken = left_.first(size);
    left_ = left_.subspan(size);
    return taken;
  }

  std::span<const std::byte> left_;
  bool failed_ = false;
};

/// Returns the number of type T at byte `offset`.
/// REQUIRES: offset + sizeof(T) <= bytes.size().
template <class T>
T NumberAt(std::span<const std::byte> bytes, std::size_t offset) noexcept {
  STREAM_STORE_ASSERT(offset + sizeof(T) <= bytes.size());
  T number = 0;
  std::memcpy(&number, bytes.data() + offset, sizeof(number));
  return number;
}

/// Returns a text such as "0x91a2b3c4", as checksums are written in messages.
inline std::string HexText(std::uint32_t number) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "0x";
  for (int shift = 28; shift >= 0; shift -= 4) {
    text += kDigits[number >> shift & 15U];
  }
  return text;
}

}  // namespace stream_store::internal
