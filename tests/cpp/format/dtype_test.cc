// The table of item types, and the text of a feature in messages.
#include <string>

#include <gtest/gtest.h>

#include "stream_store/schema.h"

namespace stream_store {
namespace {

TEST(DTypeTest, KnowsTheSizesOfItems) {
  EXPECT_EQ(InfoOf(DType::kBool).bits, 1);
  EXPECT_EQ(InfoOf(DType::kInt16).item_bytes, 2);
  EXPECT_EQ(InfoOf(DType::kFloat32).bits, 32);
  EXPECT_EQ(InfoOf(DType::kDate32).bits, 32);
  EXPECT_EQ(InfoOf(DType::kDate32).item_bytes, 8) << "decoded to a datetime64";
  EXPECT_EQ(InfoOf(DType::kDecimal256).bits, 256);
  EXPECT_EQ(InfoOf(DType::kDecimal256).item_words, 4);
  EXPECT_EQ(InfoOf(DType::kString).item_bytes, 1);
  EXPECT_EQ(InfoOf(DType::kNull).item_words, 0);
}

TEST(DTypeTest, KnowsTheNamesOfOtherLibraries) {
  EXPECT_EQ(InfoOf(DType::kUInt8).numpy, "u1");
  EXPECT_EQ(InfoOf(DType::kTime64Us).numpy, "m8[us]");
  EXPECT_EQ(InfoOf(DType::kTimestampNs).arrow_format, "tsn:");
  EXPECT_EQ(InfoOf(DType::kDurationMs).unit, "ms");
  EXPECT_EQ(InfoOf(DType::kFloat64).unit, "");
}

TEST(DTypeTest, GivesEveryDTypeANameOfItsOwn) {
  for (int i = 0; i < kDTypeCount; ++i) {
    for (int j = 0; j < i; ++j) {
      EXPECT_NE(DTypeName(static_cast<DType>(i)), DTypeName(static_cast<DType>(j)));
    }
  }
  EXPECT_EQ(DTypeName(static_cast<DType>(kDTypeCount)), "unknown");
}

TEST(DTypeTest, WritesFeaturesAsTheyAreDeclared) {
  EXPECT_EQ(FieldText({.name = "a", .dtype = DType::kInt8}), "int8");
  EXPECT_EQ(FieldText({.name = "a", .dtype = DType::kFloat32, .shape = {kRagged}}), "float32[]");
  EXPECT_EQ(FieldText({.name = "a", .dtype = DType::kFloat32, .shape = {kRagged, 3}}),
            "float32[None,3]");
  EXPECT_EQ(FieldText({.name = "a", .dtype = DType::kUInt8, .shape = {84, 84, 4}, .packed = true}),
            "packed uint8[84,84,4]");
  EXPECT_EQ(FieldText({.name = "a", .dtype = DType::kNull, .hidden = true}), "struct");
}

}  // namespace
}  // namespace stream_store
