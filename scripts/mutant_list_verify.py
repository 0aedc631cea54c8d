"""Bugs in the verification of stores, above all beside a writer, and in the caches of layouts."""

from __future__ import annotations

from mutant_switch import Change, Mutant, change

LIVE = "storage_test:VerifyLive*"
VERIFY = "storage_test:Verify*"
CACHE = "store_read_test:*LayoutCache*"


def bug(name: str, *changes: Change, first: str = LIVE) -> Mutant:
    return Mutant(name, changes, (first,), "verify")


_CONTROL = "src/store/verify_control.cc"
_DROP = "src/store/verify_drop.cc"
_SCAN = "src/store/verify_scan.h"
_FILES = "src/storage/damaged_files.cc"
_CACHE = "src/store/layout_cache.h"

MUTANTS = [
    # Beside a writer that drops rows.
    bug(
        "files that are dropped during the walk are damage",
        change(
            _DROP,
            "!files_.FollowDrop([this](Finding finding) { Add(std::move(finding)); })",
            "true",
        ),
    ),
    bug(
        "after a drop, the walk goes on in the old files",
        change(_DROP, "verifier = RecordVerifier(files_.verifier_parts());"),
    ),
    bug(
        "after a drop, field-writes are counted from where they were counted before",
        change(_DROP, "writes_before_slot_.reset();"),
    ),
    bug(
        "after a drop, the valid prefix still begins with dropped rows",
        change(_DROP, "good_ = cursor_;"),
    ),
    bug(
        "files that are dropped while they are opened are damage",
        change(_FILES, "RowsWereDropped()", "false", within="while (RowsWereDropped()) {"),
    ),
    bug(
        "files that are dropped while they are listed end the list",
        change(_FILES, "NewestBegin().records <= newest.records", "true"),
    ),
    # The sums of the slots.
    bug(
        "the field-writes of dropped rows are not counted",
        change(
            _CONTROL,
            "slot_->begin.field_writes + cursor_.field_writes - *writes_before_slot_",
            "cursor_.field_writes - *writes_before_slot_",
        ),
        first=VERIFY,
    ),
    bug(
        "the field-writes of a slot are not compared",
        change(
            _CONTROL,
            """expect(72, "field-writes",
           slot_->begin.field_writes + cursor_.field_writes - *writes_before_slot_,
           slot_->field_writes);""",
        ),
        first=VERIFY,
    ),
    bug(
        "a run of records passes over the begin of the slot",
        change(_SCAN, "i < place ? std::min(end, place) : end", "end"),
        first=VERIFY,
    ),
    bug(
        "the values of a slot are not compared",
        change(_CONTROL, 'expect(48, "values", cursor_.values, slot_->values);'),
        first=VERIFY,
    ),
    bug(
        "a slot in the place of the other one is not noticed",
        change(_CONTROL, "(slots_[at]->sequence & 1) != at", "false"),
        first=VERIFY,
    ),
    bug(
        "bytes that must be zero are not checked",
        change(_CONTROL, "bad != bytes.end()", "false"),
        first=VERIFY,
    ),
    # Layouts.
    bug(
        "a cache returns what it keeps for another layout",
        change(
            _CACHE,
            "layout == wanted",
            "true",
            within="used && layout == wanted && mapping_key",
        ),
        first=CACHE,
    ),
    bug(
        "a cache returns what it keeps for another store",
        change(
            _CACHE,
            "mapping_key == view.mapping_key",
            "true",
            within="layout == wanted && mapping_key == view.mapping_key",
        ),
        first=CACHE,
    ),
    bug(
        "a cache keeps an entry that could not be made",
        change(_CACHE, "used = false;", within="used = false;  // until the entry is complete"),
        first=CACHE,
    ),
    bug(
        "a cache never grows",
        change(_CACHE, "bits_ < kMostBits", "false"),
        first=CACHE,
    ),
    bug(
        "a cache grows without a limit",
        change(_CACHE, "std::min(bits_ + 2, kMostBits)", "bits_ + 2"),
        first=CACHE,
    ),
]
