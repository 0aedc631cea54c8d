#include "store/sampler_check.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "stream_store/error.h"

#include "base/str_cat.h"
#include "store/schema_difference.h"
#include "store/sampler_priorities.h"
#include "store/window_starts.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kMostLength = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t kMostLanes = std::uint64_t{1} << 16;
constexpr std::int64_t kMostOffset = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kMostNanoseconds = std::int64_t{1} << 61;

[[noreturn]] void Refuse(const std::string& reason) {
  throw Error(ErrorCode::kInvalidArgument, StrCat("sampler: ", reason));
}

void CheckAtLeastOne(const char* name, std::uint64_t found, std::uint64_t most) {
  if (found < 1 || found > most) {
    Refuse(StrCat(name, ": expected 1 to ", most, " but found ", found));
  }
}

// Options that are for windows of rows.
void CheckUnit(const SamplerOptions& options) {
  if (options.unit == SampleUnit::kRow) {
    return;
  }
  const std::pair<const char*, bool> for_rows[] = {
      {"pad", options.pad != SamplePad::kNone},       {"lanes", options.lanes > 1},
      {"lane_by", !options.lane_by.empty()},          {"where", options.where.has_value()},
      {"exclude", !options.exclude.empty()},          {"require", !options.require.empty()},
      {"offsets", !options.offsets.empty()},          {"whole_segments", options.whole_segments},
      {"priorities", options.priorities.has_value()},
  };
  for (const auto& [name, given] : for_rows) {
    if (given) {
      Refuse(StrCat(name, ": expected windows of rows but found windows of values"));
    }
  }
}

void CheckExclude(const std::vector<RowRange>& exclude) {
  Row end = 0;
  for (std::size_t i = 0; i < exclude.size(); ++i) {
    const RowRange& range = exclude[i];
    if (range.begin < end || range.end <= range.begin) {
      Refuse(
          StrCat("exclude: expected rising ranges [begin, end) of rows that do not overlap, but "
                 "range ",
                 i, " is [", range.begin, ", ", range.end, ")",
                 i == 0 ? "" : StrCat(" after one that ends at ", end)));
    }
    end = range.end;
  }
}

void CheckTogether(const SamplerOptions& options) {
  const auto exclude_each_other = [](bool both, const char* one, const char* other) {
    if (both) {
      Refuse(StrCat("expected ", one, " or ", other, ", but both were given"));
    }
  };
  const bool padded = options.pad != SamplePad::kNone;
  const bool by_offsets = !options.offsets.empty();
  exclude_each_other(!options.lane_by.empty() && options.lanes > 1, "lane_by", "lanes");
  exclude_each_other(by_offsets && padded, "offsets", "pad");
  exclude_each_other(by_offsets && options.whole_segments, "offsets", "whole_segments");
  exclude_each_other(padded && options.whole_segments, "pad", "whole_segments");
  if (options.outside != SampleOutside::kSkip && !by_offsets) {
    Refuse("outside: expected offsets, which it is for, but there are none");
  }
  if (options.time_field && !by_offsets) {
    Refuse("time_field: expected offsets, which it is for, but there are none");
  }
  exclude_each_other(options.time_field && options.outside == SampleOutside::kShift, "time_field",
                     "outside 'shift'");
  if (options.tolerance_ns < 0 || options.tolerance_ns > kMostNanoseconds) {
    Refuse(StrCat("tolerance: expected nanoseconds in [0, ", kMostNanoseconds, "] but found ",
                  options.tolerance_ns));
  }
  if (options.priorities && !options.replacement) {
    Refuse("priorities: expected a sampler with replacement");
  }
  if (options.whole_segments && options.segment_by.empty()) {
    Refuse("whole_segments: expected segment_by, but the store has no segments without it");
  }
}

}  // namespace

