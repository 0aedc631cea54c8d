"""Bugs in bringing a checkpoint up to date."""

from __future__ import annotations

from mutant_switch import Change, Mutant, change

_UPDATE = "src/storage/copy_update.cc"
_RANGE = "src/storage/copy_range.cc"


def bug(name: str, *changes: Change) -> Mutant:
    tests = ("checkpoint_update_test:CheckpointUpdate*",)
    return Mutant(name, changes, tests, "durability")


MUTANTS = [
    bug(
        "an update does not compare the last record",
        change(_UPDATE, "end == from_.records && same(end - 1)", "end == from_.records"),
    ),
    bug(
        "an update does not compare the last values",
        change(
            _UPDATE,
            "std::memcmp(copy.values(at, count), verifier_.values(at, count),\n"
            "                                 count * sizeof(Value)) != 0",
            "false",
        ),
    ),
    bug(
        "an update writes over rows that only the checkpoint has",
        change(_UPDATE, "CheckPlaces();", within="if (apart_) {\n      CheckPlaces();"),
    ),
    bug(
        "an update takes the copy of another store",
        change(_UPDATE, "copy.parent != ours.id", "false"),
    ),
    bug(
        "the slot of an update counts what is not synced",
        change(
            _UPDATE, "SyncKinds(apart_ ? FirstBytes(begin_) : ContentBytes(EndsOf(from_)));", ";"
        ),
    ),
    bug(
        "the session of an update may be one that its records have",
        change(
            _UPDATE,
            "std::max(opened_.start.session, SessionOf(source_))",
            "opened_.start.session",
        ),
    ),
    bug(
        "an update drops rows before its slot says so",
        change(
            _UPDATE,
            "    WriteSlot(end, begin_);",
            "    files_.UnlinkBetween(old, begin_);\n    WriteSlot(end, begin_);",
        ),
    ),
    bug(
        "an update keeps the space of what it could not finish",
        change(_UPDATE, "      GiveBack();\n", ""),
    ),
    bug(
        "an update does not verify what it wrote",
        change(_RANGE, "(cursor.records < records)", "(false)"),
    ),
    bug(
        "a checkpoint that begins with a chunk lacks the chunk before",
        change(_RANGE, "file.Size() < needed", "false"),
    ),
]
