"""Bugs in the walk over an unsynced tail with several threads: its tests must catch them."""

from __future__ import annotations

from mutant_switch import Change, Mutant, change, insert

_WALK = "src/storage/tail_walk.cc"


def bug(name: str, *changes: Change) -> Mutant:
    return Mutant(name, changes, ("storage_test:TailWalk*",), "opening")


MUTANTS = [
    bug(
        "ranges after a damaged one are recovered",
        change(
            _WALK,
            "range.fault != nullptr",
            "false",
            within="if (range.fault != nullptr) {\n        return range.fault;",
        ),
    ),
    bug(
        "records of the last sync are walked if fewer are published",
        change(
            _WALK,
            "cursor.records >= limit",
            "cursor.records == limit",
            within="if (options.threads == 1 || cursor.records >= limit) {",
        ),
    ),
    bug(
        "field-writes of earlier ranges are not counted",
        change(_WALK, "cursor.field_writes += before.field_writes;"),
    ),
    bug(
        "layouts of earlier ranges are not counted",
        change(
            _WALK,
            "std::max(before.layout_words, range.end.layout_words)",
            "range.end.layout_words",
        ),
    ),
    bug(
        "a range begins without the row before it",
        insert(_WALK, "return Counted(cursor);", "cursor.follows_record = false;"),
    ),
    bug(
        "a range begins after a record whose values no file has",
        change(_WALK, "record.start > most", "false"),
    ),
    bug(
        "records that cannot be read end the recovered rows",
        change(_WALK, "std::rethrow_exception(range.error);", "return nullptr;"),
    ),
    bug(
        "a thread that cannot be started is an error",
        insert(_WALK, "break;  // the ranges are taken by the threads that there are", "throw;"),
    ),
    bug(
        "threads are started for short tails",
        change(_WALK, "BytesBetween(first, cursor) < options.serial_bytes", "false"),
    ),
    bug(
        "all threads but one leave the ranges to the caller",
        change(_WALK, "TakeRanges(*verifier);"),
    ),
]
