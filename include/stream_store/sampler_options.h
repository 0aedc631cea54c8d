// The options of a WindowSampler (sampler.h).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "stream_store/priorities.h"
#include "stream_store/types.h"

namespace stream_store {

/// The unit that the length of a window counts.
enum class SampleUnit : std::uint8_t {
  kValue,  ///< a window is `length` consecutive values
  kRow,    ///< a window is `length` consecutive rows
};

/// Where windows of values may start. Windows of rows always start at a row.
enum class SampleAlign : std::uint8_t {
  kAny,  ///< at every value
  kRow,  ///< at the first value of a row; for an empty row that is the next row's first value
};

/// How windows that would reach beyond the ends of their segment are treated.
enum class SamplePad : std::uint8_t {
  kNone,   ///< only windows that lie inside their segment are sampled
  kRight,  ///< a window starts at every row; places beyond the end of the segment are empty
  kLeft,   ///< a window ends at every row; places before the first row of the segment are empty
};

/// The rule for offsets of a window that lead outside the segment of the anchor.
enum class SampleOutside : std::uint8_t {
  kSkip,   ///< such anchors are not sampled
  kEdge,   ///< the nearest row of the segment, which is marked as not valid
  kZero,   ///< an empty place
  kShift,  ///< the whole window is moved inside; segments that are too short are not sampled
};

/// Rows [begin, end).
struct RowRange {
  Row begin = 0;
  Row end = 0;

  friend bool operator==(const RowRange&, const RowRange&) = default;
};

/// The rows that a window has of one field, relative to the anchor of the window: -1 is the row
/// before the anchor in its lane. With `time_field`, nanoseconds relative to the time of the anchor.
struct FieldOffsets {
  TypeId type = 0;
  std::vector<std::int64_t> offsets = {};

  friend bool operator==(const FieldOffsets&, const FieldOffsets&) = default;
};

/// The options of a WindowSampler.
///
/// Windows of rows lie in one lane and one segment each. The anchor of a window is the row that
/// `offsets` are relative to; without offsets it is the first row of the window, with
/// SamplePad::kLeft the last one, and with whole_segments the first row of the segment.
struct SamplerOptions {
  /// Values or rows in a window, in [1, 2^32). Not used with offsets. With whole_segments, segments
  /// of more rows are not sampled, and windows are padded to this length; 0 sets no limit, and
  /// windows are padded to the longest one of their batch.
  std::uint64_t length = 1;

  /// Whether `length` counts values or rows.
  SampleUnit unit = SampleUnit::kValue;

  /// Where windows of values may start.
  SampleAlign align = SampleAlign::kAny;

  /// Windows in a batch, in [1, 2^32).
  std::uint64_t batch_size = 1;

  /// Whether windows are drawn with replacement (call Sample()), or without replacement in epochs
  /// (call BeginEpoch() and Next()).
  bool replacement = true;

  /// Decides all random choices, together with the rank, the epoch and the number of the batch.
  std::uint64_t seed = 0;

  /// The fields that mark segments, as for Reader::Segments(); no window crosses from one segment
  /// into the next. If empty, the whole store is one segment.
  std::vector<TypeId> segment_by = {};

  /// Padding is for windows of rows only.
  SamplePad pad = SamplePad::kNone;

  /// How many regular streams are interleaved, such as the environments of a vector environment:
  /// row r belongs to lane r mod lanes, and a window holds rows of one lane only. In [1, 65536];
  /// more than 1 is for windows of rows only.
  std::uint64_t lanes = 1;

  /// The int fields whose values name the lane of a row, in place of `lanes`: all rows with the same
  /// values are one lane, in their order. A row that lacks a field belongs to the lane of those that
  /// lack it, too. For windows of rows, like all options from here to whole_segments.
  ///
  /// Cost: 12 to 16 bytes of memory for each row, shared by all samplers of a store with equal
  /// lane_by, lanes, segment_by, where, exclude and require; each row is read once.
  std::vector<TypeId> lane_by = {};

  /// A bool field: rows where it is false or missing are in no window, and end their segment.
  std::optional<TypeId> where = {};

  /// Rows that are in no window, and end their segment. The ranges must rise and not overlap.
  std::vector<RowRange> exclude = {};

  /// Anchors whose row lacks one of these fields are not sampled.
  std::vector<TypeId> require = {};

  /// Which rows of each field a window has. Only these fields can be read from the batches. Offsets
  /// are in (-2^31, 2^31), with time_field in [-2^61, 2^61].
  std::vector<FieldOffsets> offsets = {};

  /// The rule for `offsets` that lead outside the segment. kShift is not for time_field.
  SampleOutside outside = SampleOutside::kSkip;

  /// The field with the time of each row: a float in seconds, a timestamp or a duration. `offsets` are
  /// nanoseconds then, and lead to the row of the segment whose time is nearest, the earlier of two;
  /// they lead outside if it is further away than the tolerance. Rows that may be in a window need a
  /// time, and times must not fall within a segment: otherwise calls throw Error(kInvalidArgument).
  ///
  /// Cost: 8 bytes of memory for each row, beside those of lane_by.
  std::optional<TypeId> time_field = {};

  /// In nanoseconds, not negative. The default is that of LeRobot's delta_timestamps.
  std::int64_t tolerance_ns = 100'000;

  /// Each window is a whole segment that has ended, followed by empty places. The
  /// rest of a segment whose first rows were dropped counts as a segment.
  bool whole_segments = false;

  /// Draws by priority; see Priorities. For windows of rows, drawn with replacement. With several
  /// ranks, each draws from its own share of the starts, in which it alone changes priorities.
  ///
  /// Cost: 18 bytes of memory for each row, beside those of lane_by.
  std::optional<Priorities> priorities = {};

  /// Windows start at rows [first_row, last_row); with SamplePad::kLeft they end there. In
  /// general it is their anchors that are in these rows. Negative
  /// numbers count from the number of rows at the time of the call, and both are clamped to
  /// [0, number of rows]. Without last_row there is no upper bound.
  Row first_row = 0;
  std::optional<Row> last_row = {};

  /// This process among `world_size` that train together, in [0, world_size). Without replacement
  /// the ranks share the windows of an epoch; with replacement they draw independently.
  std::uint64_t rank = 0;
  std::uint64_t world_size = 1;

  /// Whether an epoch leaves out a last batch that is not full, so that all ranks have equally many
  /// batches.
  bool drop_last = false;
};

}  // namespace stream_store
