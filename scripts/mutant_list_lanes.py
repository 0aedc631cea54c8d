"""Bugs in lanes by key, rows that are left out, offsets and whole segments."""

from __future__ import annotations

from mutant_switch import Change, Mutant, change

LANES = "store_read_test:*Lane*"
PIPES = "base_test:*BlockPipe*"
SETS = "store_read_test:RowSetTest.*"
_MODEL, _GROWS = "test_windows_are_those_of_the_model", "test_a_store_that_grows_and_drops_rows"
# A part of the random cases, which take minutes altogether.
MODEL = " ".join(
    [f"test_lanes.py::{_MODEL}[{seed}]" for seed in range(6)]
    + [f"test_lanes.py::{_GROWS}[{seed}]" for seed in range(4)]
)


def bug(name: str, *changes: Change, first: str = LANES) -> Mutant:
    return Mutant(name, changes, (first, MODEL), "lanes")


_INDEX = "src/store/lane_index.cc"
_INDEX_H = "src/store/lane_index.h"
_PIPE = "src/base/block_pipe.h"
_STARTS = "src/store/indexed_starts.cc"
_ROWS = "src/store/indexed_rows.cc"
_TIMED = "src/store/timed_offsets.cc"
_SHARED = "src/store/shared_indexes.h"
_SET = "src/store/row_set.cc"
_TABLE = "src/store/lane_table.cc"
_SCAN = "src/store/row_scan.cc"
_PLACES = "src/store/window_places.cc"

