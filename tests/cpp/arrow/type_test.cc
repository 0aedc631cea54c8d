// Format strings of the C data interface: their meaning, their texts and their item types.
#include "arrow/type.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace stream_store::testing {
namespace {

using arrow::DTypeOf;
using arrow::Kind;
using arrow::ParseFormat;
using arrow::TypeText;

TEST(ArrowType, FindsTheDTypeOfEveryDefaultFormat) {
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (dtype == DType::kNested) {
      continue;  // its format follows from the type of its cells
    }
    std::string format(InfoOf(dtype).arrow_format);
    format += dtype == DType::kFixedBinary ? "5" : "";
    EXPECT_EQ(DTypeOf(ParseFormat(format.c_str())), dtype) << DTypeName(dtype);
  }
  EXPECT_EQ(DTypeOf(ParseFormat("U")), DType::kString);
  EXPECT_EQ(DTypeOf(ParseFormat("vz")), DType::kBinary);
  EXPECT_EQ(DTypeOf(ParseFormat("tsn:Europe/Zurich")), DType::kTimestampNs);
  EXPECT_EQ(DTypeOf(ParseFormat("d:3,-2,256")), DType::kDecimal256);
  for (const char* nested : {"+l", "+s", "+m", "+r", "tiM", "tiD", "tin", "d:9,2,32", "d:9,2,64"}) {
    EXPECT_EQ(DTypeOf(ParseFormat(nested)), std::nullopt) << nested;
  }
}

TEST(ArrowType, WritesTypesAsPyarrowDoes) {
  const std::vector<std::pair<const char*, const char*>> texts = {
      {"tsu:Europe/Zurich", "timestamp[us, tz=Europe/Zurich]"},
      {"d:10,-2", "decimal128(10, -2)"},
      {"d:9,2,32", "decimal32(9, 2)"},
      {"d:18,2,64", "decimal64(18, 2)"},
      {"tiM", "month_interval"},
      {"tiD", "day_time_interval"},
      {"tin", "month_day_nano_interval"},
      {"+m", "map"},
      {"+r", "run_end_encoded"},
      {"+ud:0", "dense_union"},
      {"+us:0,1", "sparse_union"}};
  for (const auto& [format, text] : texts) {
    EXPECT_EQ(TypeText(ParseFormat(format)), text);
  }
}

TEST(ArrowType, ReadsFormatsOfTheSpecificationOnly) {
  for (const char* wrong : {"",
                            "x",
                            "tt",
                            "ttx",
                            "ts",
                            "tsq:",
                            "d:",
                            "d:10",
                            "d:39,0",
                            "d:0,0",
                            "d:10,2,16",
                            "d:10,2,32",
                            "d:19,2,64",
                            "d:10,2,128,1",
                            "w:",
                            "w:-1",
                            "w:99999999999",
                            "+",
                            "+w:x",
                            "+x",
                            "tdD:",
                            "ti",
                            "tix",
                            "tiMM",
                            "+mm",
                            "+u"}) {
    EXPECT_EQ(ParseFormat(wrong).kind, Kind::kOther) << wrong;
  }
  EXPECT_EQ(ParseFormat(nullptr).kind, Kind::kOther);
}

}  // namespace
}  // namespace stream_store::testing
