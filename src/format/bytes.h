// Reading and writing of little-endian numbers in byte blocks. Used by schema_codec and control.
//
// A reader never passes its end: a read that does not fit returns zeros or nothing and sets
// failed() for good, so that a decoder may read a group of numbers and look once.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace stream_store::internal {

static_assert(std::endian::native == std::endian::little,
              "the format is little-endian, and so are its hosts");

/// Appends numbers and bytes to a block.
class ByteWriter {
 public:
  template <class T>
    requires std::is_unsigned_v<T>
  void Put(T number) {
    PutBytes(&number, sizeof(number));
  }

  void PutBytes(const void* bytes, std::size_t size) {
    const auto* begin = static_cast<const std::byte*>(bytes);
    bytes_.insert(bytes_.end(), begin, begin + size);
  }

  /// A length of type Length, then the bytes. REQUIRES: text.size() fits Length.
  template <class Length>
  void PutText(std::string_view text) {
    Put(static_cast<Length>(text.size()));
    PutBytes(text.data(), text.size());
  }

  std::size_t size() const noexcept { return bytes_.size(); }

  std::vector<std::byte>& bytes() noexcept { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

/// Takes numbers and bytes from the front of a block.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) noexcept : left_(bytes) {}

  template <class T>
    requires std::is_unsigned_v<T>
  T Take() noexcept {
    T number = 0;
    TakeBytes(&number, sizeof(number));
    return number;
  }

  void TakeBytes(void* out, std::size_t size) noexcept {
    const std::span<const std::byte> bytes = TakeSpan(size);
    if (bytes.size() == size && size > 0) {
      std::memcpy(out, bytes.data(), size);
    }
  }

  /// A length of type Length, then that many bytes.
  template <class Length>
  std::string TakeText() {
    const std::span<const std::byte> bytes = TakeSpan(Take<Length>());
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  std::size_t left() const noexcept { return left_.size(); }

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

/// A number at a fixed place. REQUIRES: it fits.
template <class T>
T NumberAt(std::span<const std::byte> bytes, std::size_t offset) noexcept {
  T number = 0;
  std::memcpy(&number, bytes.data() + offset, sizeof(number));
  return number;
}

/// "0x91a2b3c4", as checksums are shown in messages.
inline std::string HexText(std::uint32_t number) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "0x";
  for (int shift = 28; shift >= 0; shift -= 4) {
    text += kDigits[number >> shift & 15U];
  }
  return text;
}

}  // namespace stream_store::internal
