"""Bugs in dropping rows, in the limits that demand it, and in waiting for disk space."""

from __future__ import annotations

from mutant_switch import Change, Mutant, change

_DROPS = ("storage_test:ChunkDropTest.*",)
_SPACE = ("storage_test:FreedSpaceTest.*",)


def bug(name: str, *changes: Change, first: tuple[str, ...] = _DROPS) -> Mutant:
    return Mutant(name, changes, first, "durability")


MUTANTS = [
    bug(
        "a recovery deletes chunks that the slot on disk counts",
        change(
            "src/storage/open.cc",
            "sync_interrupted",
            "false",
            within="if (sync_interrupted) {\n    files.control.WriteSlot(newest);",
        ),
    ),
    bug(
        "the slot of a drop counts no row",
        change(
            "src/storage/durability.cc",
            "begin.records < newest_.records",
            "begin.records <= newest_.records",
        ),
    ),
    bug(
        "a reader with safe reads does not see that missing files were dropped",
        change(
            "src/storage/read_source.cc",
            "files_->control.Refresh();",
            within="files_->control.Refresh();\n  return LoadBegin() != seen;",
        ),
    ),
    bug(
        "a failed sync of the drop in a close is not reported",
        change(
            "src/store/store_impl.h",
            "writer->failed() ? std::optional(error) : std::nullopt",
            "std::optional<Error>()",
        ),
    ),
    bug(
        "rows are dropped before new limits are known",
        change("src/store/store_impl.h", "drops && limits.limited()", "limits.limited()"),
        first=("test_bounded.py",),
    ),
    bug(
        "an idle writer keeps the rows that were dropped",
        change("src/store/auto_drop.cc", "dropped_ != nullptr", "false"),
        first=("test_bounded.py",),
    ),
    bug(
        "an append does not wait for the space of dropped rows",
        change("src/storage/appender.cc", "!wait.Pause(error)", "true"),
        first=_SPACE,
    ),
    bug(
        "an append waits at a disk that is full for another reason",
        change("src/base/freed_space.cc", "!(coming || freed_.Within(kLongest))", "false"),
        first=_SPACE,
    ),
    bug(
        "an append does not wait for rows that are being dropped",
        change("src/base/freed_space.cc", "freed_.coming()", "false"),
        first=_SPACE,
    ),
    bug(
        "an append waits where it may not",
        change("src/base/freed_space.cc", "!WaitPermit::Ask()", "false"),
        first=_SPACE,
    ),
]
