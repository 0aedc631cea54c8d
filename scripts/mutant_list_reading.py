"""Bugs in reads: windows, positions, rows, look-ups, and copies of untrusted files."""

from __future__ import annotations

from mutant_switch import Change, Mutant, change

READ, SAFE = "store_read_test", "storage_test:SafeReadsTest.*"
ROWS = "test_row_numbers.py"


def bug(name: str, *changes: Change, first: str = READ) -> Mutant:
    return Mutant(name, changes, (first,), "reading")


_WINDOWS = "src/store/windows.cc"
_GATHER = "src/store/gather.cc"
_ROWS = "src/store/rows.cc"
_READER = "src/store/row_reader.h"
_KERNELS = "src/store/row_kernels.cc"
_INDEX = "src/store/index.cc"
_LOCATE = "src/storage/locate.cc"
_GUESS = "src/storage/record_hints.h"
_SAFE = "src/storage/safe_copy.cc"
_AHEAD = "src/storage/read_ahead.cc"
_ROW_NUMBERS = "python/convert/row_numbers.cc"

MUTANTS = [
    # Pages that are requested in advance.
    bug(
        "requests of pages end with the first batch that does not wait",
        change(_AHEAD, "++thread_.calm_batches == kCalmBatches", "true"),
    ),
    bug(
        "a batch that waits does not begin a new row of calm ones",
        change(
            _AHEAD, "thread_.calm_batches = 0;", within="sleeps) {\n    thread_.calm_batches = 0;"
        ),
    ),
    bug(
        "a thread that waits again has only the rest of its calm batches",
        change(
            _AHEAD, "thread_.calm_batches = 0;", within="= true;\n    thread_.calm_batches = 0;"
        ),
    ),
    # Windows of values.
    bug(
        "a repeated column is read past its period",
        change(_WINDOWS, "count <= layout.total - skip", "count <= layout.total"),
    ),
    bug(
        "rows of a window keep skipping after the first record",
        change(_WINDOWS, "skip = 0;", within="done += part;\n    skip = 0;"),
    ),
    bug(
        "a long record is copied past the end of its window",
        change(
            _WINDOWS,
            "std::min(total - skip, fill.width - fill.done)",
            "total - skip",
        ),
    ),
    bug(
        "an offset in a long record counts from the window",
        change(_WINDOWS, "first - begin + i", "first - skip + i"),
    ),
    bug(
        "a number of a long record is of another value",
        change(_WINDOWS, "values[first - skip + i]", "values[first - begin + i]"),
    ),
    bug(
        "wide stores of steps pass the end of the output",
        change(
            _WINDOWS, "room - kGroups * kWide", "room", within="width - 1, room - kGroups * kWide)"
        ),
    ),
    bug(
        "the first record of a window counts as a whole",
        change(
            _WINDOWS, "run.total - run.skip", "run.total", within="done += run.total - run.skip;"
        ),
    ),
    bug(
        "records of another layout join a run",
        change(_WINDOWS, "LoadOnce(run.record->layout) == run.layout", "true"),
    ),
    bug(
        "a window starts at its first record",
        change(
            _WINDOWS, "fill.start - run.start", "0", within="run.skip = fill.start - run.start;"
        ),
    ),
    bug(
        "the values before a window are skipped in every run of it",
        change(
            _WINDOWS,
            "run.skip = 0;",
            within="run.total == 0);\n    run.skip = 0;",
        ),
    ),
    bug(
        "the last window may store as far as the first",
        change(
            _WINDOWS,
            "(batch.starts.size() - i) * batch.width",
            "batch.starts.size() * batch.width",
        ),
    ),
    # Scattered positions.
    bug(
        "the position after a record is looked for in it",
        change(
            _GATHER,
            "position(i) - current.start >= current.total",
            "position(i) - current.start > current.total",
        ),
    ),
    bug(
        "rising positions are taken for neighbours",
        change(
            _GATHER,
            "positions[end] == positions[end - 1] + 1",
            "positions[end] > positions[end - 1]",
        ),
    ),
    bug(
        "a run is recognised by its ends only",
        change(
            _GATHER,
            "return end - at;",
            "for (std::uint64_t last = positions.size(); last > at + 1; --last) {"
            "  if (positions[last - 1] - positions[at] =="
            "      static_cast<Position>(last - 1 - at)) { return last - at; } }"
            "return end - at;",
        ),
        change(_GATHER, "run >= kLeastRun", "run >= 3"),
    ),
    bug(
        "a run among scattered positions is put elsewhere",
        change(_GATHER, "out.From(i)", "out.From(scattered)"),
    ),
    bug(
        "the position after the last one is allowed",
        change(
            "src/store/checks.cc",
            "static_cast<std::uint64_t>(position) >= view.value_count",
            "static_cast<std::uint64_t>(position) > view.value_count",
        ),
    ),
    bug(
        "the offset of a scattered value counts from its record",
        change(_GATHER, "skip - begin", "skip", within="place = {type, skip - begin};"),
    ),
    # Rows.
    bug(
        "a second record of the last row of a run is forgotten",
        change(
            _READER,
            "cursor.row + rows - 1",
            "~std::uint64_t{0}",
        ),
    ),
    bug(
        "columns of mixed rows take each other's words",
        change(_READER, "&sources_[column * kMostRows]", "&sources_[0]"),
    ),
    bug(
        "a second record of a row hides the fields of the first",
        change(_READER, "part.units >= 0 ? part.units : source->units", "part.units"),
    ),
    bug(
        "a second record of a row loses the words of the first",
        change(
            _READER,
            "source->words",
            "columns_[column].missing.words",
            within="Choose(part.units, values + part.begin, source->words)",
        ),
    ),
    bug(
        "runs of rows mark the first places as present",
        change(_ROWS, "run.place", "0", within="reader.MarkPresent(run.place, run.count);"),
    ),
    bug(
        "steps of empty places are written to the first places",
        change(_ROWS, "steps + place", "steps", within="std::fill_n(steps + place, count, 0);"),
    ),
    bug(
        "the longest list counts the row after the window",
        change(
            _ROWS,
            "RowOfRecord(LoadOnce(words.row_session)) >= end_row",
            "RowOfRecord(LoadOnce(words.row_session)) > end_row",
        ),
    ),
    bug(
        "a window of rows may end one row after the store",
        change(
            "src/store/checks.cc",
            "static_cast<std::uint64_t>(row) - view.first_row > kept - length",
            "static_cast<std::uint64_t>(row) - view.first_row > kept - length + 1",
        ),
    ),
    bug(
        "a long list is not cut at the room for it",
        change(
            _KERNELS,
            "std::min(units, room.most_units) * room.unit_words",
            "units * room.unit_words",
        ),
    ),
    bug(
        "a list that lacks one item keeps what was in its place",
        change(_KERNELS, "units < room.most_units", "units + 1 < room.most_units"),
    ),
    bug(
        "short lists of floats are stored past the last row",
        change(
            _KERNELS,
            "i < rows && i * room.place_bytes + stored_bytes <= room_bytes",
            "i < rows",
        ),
    ),
    bug(
        "a NaN among floats is narrowed by the processor",
        change(_KERNELS, "std::isnan(real)", "false"),
    ),
    bug(
        "float16 is read like an integer",
        change(_KERNELS, "encoding.dtype != DType::kFloat16", "true"),
    ),
    bug(
        "present flags of mixed rows are those of the first row",
        change(
            "src/store/row_columns.cc",
            "sources[i].units >= 0 ? 1 : 0",
            "sources[0].units >= 0 ? 1 : 0",
        ),
    ),
    bug(
        "spans count lists, not words",
        change(
            "src/store/row_columns.cc",
            "units * column.room.unit_words",
            "units",
            within="{sources[i].words, units * column.room.unit_words}",
        ),
    ),
    bug(
        "plans of other fields are used again",
        change(
            "src/store/row_plans.cc",
            "std::ranges::equal(types, types_)",
            "types.size() == types_.size()",
        ),
    ),
    bug(
        "plans of another store are used again",
        change("src/store/row_plans.cc", "mapping_key_ == view.mapping_key", "true"),
    ),
    bug(
        "a field that is asked for twice is read once",
        change("src/store/row_plans.cc", "column = next_same_type_[column]", "column = kNone"),
    ),
    # Numbers.
    bug(
        "the word of a packed value is taken for a float",
        change(
            "src/store/template_cache.cc",
            "return NumberKind::kInteger;",
            "return NumberKind::kFloat;",
            within="if (encoding.packed) {\n    return NumberKind::kInteger;",
        ),
    ),
    bug(
        "an uint64 above 2^63 is a negative number",
        change(
            "src/store/template_cache.cc",
            "encoding.dtype == DType::kUInt64 ? NumberKind::kOther : NumberKind::kInteger",
            "NumberKind::kInteger",
        ),
    ),
    bug(
        "numbers that are read one by one begin at the wrong field",
        change("src/store/number.cc", "skip", "0", within="std::uint64_t phase = skip;"),
    ),
    # Look-ups.
    bug(
        "a walk over rows takes one row too many",
        change(_INDEX, "cursor_.RowHere() >= end_row_", "cursor_.RowHere() > end_row_"),
    ),
    bug(
        "all fields of a row have the values of the first",
        change(_INDEX, "start + places[i].first", "start"),
    ),
    bug(
        "the search for a position is content with any record before it",
        change(_LOCATE, "(record + 1 == count || after(record + 1))", "true"),
    ),
    bug(
        "the search for a row finds its last record",
        change(_LOCATE, "(record == begin || row_at(record - 1) < row)", "true"),
    ),
    bug(
        "the upper bound of a step is its lower bound",
        change(_LOCATE, "after ? found > step : found >= step", "found >= step"),
    ),
    bug(
        "the guess for a row is believed",
        change(
            _GUESS,
            "(at == view.begin_record || "
            "RowOfRecord(LoadOnce(view.records[at - 1].row_session)) < row)",
            "true",
        ),
    ),
    bug(
        "hints that fall are believed",
        change(_GUESS, "hi < lo || gap >= kMaxRows", "false"),
    ),
    bug(
        "the last row of a snapshot may still grow",
        change("src/store/reader.cc", "view.rows_final = true;"),
    ),
    bug(
        "a snapshot follows its store",
        change("src/store/reader.cc", "!fixed_", "true", within="if (!fixed_) {"),
    ),
    # Copies of files that may change.
    bug(
        "a long layout is copied in part",
        change(_SAFE, "wanted > there", "false"),
        first=SAFE,
    ),
    bug(
        "a hint of a position is believed",
        change(
            _SAFE,
            "(record == last || ReadRecord(files_, record + 1).start > place)",
            "true",
        ),
        first=SAFE,
    ),
    bug(
        "a hint of a row is believed",
        change(_SAFE, "(record == begin || row_of(record - 1) < row)", "true"),
        first=SAFE,
    ),
    bug(
        "borders inside a window are not copied",
        change(_SAFE, "PositionBorder(between);"),
        first=SAFE,
    ),
    bug(
        "the records next to a range are not copied",
        change(
            _SAFE,
            "std::min(range.end + 2, view_.record_count)",
            "std::min(range.end, view_.record_count)",
        ),
        first=SAFE,
    ),
    bug(
        "the last values of a run of rows are not copied",
        change(
            _SAFE,
            "FirstOfRow(begin + run.count, range.begin, range.end)",
            "FirstOfRow(begin + run.count - 1, range.begin, range.end)",
        ),
        first=SAFE,
    ),
    bug(
        "merged ranges end where the second one ends",
        change(
            _SAFE,
            "std::max(ranges[kept - 1].end, ranges[i].end)",
            "ranges[i].end",
        ),
        first=SAFE,
    ),
    bug(
        "a file that was cut short reads as zeros",
        change(_SAFE, "there != out.size()", "false"),
        first=SAFE,
    ),
    bug(
        "the newest slot of a dead writer counts as durable",
        change(
            "src/storage/read_source.cc",
            "newest.records == control.durable().load(std::memory_order_acquire)",
            "newest.records >= control.durable().load(std::memory_order_acquire)",
        ),
        first="storage_test:DurabilityTest.*",
    ),
    bug(
        "with a torn slot beside the newest one, nothing is durable",
        change("src/storage/read_source.cc", "other.value_or(newest)", "other.value_or(Slot{})"),
        first="storage_test:DurabilityTest.*",
    ),
    bug(
        "a store that is opened confirms a slot that may not be on disk",
        change(
            "src/storage/open.cc",
            "!sync_interrupted",
            "true",
            within="if (!sync_interrupted) {\n    control.durable()",
        ),
        first="storage_test:DurabilityTest.*",
    ),
    # Rows by number, in Python.
    bug(
        "a slice of rows begins at row 0 although that was dropped",
        change(_ROW_NUMBERS, "slice.from_front && slice.step > 0", "false"),
        first=ROWS,
    ),
    bug(
        "a slice that runs backwards reaches the rows that were dropped",
        change(_ROW_NUMBERS, "slice.from_front && first > 0", "false"),
        first=ROWS,
    ),
    bug(
        "row -num_rows is out of range",
        change(_ROW_NUMBERS, "row >= -end", "row > -end"),
        first=ROWS,
    ),
]
