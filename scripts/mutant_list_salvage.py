"""Bugs in repair, which salvages the rows that are intact."""

from __future__ import annotations

from mutant_switch import Change, Mutant, change

_SALVAGE = "src/store/salvage.cc"
_GAP = "src/store/salvage_gap.cc"
_COPIER = "src/storage/record_copier.cc"
_COPY = "src/storage/copy.cc"


def bug(name: str, *changes: Change) -> Mutant:
    return Mutant(name, changes, ("storage_test:SalvageTest.*:CopyTest.*",), "durability")


MUTANTS = [
    bug(
        "repair copies a row without its damaged record before the gap",
        change(_GAP, "first != Says::kBetween && first != Says::kAfter", "false"),
    ),
    bug(
        "repair copies a row without its damaged record after the gap",
        change(_GAP, "last != Says::kBetween && last != Says::kBefore", "false"),
    ),
    bug(
        "repair copies a row with a gap inside it",
        change(_GAP, "return {.before = true, .after = true};", "return {};"),
    ),
    bug(
        "repair loses complete rows beside a gap",
        change(_GAP, "damaged == RowsBetween(run)", "false"),
    ),
    bug(
        "a zeroed record says which row it was of",
        change(_GAP, "AllZeros(record)", "false"),
    ),
    bug(
        "repair takes records of another session after the last sync",
        change(_SALVAGE, "session != static_cast<std::uint16_t>(extent_.slot->session)", "false"),
    ),
    bug(
        "repair takes records of an earlier session without slots",
        change(_SALVAGE, "static_cast<std::int16_t>(session - session_) < 0", "false"),
    ),
    bug(
        "repair forgets the rows lost at the end",
        change(_SALVAGE, "slot ? rows - cursor_.rows : kept ? 1 : 0", "0"),
    ),
    bug(
        "a gap that is not listed extends the last one",
        change(_SALVAGE, "count_ == gaps_.size()", "true"),
    ),
    bug(
        "a salvaged record keeps its checksum",
        change(
            _COPIER,
            "return FinishChecksum(after);",
            "return verified.record.checksum;",
        ),
    ),
    bug(
        "a salvaged record keeps its row",
        change(
            _COPIER,
            "copy.record.row_session = (verified.record.row_session & ~kRowMask) | row;",
        ),
    ),
    bug(
        "a copy may lie inside its source",
        change(_COPY, "std::filesystem::equivalent(above, source.path, ignored)", "false"),
    ),
]
