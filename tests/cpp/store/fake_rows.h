// Rows for FakeStore: a schema with each kind of field, and random rows of it from a seed.
#pragma once

#include <bit>
#include <cstdint>
#include <random>
#include <vector>

#include "store/fake_store.h"

namespace stream_store::internal {

/// Type ids of MixedFields(), in declared order.
enum MixedType : TypeId {
  kEpisode,
  kPose,
  kReward,
  kDone,
  kText,
  kPoints,
  kImage,
  kSmall,
  kHalf,
  kPrice,
  kLong,
  kUnsigned,
  kMarker,
};

/// One field of each kind that the read functions treat differently.
inline std::vector<Field> MixedFields() {
  return {{.name = "episode", .dtype = DType::kInt64},
          {.name = "pose", .dtype = DType::kFloat32, .shape = {8}},
          {.name = "reward", .dtype = DType::kFloat64},
          {.name = "done", .dtype = DType::kBool},
          {.name = "text", .dtype = DType::kString},
          {.name = "points", .dtype = DType::kFloat32, .shape = {kRagged, 3}},
          {.name = "image", .dtype = DType::kUInt8, .shape = {3, 5}, .packed = true},
          {.name = "small", .dtype = DType::kInt16, .shape = {2, 2}},
          {.name = "half", .dtype = DType::kFloat16},
          {.name = "price", .dtype = DType::kDecimal128},
          {.name = "long", .dtype = DType::kInt32, .shape = {kRagged}},
          {.name = "unsigned", .dtype = DType::kUInt64},
          {.name = "marker", .dtype = DType::kNull, .path = {"marker"}, .hidden = true}};
}

/// Seeded random rows of MixedFields().
class RowMaker {
 public:
  explicit RowMaker(std::uint64_t seed) : random_(seed) {}

  /// Rows in which anything goes: missing fields, empty rows, continued rows, long lists.
  std::vector<FakeRow> Wild(std::size_t count) {
    std::vector<FakeRow> rows;
    Step step = -5;
    for (std::size_t i = 0; i < count; ++i) {
      step += 1 + static_cast<Step>(Below(3));
      rows.push_back(WildRow(step));
    }
    return rows;
  }

  /// Rows of four fixed fields, all equal in shape; every `odd_every`-th one is wild.
  std::vector<FakeRow> Steady(std::size_t count, std::size_t odd_every) {
    std::vector<FakeRow> rows;
    for (std::size_t i = 0; i < count; ++i) {
      const auto step = static_cast<Step>(i * 2);
      if (odd_every > 0 && i % odd_every == odd_every - 1) {
        rows.push_back(WildRow(step));
      } else {
        rows.push_back({step, {{Write(kEpisode), Write(kPose), Write(kReward), Write(kDone)}}});
      }
    }
    return rows;
  }

  /// Rows in two records each, as agents write that observe and then act.
  std::vector<FakeRow> Acting(std::size_t count) {
    std::vector<FakeRow> rows;
    for (std::size_t i = 0; i < count; ++i) {
      rows.push_back({static_cast<Step>(i), {{Write(kPose)}, {Write(kReward), Write(kDone)}}});
    }
    return rows;
  }

  std::uint64_t Below(std::uint64_t bound) { return random_() % bound; }

  FakeWrite Write(TypeId type) {
    FakeWrite write{type, {}};
    const std::uint64_t words = WordsOf(type);
    for (std::uint64_t i = 0; i < words; ++i) {
      write.values.push_back(ValueOf(type));
    }
    return write;
  }

 private:
  FakeRow WildRow(Step step) {
    FakeRow row{step, {{}}};
    const std::uint64_t density = Below(5);
    for (TypeId type = 0; type <= kMarker; ++type) {
      if (Below(5) > density) {
        continue;
      }
      const bool may_split = row.records.size() == 1 || !row.records.back().empty();
      if (may_split && Below(6) == 0) {
        row.records.emplace_back();  // only a row's first record may be empty
      }
      row.records.back().push_back(Write(type));
    }
    return row;
  }

  std::uint64_t WordsOf(TypeId type) {
    switch (type) {
      case kPose:
        return 8;
      case kText:
        return Below(20);
      case kPoints:
        return 3 * Below(4);
      case kImage:
        return 2;
      case kSmall:
        return 4;
      case kPrice:
        return 2;
      case kLong:
        return Below(8) == 0 ? 480 + Below(300) : Below(6);
      case kMarker:
        return 0;
      default:
        return 1;
    }
  }

  Value Float() {
    switch (Below(90)) {
      case 0:
        return static_cast<Value>(0x7ff4dead00000000ULL + Below(1000));  // a NaN with a payload
      case 1:
        return std::bit_cast<Value>(-0.0);
      case 2:
        return std::bit_cast<Value>(1e300);
      default:
        return std::bit_cast<Value>(static_cast<double>(Below(1'000'000)) / 7 - 5000);
    }
  }

  Value ValueOf(TypeId type) {
    switch (type) {
      case kPose:
      case kReward:
      case kPoints:
      case kHalf:
        return Float();
      case kDone:
        return static_cast<Value>(Below(2));
      case kText:
        return static_cast<Value>(Below(256));
      case kSmall:
        return static_cast<Value>(Below(65'536)) - 32'768;
      case kLong:
        return static_cast<Value>(Below(1ULL << 32)) - (Value{1} << 31);
      default:  // mostly small: common values take other branches than rare ones
        return Below(40) == 0 ? static_cast<Value>(random_())
                              : static_cast<Value>(Below(2'000'000)) - 1'000'000;
    }
  }

  std::mt19937_64 random_;
};

}  // namespace stream_store::internal
