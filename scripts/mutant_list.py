"""The bugs that the crash tests must catch; scripts/mutants.py applies them, one at a time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """A bug: in `file`, each `old` (found there once) becomes its `new`."""

    name: str
    file: str
    edits: tuple[tuple[str, str], ...]
    first: str = "cpp/storage/storage_test"  # the test that is tried first
    threads: bool = False  # only ThreadSanitizer can see it


STEP, POWER, FAULT, KILL = (
    f"crash/crash_{name}_test" for name in ("step", "power", "fault", "kill")
)


def one(
    name: str,
    file: str,
    old: str,
    new: str = "",
    first: str = "cpp/storage/storage_test",
    *,
    threads: bool = False,
) -> Mutant:
    return Mutant(name, file, ((old, new),), first, threads)


_PUBLISH = "    published_.store(cursor_.records, std::memory_order_release);  // step 8\n"
_SYNC = "    files_->{}.file().SyncData();\n"

MUTANTS = [
    Mutant(
        "publish before the record",
        "src/storage/append.cc",
        (
            ("  StoreRecord(staged, cursor_.records);\n  MoveCursor", "  MoveCursor"),
            (_PUBLISH, _PUBLISH + "  StoreRecord(staged, cursor_.records - 1);\n"),
        ),
        first=STEP,
    ),
    one(
        "relaxed publish",
        "src/storage/append.cc",
        _PUBLISH,
        _PUBLISH.replace("release", "relaxed"),
        threads=True,
    ),
    one(
        "publish of many before their records",
        "src/storage/append_many.cc",
        "  StorePrepared(steps, cursor_, /*flipped=*/0);\n",
        "  published_.store(at.records, std::memory_order_release);\n"
        "  StorePrepared(steps, cursor_, /*flipped=*/0);\n",
        first=STEP,
    ),
    one(
        "publish of an import before its checks",
        "src/storage/stage.cc",
        "  for (std::uint64_t record = cursor_.records; record < stage_.records; ++record) {\n",
        "  published_.store(stage_.records, std::memory_order_release);\n"
        "  for (std::uint64_t record = cursor_.records; record < stage_.records; ++record) {\n",
        first=STEP,
    ),
    Mutant(
        "staged records look like appended ones",
        "src/storage/stage.cc",
        (
            ("/*flipped=*/~std::uint32_t{0}", "/*flipped=*/0"),
            ("    records_[record].check = ~records_[record].check;\n", "    (void)record;\n"),
        ),
        first=POWER,
    ),
    Mutant(
        "slot before the data's flush",
        "src/storage/durability.cc",
        (
            (_SYNC.format("values"), ""),
            (
                "    slot_sequence_ = slot.sequence;\n",
                "    slot_sequence_ = slot.sequence;\n" + _SYNC.format("values"),
            ),
        ),
        first=POWER,
    ),
    one("layouts not flushed", "src/storage/durability.cc", _SYNC.format("layouts"), first=POWER),
    one("records not flushed", "src/storage/durability.cc", _SYNC.format("records"), first=POWER),
    one(
        "slot not flushed",
        "src/storage/durability.cc",
        "      control.WriteSlot(slot);\n      control.file().SyncData();\n",
        "      control.WriteSlot(slot);\n",
        first=POWER,
    ),
    one(
        "layouts of an earlier session written again",
        "src/storage/recover.cc",
        ".layout_words = slot.layout_words,",
        ".layout_words = 1,",
        first=POWER,
    ),
    one(
        "digest left out of the check",
        "src/format/check.h",
        "layout | static_cast<std::uint64_t>(digest) << 32",
        "layout | static_cast<std::uint64_t>(digest) * 0",
        first=POWER,
    ),
    one(
        "values left out of the check",
        "src/storage/hot.h",
        "ExtendCheck(BeginStagedCheck(staged), begin, staged.total)",
        "ExtendCheck(BeginStagedCheck(staged), begin, 0)",
        first=POWER,
    ),
    Mutant(
        "records of any session believed",
        "src/storage/recover.cc",
        (
            ("return SessionOfRecord(record.row_session) == session;",
             "return (void)record, (void)session, true;"),
            ("SessionOfRecord(seen.record.row_session) != session", "false"),
        ),
        first=POWER,
    ),
    one("no session numbers", "src/storage/open.cc", "  session += 1;\n", first=POWER),
    one(
        "a refused call leaves a record",
        "src/storage/append.cc",
        "      [[unlikely]] {\n    *verdict = Refuse(Verdict::Rule::kValue, bad_write, 0, bad);\n",
        "      [[unlikely]] {\n"
        "    staged.check = FinishCheck(ExtendCheck(\n"
        "        BeginStagedCheck(staged), values_ + staged.start, staged.total));\n"
        "    StoreRecord(staged, cursor_.records);\n"
        "    published_.store(cursor_.records + 1, std::memory_order_release);\n"
        "    *verdict = Refuse(Verdict::Rule::kValue, bad_write, 0, bad);\n",
        first=POWER,
    ),
    one("retry of a failed sync", "src/storage/durability.cc", "    failed_.store(true);\n"),
    one(
        "appends go on after a failed sync",
        "src/storage/durability.cc",
        "    failed_.store(true);\n  }\n  DropLimits();\n",
        "    failed_.store(true);\n  }\n",
    ),
    one(
        "history not raised",
        "src/storage/open.cc",
        "    control.history().fetch_add(1, std::memory_order_release);\n",
    ),
    one(
        "trimmed below the published end",
        "src/storage/durability.cc",
        "files_->values.Truncate(at.values * sizeof(Value));",
        "files_->values.Truncate(at.values * sizeof(Value) / 2);",
        first=POWER,
    ),
    one(
        "the older slot chosen",
        "src/format/control.cc",
        "second->sequence > first->sequence ? second : first",
        "second->sequence < first->sequence ? second : first",
        first=POWER,
    ),
    Mutant(
        "fallback to the older slot when the newer does not fit",
        "src/storage/recover.cc",
        (
            ("  const Slot& slot = result.slot;\n  CheckSlotFits(files, image, slot);\n",
             "  Slot& slot = result.slot;\n"
             "  if (slot.records > image.record_capacity() ||\n"
             "      slot.values > image.value_capacity()) {\n"
             "    slot = files.control.ReadSlot(static_cast<int>(~slot.sequence & 1), slot.id)\n"
             "               .value_or(slot);\n  }\n"
             "  CheckSlotFits(files, image, slot);\n"),
        ),
        first=POWER,
    ),
    one(
        "open record in one slot only",
        "src/storage/durability.cc",
        "WriteDurable(cursor_, /*clean=*/false, /*both_slots=*/true);",
        "WriteDurable(cursor_, /*clean=*/false, /*both_slots=*/false);",
        first=POWER,
    ),
    one(
        "no open record",
        "src/storage/durability.cc",
        "    WriteDurable(cursor_, /*clean=*/false, /*both_slots=*/true);\n",
        first=POWER,
    ),
    one(
        "a sync under way is not marked",
        "src/storage/durability.cc",
        "  control.state().store(kLiveSyncing, std::memory_order_release);\n",
        first=POWER,
    ),
    one(
        "pages of a failed sync not dirtied again",
        "src/storage/open.cc",
        "    DirtyUnsynced(files, recovered.slot, recovered.cursor);\n",
        first=POWER,
    ),
    one(
        "a doubtful slot is believed",
        "src/storage/open.cc",
        "  opened.options.slot_doubtful = doubtful;\n",
        first=POWER,
    ),
    one(
        "no sentinel after recovery",
        "src/storage/open.cc",
        "  records[cursor.records].start = cursor.values;\n",
        first=POWER,
    ),
    one(
        "`published` believed after a power cut",
        "src/storage/open.cc",
        "  control.published().store(recovered.cursor.records, std::memory_order_release);\n",
        first=POWER,
    ),
    one(
        "recovery walks without checks",
        "src/storage/image.h",
        "if (CheckOf(*record, layout, values) != record->check ||",
        "if ((CheckOf(*record, layout, values) != record->check && false) ||",
        first=POWER,
    ),
    one(
        "the tail below the slot is not verified",
        "src/storage/recover.cc",
        "  VerifyTail(files, image, slot);\n",
    ),
    one(
        "old records not zeroed when session numbers come around",
        "src/storage/durability.cc",
        "if (options_.session >> 16 != slot_session_ >> 16) {",
        "if (options_.session >> 32 != slot_session_ >> 32) {",
        first=POWER,
    ),
    one(
        "a forked child keeps the lock",
        "src/storage/writer.cc",
        "  if (files_->lock.is_open()) {\n    files_->lock.Close();\n  }\n",
        first=KILL,
    ),
    one(
        "a forked child may append",
        "src/storage/writer.cc",
        "  forked_.store(true, std::memory_order_relaxed);\n  DropLimits();\n",
    ),
    one(
        "growth counts more than is allocated",
        "src/storage/growth.cc",
        "std::min(files_->values.bytes() / sizeof(Value), covered);",
        "std::min(files_->values.bytes() / sizeof(Value) + 4096, covered + 4096);",
    ),
    one(
        "space not looked at before the first store",
        "src/storage/append.cc",
        "    MakeRoom(staged.start + staged.total, cursor_.records + 2, cursor_.layout_words);\n",
        "    MakeRoom(staged.start, cursor_.records + 2, cursor_.layout_words);\n",
    ),
    one(
        "a full disk is not asked for less",
        "src/storage/data_file.cc",
        "if (error.code() != ErrorCode::kNoSpace || (needed >= bytes && reached < needed)) {",
        "if (reached < bytes) {",
    ),
    one(
        "interrupted calls not made again",
        "src/base/retry.h",
        "errno == EINTR",
        "errno == 0",
        first=FAULT,
    ),
    one(
        "descriptors left open",
        "src/base/file.cc",
        "  sys().close(std::exchange(fd_, -1));",
        "  std::exchange(fd_, -1);",
        first=FAULT,
    ),
    one(
        "file size limit not looked at",
        "src/base/file.cc",
        "limit.rlim_cur == RLIM_INFINITY || size <= limit.rlim_cur",
        "limit.rlim_cur != 1",
    ),
    one(
        "leftovers not removed",
        "src/storage/create.cc",
        "        RemoveLeftover(sibling);\n",
        "        (void)RemoveLeftover;\n",
        first=FAULT,
    ),
    one(
        "close says clean before it is",
        "src/storage/durability.cc",
        "      WriteDurable(at, /*clean=*/true, /*both_slots=*/false);\n      Trim(at);\n",
        "      Trim(at);\n      WriteDurable(at, /*clean=*/true, /*both_slots=*/false);\n",
        first=POWER,
    ),
    one(
        "background sync counts field-writes wrongly",
        "src/storage/durability.cc",
        "    counted_writes_ += WordType(",
        "    counted_writes_ += 1 + 0 * WordType(",
    ),
    one(
        "safe reads without the values",
        "src/storage/safe_copy.cc",
        "    ReadAll(files_.values.file(), ",
        "    if (range.begin > 64) ReadAll(files_.values.file(), ",
    ),
]  # fmt: skip
