#include "store/limits.h"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>
#include <vector>

#include "stream_store/error.h"

#include "base/str_cat.h"
#include "store/segment_cuts.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kUnlimited = Options::kUnlimited;

void Merge(const std::optional<std::uint64_t>& wanted, std::uint64_t& limit) {
  if (wanted) {
    limit = *wanted == kUnlimited ? 0 : *wanted;
  }
}

// Sets the fields that cut segments, in the order of their type ids.
void SetSegmentBy(const std::vector<std::string>& names, const Schema& schema, Retention& limits) {
  if (names.size() > Retention::kMaxSegmentFields) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("segment_by: expected at most ", Retention::kMaxSegmentFields,
                       " fields but found ", names.size()));
  }
  std::vector<TypeId> types;
  for (const std::string& name : names) {
    const auto type = schema.find(name);
    if (!type) {
      throw Error(ErrorCode::kInvalidArgument,
                  StrCat("segment_by: expected a field of the store but found '", name, "'"));
    }
    types.push_back(*type);
  }
  std::ranges::sort(types);
  CheckCutFields(schema, types);
  limits.segment_count = static_cast<std::uint16_t>(types.size());
  limits.segment_by = {};
  std::ranges::copy(types, limits.segment_by.begin());
}

}  // namespace

void CheckLimits(const Options& options) {
  for (const auto& [name, limit] : {std::pair{"retain_rows", options.retain_rows},
                                    {"retain_bytes", options.retain_bytes},
                                    {"retain_segments", options.retain_segments}}) {
    if (limit && *limit == 0) {
      throw Error(ErrorCode::kInvalidArgument, StrCat(name, ": expected at least 1 but found 0"));
    }
  }
  if (options.chunk_bytes != 0 && !IsChunkSize(options.chunk_bytes)) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("chunk_bytes: expected a power of two from ", SmallestChunkBytes(), " to ",
                       kMaxChunkBytes, " but found ", options.chunk_bytes));
  }
}

std::uint64_t ChunkBytesOf(const Options& options) noexcept {
  if (options.chunk_bytes != 0) {
    return options.chunk_bytes;
  }
  if (!options.retain_bytes || *options.retain_bytes == kUnlimited) {
    return kDefaultChunkBytes;
  }
  const std::uint64_t share =
      std::bit_floor(std::max<std::uint64_t>(*options.retain_bytes / 32, 1));
  return std::clamp(share, kMinChunkBytes, kMaxChunkBytes);
}

Retention LimitsOf(const Options& options, const Retention& stored, const LimitedStore& store) {
  Retention limits = stored;
  Merge(options.retain_rows, limits.rows);
  Merge(options.retain_bytes, limits.bytes);
  Merge(options.retain_segments, limits.segments);
  if (!options.segment_by.empty()) {
    SetSegmentBy(options.segment_by, store.schema, limits);
  }
  if (limits.segments != 0 && limits.segment_count == 0) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat(store.path,
                       ": retain_segments needs segment_by: the fields that "
                       "tell where a segment begins"));
  }
  if (limits.bytes != 0 && limits.bytes < store.chunk_bytes) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat(store.path, ": retain_bytes: expected at least the ", store.chunk_bytes,
                       " bytes of a chunk but found ", limits.bytes));
  }
  return limits;
}

Options ExactLimits(const stream_store::Retention& retention) {
  Options options;
  options.retain_rows = retention.rows;
  options.retain_bytes = retention.bytes;
  options.retain_segments = retention.segments;
  options.segment_by = retention.segment_by;
  CheckLimits(options);
  return options;
}

stream_store::Retention PublicLimits(const Retention& stored, const Schema& schema) {
  const auto limit = [](std::uint64_t number) {
    return number == 0 ? std::nullopt : std::optional(number);
  };
  stream_store::Retention limits{
      .rows = limit(stored.rows), .bytes = limit(stored.bytes), .segments = limit(stored.segments)};
  for (std::uint16_t i = 0; i < stored.segment_count; ++i) {
    if (stored.segment_by[i] < schema.fields().size()) {
      limits.segment_by.push_back(schema.fields()[stored.segment_by[i]].name);
    }
  }
  return limits;
}

}  // namespace stream_store::internal