void CheckSamplerOptions(const SamplerOptions& options) {
  if (!(options.whole_segments && options.length == 0)) {
    CheckAtLeastOne("length", options.length, kMostLength);
  }
  CheckAtLeastOne("batch_size", options.batch_size, kMostLength);
  CheckAtLeastOne("lanes", options.lanes, kMostLanes);
  CheckAtLeastOne("world_size", options.world_size, std::numeric_limits<std::int64_t>::max());
  if (options.rank >= options.world_size) {
    Refuse(StrCat("rank: expected [0, ", options.world_size, ") but found ", options.rank));
  }
  CheckUnit(options);
  if (options.priorities) {
    CheckPriorities(*options.priorities);
  }
  CheckTogether(options);
  CheckExclude(options.exclude);
}

void CheckSameFields(const std::vector<Reader>& stores) {
  if (stores.empty()) {
    Refuse("expected at least one store");
  }
  for (std::size_t i = 1; i < stores.size(); ++i) {
    if (!(stores[i].schema() == stores[0].schema())) {
      Refuse(StrCat("expected stores of equal fields but the fields of store ", i,
                    " differ from the fields of store 0: ",
                    DifferenceText(stores[0].schema(), stores[i].schema())));
    }
  }
}

void CheckOffsets(const Schema& schema, const SamplerOptions& options) {
  const std::int64_t most = options.time_field ? kMostNanoseconds : kMostOffset;
  for (std::size_t i = 0; i < options.offsets.size(); ++i) {
    const FieldOffsets& field = options.offsets[i];
    if (field.type >= schema.size()) {
      Refuse(StrCat("offsets: type id ", field.type, " is outside [0, ", schema.size(), ")"));
    }
    const std::string& name = schema[field.type].name;
    const auto same = [&](const FieldOffsets& other) { return other.type == field.type; };
    if (std::ranges::count_if(options.offsets, same) > 1) {
      Refuse(StrCat("offsets: expected different fields, but '", name, "' is given twice"));
    }
    if (field.offsets.empty() || field.offsets.size() > kMostLength) {
      Refuse(StrCat("offsets: expected 1 to ", kMostLength, " offsets of field '", name,
                    "' but found ", field.offsets.size()));
    }
    for (const std::int64_t offset : field.offsets) {
      if (offset < -most || offset > most) {
        Refuse(StrCat("offsets: expected offsets of field '", name, "' in [", -most, ", ", most,
                      "] but found ", offset));
      }
    }
  }
}

namespace {

// The rows that a window with offsets needs.
std::string OffsetsText(const SamplerOptions& options) {
  std::int64_t least = 0;
  std::int64_t most = 0;
  for (const FieldOffsets& field : options.offsets) {
    least = std::min(least, *std::ranges::min_element(field.offsets));
    most = std::max(most, *std::ranges::max_element(field.offsets));
  }
  if (options.outside == SampleOutside::kShift) {
    return StrCat(most - least + 1, " rows");
  }
  if (options.outside != SampleOutside::kSkip) {
    return "at least one row";
  }
  const char* unit = options.time_field ? " ns" : "";
  return StrCat("the rows ", least, " to ", most, unit, " relative to its anchor");
}

}  // namespace

std::string NeedText(const SamplerOptions& options) {
  const bool of_rows = options.unit == SampleUnit::kRow;
  std::string text =
      StrCat(options.length, " ", of_rows ? "row" : "value", options.length == 1 ? "" : "s");
  if (options.whole_segments) {
    text = options.length == 0 ? "a whole segment that has ended"
                               : StrCat("a whole segment that has ended, of at most ", text);
  } else if (!options.offsets.empty()) {
    text = OffsetsText(options);
  } else if (options.pad != SamplePad::kNone) {
    text = "at least one row";
  }
  text += options.segment_by.empty() || options.whole_segments ? "" : " of one segment";
  if (!options.lane_by.empty()) {
    text += " of one lane";
  } else if (options.lanes > 1) {
    text += StrCat(" of one of ", options.lanes, " lanes");
  }
  text += options.where ? ", where the bool field is true" : "";
  text += options.require.empty() ? "" : ", with the required fields";
  return text;
}

}  // namespace stream_store::internal
