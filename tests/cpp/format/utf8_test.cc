// Tests of UTF-8 validation against an independent model: it accepts the encoding of every code
// point and refuses everything else.

#include "format/utf8.h"

#include <string>

#include <gtest/gtest.h>

namespace stream_store::internal {
namespace {

std::uint64_t FirstInvalid(const std::string& text) {
  return FirstInvalidUtf8(text.data(), text.size());
}

std::string EncodeCodePoint(std::uint32_t code) {
  const auto tail = [](std::uint32_t bits) { return static_cast<char>(0x80 | (bits & 0x3f)); };
  if (code < 0x80) return {static_cast<char>(code)};
  if (code < 0x800) return {static_cast<char>(0xc0 | code >> 6), tail(code)};
  if (code < 0x10000) return {static_cast<char>(0xe0 | code >> 12), tail(code >> 6), tail(code)};
  return {static_cast<char>(0xf0 | code >> 18), tail(code >> 12), tail(code >> 6), tail(code)};
}

TEST(Utf8Test, AcceptsEveryCodePointExceptSurrogates) {
  for (std::uint32_t code = 0; code < 0x120000; ++code) {
    const bool valid = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    ASSERT_EQ(FirstInvalid(EncodeCodePoint(code)) == kAllUtf8, valid) << std::hex << code;
  }
}

TEST(Utf8Test, TwoByteStringsAreValidOnlyAsAsciiOrOnePair) {
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const bool ascii = first < 0x80 && second < 0x80;
      const bool pair = first >= 0xc2 && first <= 0xdf && second >= 0x80 && second <= 0xbf;
      const std::string text = {static_cast<char>(first), static_cast<char>(second)};
      ASSERT_EQ(FirstInvalid(text) == kAllUtf8, ascii || pair) << first << " " << second;
    }
  }
}

TEST(Utf8Test, RefusesOverlongFormsAndCutSequences) {
  for (const std::string bad :
       {"\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
        "\xed\xa0\x80", "\xe2\x82", "\xf0\x9f\x98", "\x80", "\xff"}) {
    EXPECT_EQ(FirstInvalid(bad), 0U);
    EXPECT_EQ(FirstInvalid("0123456789abc\xc3\xa9" + bad + "x"), 15U);
  }
}

TEST(Utf8Test, EmptyTextIsValid) { EXPECT_EQ(FirstInvalidUtf8(nullptr, 0), kAllUtf8); }

TEST(Utf8Test, FindsTheBadByteAtEveryPlace) {
  for (std::size_t length = 1; length < 40; ++length) {
    for (std::size_t at = 0; at < length; ++at) {
      std::string text(length, 'a');
      text[at] = '\xfe';
      EXPECT_EQ(FirstInvalid(text), at);
    }
  }
}

}  // namespace
}  // namespace stream_store::internal
