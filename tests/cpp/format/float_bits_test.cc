// Tests of float_bits.h: every pattern survives widening and narrowing, and narrowing rounds to
// nearest with ties to even.

#include "format/float_bits.h"

#include <cmath>
#include <random>

#include <gtest/gtest.h>

namespace stream_store::internal {
namespace {

std::uint64_t Bits(double number) { return std::bit_cast<std::uint64_t>(number); }

TEST(FloatBitsTest, EveryFloat16Survives) {
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    ASSERT_EQ(NarrowToFloat16(WidenFloat16(static_cast<std::uint16_t>(bits))), bits);
  }
}

// A prime stride visits all exponents and signs. Testing all 2^32 patterns takes a minute; it was
// done once and found no difference.
TEST(FloatBitsTest, Float32PatternsSurvive) {
  for (std::uint64_t bits = 0; bits <= 0xffffffffU; bits += 1009) {
    const auto pattern = static_cast<std::uint32_t>(bits);
    ASSERT_EQ(NarrowToFloat32(WidenFloat32(pattern)), pattern) << std::hex << pattern;
  }
  for (const std::uint32_t pattern :
       {0x7f800001U, 0xff800001U, 0x7fffffffU, 0xffc00000U, 0x80000001U}) {
    EXPECT_EQ(NarrowToFloat32(WidenFloat32(pattern)), pattern);
  }
}

TEST(FloatBitsTest, WideningKeepsTheNumber) {
  EXPECT_EQ(WidenFloat16(0x3c00), Bits(1.0));
  EXPECT_EQ(WidenFloat16(0x0001), Bits(0x1p-24));
  EXPECT_EQ(WidenFloat16(0x83ff), Bits(-0x3ffp-24));
  EXPECT_EQ(WidenFloat16(0x7bff), Bits(65504.0));
  EXPECT_EQ(WidenFloat16(0x8000), Bits(-0.0));
  EXPECT_EQ(WidenFloat16(0xfc00), Bits(-HUGE_VAL));
  EXPECT_EQ(WidenFloat32(std::bit_cast<std::uint32_t>(-0x1p-149F)), Bits(-0x1p-149));
}

TEST(FloatBitsTest, Float16RoundsToNearestEven) {
  EXPECT_EQ(NarrowToFloat16(Bits(1.0 + 0x1p-11)), 0x3c00);  // tie, even below
  EXPECT_EQ(NarrowToFloat16(Bits(1.0 + 0x3p-11)), 0x3c02);  // tie, even above
  EXPECT_EQ(NarrowToFloat16(Bits(1.0 + 0x1p-11 + 0x1p-52)),
            0x3c01);  // rounding through float32 would lose this bit
  EXPECT_EQ(NarrowToFloat16(Bits(65519.0)), 0x7bff);
  EXPECT_EQ(NarrowToFloat16(Bits(65520.0)), 0x7c00);
  EXPECT_EQ(NarrowToFloat16(Bits(-1e300)), 0xfc00);
  EXPECT_EQ(NarrowToFloat16(Bits(0x1p-25)), 0x0000);
  EXPECT_EQ(NarrowToFloat16(Bits(0x1.0000000000001p-25)), 0x0001);
  EXPECT_EQ(NarrowToFloat16(Bits(0x1p-26)), 0x0000);
  EXPECT_EQ(NarrowToFloat16(Bits(0x3p-25)), 0x0002);
  EXPECT_EQ(NarrowToFloat16(Bits(0x3ff.8p-24)),
            0x0400);  // the largest subnormal rounds up to a normal
  EXPECT_EQ(NarrowToFloat16(Bits(-0x1p-1074)), 0x8000);
}

// The model finds the nearest of all 63,488 finite float16 values by bisection.
TEST(FloatBitsTest, Float16IsTheNearestOfAll) {
  std::mt19937_64 random(11);
  for (int i = 0; i < 20'000; ++i) {
    const auto exponent = static_cast<int>(random() % 44) - 27;
    const double number = std::ldexp(1.0 + static_cast<double>(random() >> 12) * 0x1p-52, exponent);
    std::uint16_t low = 0;
    std::uint16_t high = 0x7c00;
    while (high - low > 1) {
      const auto middle = static_cast<std::uint16_t>((low + high) / 2);
      (std::bit_cast<double>(WidenFloat16(middle)) <= number ? low : high) = middle;
    }
    const double below = std::bit_cast<double>(WidenFloat16(low));
    const double above = high == 0x7c00 ? 65536.0 : std::bit_cast<double>(WidenFloat16(high));
    const bool up =
        above - number < number - below || (above - number == number - below && (high & 1) == 0);
    ASSERT_EQ(NarrowToFloat16(Bits(number)), up ? high : low) << std::hexfloat << number;
  }
}

TEST(FloatBitsTest, NaNsStayNaNs) {
  const std::uint64_t low_payload = kFloat64Exponent | 1;  // bits that no narrower type can hold
  EXPECT_TRUE(IsNanFloat32(NarrowToFloat32(low_payload)));
  EXPECT_GT(NarrowToFloat16(low_payload), 0x7c00);
  EXPECT_EQ(NarrowToFloat32(1ULL << 63 | low_payload) >> 31, 1U);
}

}  // namespace
}  // namespace stream_store::internal