MUTANTS = [
    # Keys of lanes.
    bug(
        "keys are the same lane if their first word is",
        change(_TABLE, "words[i] != key[i]", "words[0] != key[0]"),
    ),
    bug(
        "the guessed lane is not compared with the key",
        change(_TABLE, "Is(guess, key)", "true"),
    ),
    bug(
        "a table that has grown has lost its lanes",
        change(_TABLE, "lane < count_", "lane + 1 < count_"),
    ),
    bug(
        "a row without a key field has that of an earlier row",
        change(_SCAN, "(present >> word & 1) == 0", "false"),
    ),
    bug(
        "a row without a key field is in the lane of 0",
        change(_SCAN, "static_cast<Value>(present)", "static_cast<Value>(0)"),
    ),
    # The facts of rows.
    bug(
        "a row without `where` is kept",
        change(_SCAN, "facts.kept = !fields_.where", "facts.kept = true"),
    ),
    bug(
        "one of the required fields is enough",
        change(_SCAN, "required == fields_.require.size()", "required > 0"),
    ),
    bug(
        "only the last of several cutting fields ends a segment of a lane",
        change(_SCAN, "facts.cut.ended || value != 0", "value != 0"),
    ),
    # The index.
    bug(
        "a range of excluded rows has one row more",
        change(
            _INDEX,
            "static_cast<std::uint64_t>(exclude[excluded_].end) <= row",
            "static_cast<std::uint64_t>(exclude[excluded_].end) < row",
        ),
    ),
    bug(
        "rows that are left out do not end their segment",
        change(_INDEX, "(lane.segments[count - 1].dead != 0) != dead", "false"),
    ),
    bug(
        "a segment that ends is followed by a dead one",
        change(_INDEX, "lane.segments.at(count - 1).dead = dead ? 1 : 0;", ""),
    ),
    bug(
        "the last row of an episode does not end it before the next row comes",
        change(
            _INDEX,
            "lane.segments.Add({.begin = (at + 1) & kMostAt, .dead = 0, .ended = 1});",
            "lane.segments.Add({.begin = (at + 1) & kMostAt, .dead = 0, .ended = 0});",
        ),
    ),
    bug(
        "only the first rows of a block are entered",
        change(_INDEX, "block = block.subspan(std::min(block.size(), kTogether))", "block = {}"),
    ),
    bug(
        "the rows before a corrupt one are not entered",
        change(_PIPE, "++filled_;", "filled_ += more ? 1 : 0;"),
        first=PIPES,
    ),
    bug(
        "a corrupt row ends the reading of rows without an error",
        change(_PIPE, "failed || error_", "failed"),
        first=PIPES,
    ),
    bug(
        "rows of a lane that come later than asked for count",
        change(_INDEX, "row >= this->rows()", "true"),
    ),
    bug(
        "an index of other rules is shared",
        change(_SHARED, "!same_source || known.rules != rules", "!same_source"),
    ),
    bug(
        "an index of another store is shared by lanes",
        change(_SHARED, "!same_source || known.rules != rules", "known.rules != rules"),
        first="test_lanes.py::test_several_stores",
    ),
    # Anchors.
    bug(
        "a window needs one row more than it has",
        change(
            _STARTS,
            "std::max(rows.begin, enough) - after_",
            "std::max(rows.begin, enough + 1) - after_",
        ),
    ),
    bug(
        "windows that are moved inside miss the first rows of a segment",
        change(_STARTS, "rows.begin > enough ? rows.begin : begin", "rows.begin"),
    ),
    bug(
        "the last row of a lane is left out if many rows come at once",
        change(_STARTS, "RowsBefore(lane, part_end)", "RowsBefore(lane, part_end - 1)"),
    ),
    bug(
        "rows that come at once begin again with the first one of the lane",
        change(_STARTS, "++current;", "current = segments.size() - 1;"),
    ),
    bug(
        "whole segments are drawn before they have ended",
        change(_STARTS, "HasEnded(segments, segment, rows.end)", "true"),
    ),
    bug(
        "whole segments may be longer than the length",
        change(_STARTS, "end - std::min(begin, end) <= options_.length", "true"),
    ),
    bug(
        "anchors keep rows that were dropped before them",
        change(_STARTS, "std::min(rows.begin + before_, rows.end)", "rows.begin"),
    ),
    bug(
        "anchors without the required fields are drawn",
        change(_STARTS, "index_->HasRequired(row)", "true"),
    ),
    # Windows.
    bug(
        "the last row of a window may be in the next segment",
        change(
            _ROWS,
            "anchor + most < static_cast<std::int64_t>(bounds.end)",
            "anchor + most <= static_cast<std::int64_t>(bounds.end)",
        ),
    ),
    bug(
        "the first row of a window may be in the segment before",
        change(
            _ROWS,
            "anchor + least >= static_cast<std::int64_t>(bounds.begin)",
            "anchor + least + 1 >= static_cast<std::int64_t>(bounds.begin)",
        ),
    ),
    bug(
        "windows are moved by one row too few",
        change(_ROWS, "lacking_before", "lacking_before - 1", within="? lacking_before :"),
    ),
    bug(
        "repeated rows are marked as valid",
        change(_ROWS, "valid = at >= begin && at < end", "valid = true"),
    ),
    bug(
        "consecutive rows at other places are one run",
        change(_PLACES, "place == last.place + last.count", "true"),
    ),
    # Sets of rows.
    bug(
        "the rank of a row counts the row itself",
        change(
            _SET,
            "(std::uint64_t{1} << bit % kWordBits) - 1",
            "(std::uint64_t{2} << bit % kWordBits) - 1",
        ),
        first=SETS,
    ),
    bug(
        "rows of the block of a dropped row stay",
        change(
            _SET,
            "past >= kWordBits ? 0 : ~std::uint64_t{0} << past",
            "past >= kWordBits ? 0 : ~std::uint64_t{0}",
        ),
        first=SETS,
    ),
    bug(
        "counts before a removed row are kept",
        change(
            _SET,
            "first_changed_ = std::min(first_changed_, (row - base_) / kBlockRows);",
            "",
        ),
        first=SETS,
    ),
    # Rows by time.
    bug(
        "of two rows that are equally near, the later one is taken",
        change(
            _TIMED,
            "distance_of(found - 1) <= distance_of(found)",
            "distance_of(found - 1) < distance_of(found)",
        ),
        first="test_seconds.py",
    ),
    bug(
        "of rows at the same time, the last one is taken",
        change(_TIMED, "found = first_from(time_of(found - 1))", "found = found - 1"),
        first="test_seconds.py",
    ),
    bug(
        "a row at the tolerance is outside",
        change(_TIMED, "distance_of(found) <= tolerance_", "distance_of(found) == 0"),
        first="test_seconds.py",
    ),
    bug(
        "an anchor is decided before the rows that it needs",
        change(_TIMED, "index.TimeAt(rows.lane, rows.end - 1) >= from", "true"),
        first="test_seconds.py",
    ),
    bug(
        "anchors whose earlier rows were dropped stay",
        change(_TIMED, "from < index.TimeAt(rows.lane, rows.begin)", "false"),
        first="test_seconds.py",
    ),
    bug(
        "a time that falls is accepted",
        change(_INDEX, "continues && time < before", "false"),
        first="test_seconds.py",
    ),
    bug(
        "rows that are left out need a time",
        change(_INDEX, "!wrong_time_ && segment.dead == 0", "!wrong_time_"),
        first="test_seconds.py",
    ),
    bug(
        "a wrong time that was dropped is still in the way",
        change(_INDEX, "wrong_time_ && wrong_time_->row < first_row", "false"),
        first="test_seconds.py",
    ),
    bug(
        "milliseconds are taken for microseconds",
        change("src/store/row_times.cc", "return 1'000'000;", "return 1'000;"),
        first="test_seconds.py",
    ),
]
