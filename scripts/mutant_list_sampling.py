"""Bugs in segments, starts, epochs and samplers."""

from __future__ import annotations

from mutant_switch import Change, Mutant, change

MODEL, SAMPLER = "store_read_test:*ModelTest*", "store_read_test:WindowSamplerTest.*"
PERMUTATION = "store_read_test:*ermutation*"


def bug(name: str, *changes: Change, first: str = SAMPLER) -> Mutant:
    return Mutant(name, changes, (first, MODEL), "sampling")


_CUTS = "src/store/segment_cuts.cc"
_SEGMENTS = "src/store/segment_index.cc"
_STARTS = "src/store/starts.cc"
_WINDOW_STARTS = "src/store/window_starts.cc"
_SEGMENT_STARTS = "src/store/segment_starts.cc"
_BATCH = "src/store/window_batch.cc"
_SAMPLER = "src/store/sampler.cc"
_STATE = "src/store/sampler_state.cc"
_PERMUTATION = "src/store/permutation.cc"
_PY_SAMPLER = "python/convert/sampler.cc"
_PREFETCH = "python/convert/prefetch.cc"

MUTANTS = [
    # Segments.
    bug(
        "only the last of several bool fields ends a segment",
        change(_CUTS, "cut.ended || value != 0", "value != 0"),
    ),
    bug(
        "the first episode that is known begins a segment",
        change(
            "src/store/segment_cuts.h",
            "row.known && known_ && row.value != last_",
            "row.known && row.value != last_",
        ),
    ),
    bug(
        "a row without its episode begins one",
        change(
            "src/store/segment_cuts.h",
            "row.known && known_ && row.value != last_",
            "known_ && row.value != last_",
        ),
    ),
    bug(
        "segments of lanes begin at rows of the store",
        change(_SEGMENTS, "row / count", "row", within="begins.Add(row / count)"),
    ),
    bug(
        "a segment has one start too few",
        change(_SEGMENTS, "end - begin - rule.length + 1", "end - begin - rule.length"),
    ),
    bug(
        "the last start of values of a segment is missing",
        change(_SEGMENTS, "last - begin_position + 1", "last - begin_position"),
    ),
    bug(
        "the last row of a segment is no start",
        change(_SEGMENTS, "last_row - begin + 1", "last_row - begin"),
    ),
    bug(
        "an index of other lanes is shared",
        change(_SEGMENTS, "SegmentRules{types, lanes}", "SegmentRules{types, 1}"),
    ),
    bug(
        "an index of other fields is shared",
        change(_SEGMENTS, "SegmentRules{types, lanes}", "SegmentRules{{}, lanes}"),
    ),
    bug(
        "counts of another length are shared",
        change(_SEGMENTS, "counts->rule() == rule", "true"),
    ),
    bug(
        "an index of another store is shared",
        change(
            "src/store/shared_indexes.h",
            "!known.source.owner_before(source) && !source.owner_before(known.source)",
            "true",
        ),
    ),
    # Segments of stores that have dropped rows.
    bug(
        "an index that lacks rows is shared",
        change(_SEGMENTS, "index.complete_from() > reader.first_row()", "false"),
    ),
    bug(
        "counts that lack segments are shared",
        change(_SEGMENTS, "counts->complete_from() <= first_row", "true"),
    ),
    bug(
        "counts do not say from where on they are complete",
        change(
            _SEGMENTS,
            "counts.complete_from_ = std::max(counts.complete_from_, reader.first_row());",
        ),
    ),
    bug(
        "a change from a dropped row cuts",
        change(_SEGMENT_STARTS, "index_->AnyKnown(reader_, lane, first, cut)", "true"),
    ),
    bug(
        "the rest of a segment that was dropped in part is not sampled",
        change(
            _SEGMENT_STARTS, "StartsBetween(extent, first, segments.head_end)", "std::uint64_t{0}"
        ),
    ),
    bug(
        "a state whose rows were dropped is taken",
        change(_WINDOW_STARTS, "(extent.first_row < first)", "(false)"),
    ),
    # Starts.
    bug(
        "rows that count from the end count from the beginning",
        change(_WINDOW_STARTS, "row < 0 ? row + most : row", "row < 0 ? -row : row"),
    ),
    bug(
        "a last row that begins a segment joins the one before",
        change(
            _STARTS,
            "index_->NextBegins(reader_) ? LastRow::kBegins : LastRow::kJoins",
            "LastRow::kJoins",
        ),
    ),
    bug(
        "rows that became final are not looked at again",
        change(
            _STARTS,
            "extent.last_row == LastRow::kFinal && extent.rows == view().row_count",
            "true",
        ),
    ),
    bug(
        "rows that may still grow are sampled",
        change(_WINDOW_STARTS, "all || !whole_rows", "true"),
    ),
    bug(
        "a window of a lane reaches as far as one without lanes",
        change(_STARTS, "(length - 1) * options_.lanes", "(length - 1)"),
    ),
    bug(
        "the last window of rows does not start",
        change(
            _STARTS,
            "std::min(made.end_row, rows - reach)",
            "std::min(made.end_row, rows - reach - 1)",
        ),
    ),
    bug(
        "the last row that fits a window of values does not start one",
        change(
            _STARTS,
            "RowOfPosition(reader_, last) + 1",
            "RowOfPosition(reader_, last)",
        ),
    ),
    bug(
        "windows of values start after the last row",
        change(_STARTS, "std::min(last + 1, PositionOfRow(reader_, made.end_row))", "last + 1"),
    ),
    bug(
        "windows of values start before the first row",
        change(_STARTS, "PositionOfRow(reader_, made.first_row)", "0"),
    ),
    bug(
        "lanes share rows that do not divide evenly",
        change("src/store/segment_index.h", "(rows - lane - 1) / lanes + 1", "rows / lanes"),
    ),
    bug(
        "every lane has the last row of the store",
        change(_SEGMENT_STARTS, "(extent.rows - 1) % options_.lanes == lane", "true"),
    ),
    bug(
        "starts before a row go past the starts of its segment",
        change(_SEGMENT_STARTS, "std::min(starts, StartsBetween(extent, begin, end))", "starts"),
    ),
    bug(
        "starts of a lane before the first row are counted",
        change(_SEGMENT_STARTS, "before_end - segments.skipped", "before_end"),
    ),
    bug(
        "the first row is forgotten where there are segments",
        change(_SEGMENT_STARTS, "lanes[0].skipped", "0"),
    ),
    bug(
        "the first row is forgotten in lanes with segments",
        change(
            _SEGMENT_STARTS,
            "numbers[i] - begins[lane] + lanes[lane].skipped",
            "numbers[i] - begins[lane]",
        ),
    ),
    bug(
        "all lanes are read as the first",
        change(
            _SEGMENT_STARTS,
            "(begin + into) * options_.lanes + lane",
            "(begin + into) * options_.lanes",
        ),
    ),
    bug(
        "a padded window goes on past its segment",
        change(
            _STARTS,
            "std::min(options_.length, around.end - at)",
            "std::min(options_.length, RowsOfLane(lane, extent.rows) - at)",
        ),
    ),
    bug(
        "a window that is padded on the left lacks its last row",
        change(
            _STARTS,
            "std::min(options_.length, at - around.begin + 1)",
            "std::max<std::uint64_t>(1, std::min(options_.length, at - around.begin))",
        ),
    ),
    bug(
        "a padded window of a lane starts in another",
        change(_STARTS, "(count - 1) * lanes", "(count - 1)"),
    ),
    bug(
        "padded windows of all lanes have the shape of the first",
        change(
            _STARTS,
            "lane != lane_of_segments",
            "lane_of_segments == lanes",
            within="(lane != lane_of_segments) {\n        segments = SegmentsOf(extent, lane);\n"
            "        lane_of_segments = lane;\n      }\n      const std::uint64_t segment",
        ),
    ),
    bug(
        "empty places come after the rows of a window",
        change(
            _STARTS,
            "options_.pad == SamplePad::kLeft ? options_.length - count : 0",
            "0U",
        ),
    ),
    # Batches.
    bug(
        "windows of a store are taken to follow each other in the batch",
        change(
            _BATCH,
            "windows[i + count] == first + count",
            "windows[i + count] >= first + count",
        ),
        first=SAMPLER,
    ),
    bug(
        "rows of a lane lie side by side",
        change(_BATCH, "static_cast<Row>(i * lanes_)", "static_cast<Row>(i)"),
    ),
    bug(
        "padded rows begin at the first place",
        change(_BATCH, "(lead_.empty() ? 0 : lead_[window])", "0"),
    ),
    bug(
        "places after the rows of a window are valid",
        change(
            _BATCH,
            "clear(begin + lead_[i] + count_[i], length_ - lead_[i] - count_[i]);",
        ),
    ),
    bug(
        "the longest list is that of the last store",
        change(
            _BATCH,
            "std::max(longest, of_part)",
            "of_part",
        ),
    ),
    # Samplers.
    bug(
        "all ranks draw the same windows of an epoch",
        change(
            _SAMPLER,
            "begin * options_.world_size + options_.rank",
            "begin * options_.world_size",
        ),
        first=SAMPLER,
    ),
    bug(
        "all ranks draw the same random windows",
        change(
            _SAMPLER,
            "options_.rank",
            "0U",
            within="MixKeys(MixKeys(options_.seed, options_.rank), batches_)",
        ),
        first=SAMPLER,
    ),
    bug(
        "ranks leave windows over",
        change(
            _SAMPLER,
            "(starts - options_.rank - 1) / options_.world_size + 1",
            "starts / options_.world_size",
        ),
        first=SAMPLER,
    ),
    bug(
        "drop_last keeps a batch that is not full",
        change(
            _SAMPLER,
            "starts / options_.world_size / options_.batch_size * options_.batch_size",
            "starts / options_.world_size",
        ),
        first=SAMPLER,
    ),
    bug(
        "every epoch has the same order",
        change(_SAMPLER, "epoch_", "0U", within="0x65706f6368U), epoch_)"),
        first=SAMPLER,
    ),
    bug(
        "a restored epoch counts as a new one",
        change(
            _SAMPLER,
            "in_epoch_ = true;\n    return;",
            "in_epoch_ = true; ++epoch_; return;",
        ),
        first=SAMPLER,
    ),
    bug(
        "batches that were read ahead are lost",
        change(_SAMPLER, "batches_ -= prefetched_;"),
        first=SAMPLER,
    ),
    bug(
        "a state counts batches that were read ahead",
        change(_STATE, "batches_ - prefetched_", "batches_"),
        first=SAMPLER,
    ),
    bug(
        "an end that was read ahead stays",
        change(_SAMPLER, "finished_ = EndSeen();"),
        first=SAMPLER,
    ),
    bug(
        "a restored sampler keeps its seed",
        change(_STATE, "options_.seed = state.seed;"),
        first=SAMPLER,
    ),
    bug(
        "a state of another store is believed",
        change(_STATE, "id == reader.id()", "true"),
        first=SAMPLER,
    ),
    bug(
        "numbers of an epoch move while the store grows",
        change(
            _SAMPLER,
            "in_epoch_ || restored_ ? Total() : Refresh()",
            "Refresh()",
        ),
        first=SAMPLER,
    ),
    bug(
        "the length of an epoch is that of the store",
        change(_SAMPLER, "under_way ? Total() : NumStarts()", "NumStarts()"),
        first=SAMPLER,
    ),
    # Order.
    bug(
        "a permutation reaches one place too far",
        change(_PERMUTATION, "place >= size_", "place > size_", within="} while (place >= size_);"),
        change(
            _PERMUTATION, "place >= size_", "place > size_", within="    while (place >= size_) {"
        ),
        first=PERMUTATION,
    ),
    bug(
        "a permutation meets a place twice",
        change(_PERMUTATION, "row + (less ? 1 : 0)", "row"),
        first=PERMUTATION,
    ),
    bug(
        "a short shuffle swaps with any place",
        change(_PERMUTATION, "RandomBelow(key, i, i + 1)", "RandomBelow(key, i, size)"),
        first=PERMUTATION,
    ),
    bug(
        "a permutation of few ranks takes neighbours",
        change(_PERMUTATION, "first + i * stride", "first + i"),
        first=SAMPLER,
    ),
    # The sampler of Python.
    bug(
        "the end of an epoch counts before it was handed out",
        change(_PY_SAMPLER, "!more", "false", within="(more ? 1 : 0), !more"),
        change(_PREFETCH, "drained_", "false", within="size() - 1, drained_"),
        first="test_sampler_state.py",
    ),
    bug(
        "a new iterator begins after the batches that a prefetch read",
        change(_PY_SAMPLER, "interop::ReturnPrefetched(*core_);"),
        first="test_sampler_state.py",
    ),
    bug(
        "a batch that is read ahead counts as handed out",
        change(
            _PY_SAMPLER,
            "interop::Prefetched(sampler) + (more ? 1 : 0)",
            "interop::Prefetched(sampler)",
        ),
        first="test_sampler_sharing.py",
    ),
    bug(
        "sample() passes by the batches that a prefetch has read",
        change(
            _PY_SAMPLER,
            "prefetch_ != nullptr && prefetch_->forked()",
            "prefetch_ != nullptr",
        ),
        first="test_sampler_sharing.py",
    ),
    bug(
        "an older iterator of an epoch goes on",
        change(_PY_SAMPLER, "++iteration_;"),
        first="test_sampler_sharing.py",
    ),
    bug(
        "a state loaded during an epoch leaves its iterators running",
        change(_PY_SAMPLER, "options_.replacement ? 0 : 1", "0"),
        first="test_sampler_sharing.py",
    ),
    bug(
        "a prefetch hands out what it read before a state was loaded",
        change(_PY_SAMPLER, "prefetch_ = nullptr;", within="prefetch_ = nullptr;\n  return_ahead_"),
        first="test_sampler_sharing.py",
    ),
    bug(
        "starts that count from the end are shifted by one",
        change(
            _PY_SAMPLER,
            "number < 0 ? number + starts : number",
            "number < 0 ? number + starts - 1 : number",
        ),
        first="test_window_dataset.py",
    ),
]
