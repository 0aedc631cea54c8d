"""Bugs in append, growth, sync and recovery: the crash tests must catch them."""

from __future__ import annotations

from mutant_switch import Change, Mutant, change, insert

BASE, STORAGE, STEP, POWER, FAULT, KILL = (
    "base_test",
    "storage_test",
    *(f"crash_{name}_test" for name in ("step", "power", "fault", "kill")),
)


def bug(name: str, *changes: Change, first: str = STORAGE, threads: bool = False) -> Mutant:
    return Mutant(name, changes, (first,), "durability", threads)


_APPEND, _MANY = "src/storage/appender.cc", "src/storage/extend.cc"
_STAGE, _DURABILITY = "src/storage/stage.cc", "src/storage/durability.cc"
_RECOVER, _OPEN = "src/storage/recover.cc", "src/storage/open.cc"
_CREATE, _CAPACITY = "src/storage/create.cc", "src/storage/capacity.cc"
_WALK = "src/storage/tail_walk.cc"
_GROWTH, _DATA_FILE = "src/storage/growth.cc", "src/storage/data_file.cc"

_PUBLISH = "published_.store(cursor_.records, std::memory_order_release);"
_SYNC_KIND = "range.Sync(std::min(std::max(from, file.files().begin()), to), to, file.path());"
_COVERED_VALUES = (
    "std::min(\n"
    "              {files_.values.bytes() / sizeof(Value), covered(files_.position_hints), "
    "kMaxValues})"
)
_BEGIN_SYNC = (
    "void Durability::WriteDurable(const Cursor& at, bool clean, bool both_slots) {\n"
    "  files_.control.state().store(kLiveSyncing, std::memory_order_release);"
)
_SYNC_AND_SLOT = (
    "SyncFiles(at);\n    WriteSlots(MakeSlot(files_.identity().id, slot_.session, at, clean),"
)
_READ_VALUES = "ReadAll(files_.values, values_.Items(range.begin, range.end), range.begin);"
_OPEN_RECORD = "WriteDurable(at, /*clean=*/false, /*both_slots=*/true);"

MUTANTS = [
    bug(
        "publish before the record",
        change(_APPEND, "StoreRecord(decided, cursor_.records);"),
        change(_APPEND, _PUBLISH, _PUBLISH + " StoreRecord(decided, cursor_.records - 1);"),
        first=STEP,
    ),
    bug(
        "relaxed publish",
        change(_APPEND, _PUBLISH, _PUBLISH.replace("release", "relaxed")),
        threads=True,
    ),
    bug(
        "publish of many before their records",
        insert(
            _MANY,
            "StorePrepared(steps, cursor_, /*flipped=*/0);",
            "published_.store(at.records, std::memory_order_release);",
        ),
        first=STEP,
    ),
    bug(
        "publish of an import before its checks",
        insert(
            _STAGE,
            "for (std::uint64_t record = cursor_.records; record < stage_.records; ++record) {",
            "published_.store(stage_.records, std::memory_order_release);",
        ),
        first=STEP,
    ),
    bug(
        "staged records look like appended ones",
        change(_STAGE, "~std::uint32_t{0}", "0U"),
        change(_STAGE, "~data_.records[record].checksum", "data_.records[record].checksum"),
        first=POWER,
    ),
    bug(
        "slot before the data's flush",
        change(_DURABILITY, "SyncFiles(at);", within=_SYNC_AND_SLOT),
        insert(_DURABILITY, 'files_.CheckInPlace(clean ? "close" : "sync");', "SyncFiles(at);"),
        first=POWER,
    ),
    bug(
        "layouts not flushed",
        change(_DURABILITY, _SYNC_KIND, "if (kind != Kind::kLayouts) { " + _SYNC_KIND + " }"),
        first=POWER,
    ),
    bug(
        "records not flushed",
        change(_DURABILITY, _SYNC_KIND, "if (kind != Kind::kRecords) { " + _SYNC_KIND + " }"),
        first=POWER,
    ),
    bug(
        "only the first chunk of a sync flushed",
        change("src/base/chunk_range.cc", "at = next;", "at = end;"),
        first=BASE,
    ),
    bug(
        "part of a page at the end of a sync not flushed",
        change(
            "src/base/mapping.cc",
            "std::min(PageUp(part.begin + part.bytes), size_)",
            "(part.begin + part.bytes) & ~(PageBytes() - 1)",
        ),
        first=BASE,
    ),
    bug(
        "failed flush of a mapping not noticed",
        change(
            "src/base/mapping.cc",
            "return sys().msync(data_ + begin, end - begin, MS_SYNC);",
            "return std::max(0, sys().msync(data_ + begin, end - begin, MS_SYNC));",
        ),
        first=BASE,
    ),
    bug(
        "chunks counted before their names are on disk",
        change(_DURABILITY, "files_.directory().Sync();"),
        first=POWER,
    ),
    bug(
        "chunks deleted before the slot of a drop",
        insert(_DURABILITY, "WriteBegin(begin, at);", "files_.UnlinkBetween(old, begin);"),
        first=POWER,
    ),
    bug(
        "begin missing from the slot",
        change(
            _DURABILITY,
            "slot.begin = begin_;",
            within="slot.sequence = slot_.sequence;\n  slot.begin = begin_;",
        ),
        first=POWER,
    ),
    bug(
        "chunks that must leave at the end stay mapped",
        change(
            "src/base/chunk_range.cc",
            "space_.Unmap(PartOf(chunk, mapped_end_));",
        ),
        first=BASE,
    ),
    bug(
        "failed growth counted if it cannot be undone",
        change(
            _DATA_FILE,
            "bytes_.store(old_bytes, std::memory_order_relaxed);",
            within="ShortenTo(old_bytes);\n    bytes_.store(old_bytes, std::memory_order_relaxed);",
        ),
        first=FAULT,
    ),
    bug(
        "slot not flushed",
        change(
            _DURABILITY,
            "control.SyncSlots();",
            within="control.WriteSlot(slot);\n    control.SyncSlots();",
        ),
        first=POWER,
    ),
    bug(
        "layouts of an earlier session written again",
        change(_RECOVER, "slot.layout_words", "1U", within=".layout_words = slot.layout_words,"),
        first=POWER,
    ),
    bug(
        "digest left out of the check",
        change(
            "src/format/checksum.h",
            "static_cast<std::uint64_t>(digest) << 32",
            "std::uint64_t{0}",
            within="layout | static_cast<std::uint64_t>(digest) << 32",
        ),
        first=POWER,
    ),
    bug(
        "values left out of the check",
        change(
            "src/storage/appender_inline.h",
            "decided.total",
            "0U",
            within="ExtendChecksum(BeginDecidedChecksum(decided), begin, decided.total)",
        ),
        first=POWER,
    ),
    bug(
        "records of any session believed",
        change(_WALK, "SessionOfRecord(record.row_session) == session", "true"),
        change(_WALK, "SessionOfRecord(verified.record.row_session) != session", "false"),
        first=POWER,
    ),
    bug(
        "no session numbers",
        change(
            "src/storage/store_files.h",
            "(session + 1) % (1 << 16) == 0 ? session + 2 : session + 1",
            "session",
        ),
        first=POWER,
    ),
    bug(
        "a refused call leaves a record",
        insert(
            _APPEND,
            "*refusal = Refuse(Refusal::Rule::kValue, bad_write, 0, bad);",
            "decided.checksum = FinishChecksum(ExtendChecksum("
            "BeginDecidedChecksum(decided), data_.values + decided.start, decided.total));"
            "StoreRecord(decided, cursor_.records);"
            "published_.store(cursor_.records + 1, std::memory_order_release);",
        ),
        first=POWER,
    ),
    bug("retry of a failed sync", change("src/storage/writer_status.cc", "failed_.store(true);")),
    bug(
        "appends go on after a failed sync",
        change(_CAPACITY, "DropLimits();", within="status_.SetFailed(error);\n  DropLimits();"),
    ),
    bug(
        "history not raised",
        change(_OPEN, "control.truncations().fetch_add(1, std::memory_order_release);"),
    ),
    bug(
        "trimmed below the published end",
        change(
            _CAPACITY,
            "std::min(content[Index(kind)], files_.data(kind).bytes())",
            "std::min(content[Index(kind)], files_.data(kind).bytes()) / 2",
        ),
        first=POWER,
    ),
    bug(
        "the older slot chosen",
        change(
            "src/format/control.cc",
            "second->sequence > first->sequence",
            "second->sequence < first->sequence",
        ),
        first=POWER,
    ),
    bug(
        "fallback to the older slot when the newer does not fit",
        insert(
            _RECOVER,
            "CheckSlotFits(files, verifier, slot);",
            "if (slot.records > verifier.record_capacity() ||"
            "    slot.values > verifier.value_capacity()) {"
            "  result.slot = files.control.ReadSlot("
            "      static_cast<int>(~slot.sequence & 1), slot.id).value_or(result.slot); }",
        ),
        first=POWER,
    ),
    bug(
        "open record in one slot only",
        change(_DURABILITY, "true", "false", within=_OPEN_RECORD),
        first=POWER,
    ),
    bug("no open record", change(_DURABILITY, _OPEN_RECORD), first=POWER),
    bug(
        "a sync under way is not marked",
        change(
            _DURABILITY,
            "files_.control.state().store(kLiveSyncing, std::memory_order_release);",
            within=_BEGIN_SYNC,
        ),
        first=POWER,
    ),
    bug(
        "pages of a failed sync not dirtied again",
        change(_OPEN, "DirtyUnsynced(files, recovered.slot, recovered.cursor);"),
        first=POWER,
    ),
    bug(
        "a doubtful slot is believed",
        change(_OPEN, "sync_interrupted", "false", within="= sync_interrupted}"),
        first=POWER,
    ),
    bug(
        "no sentinel after recovery",
        change(_OPEN, "records[cursor.records].start = cursor.values;"),
        first=POWER,
    ),
    bug(
        "`published` believed after a power cut",
        change(
            _OPEN,
            "control.published().store(recovered.cursor.records, std::memory_order_release);",
        ),
        first=POWER,
    ),
    bug(
        "recovery walks without checks",
        change(
            "src/storage/record_verifier.h",
            "ChecksumOf(*record, layout, values) != record->checksum",
            "ChecksumOf(*record, layout, values) != record->checksum && false",
        ),
        first=POWER,
    ),
    bug(
        "the tail below the slot is not verified",
        change(_RECOVER, "VerifyTail(files, verifier, slot);"),
    ),
    bug(
        "old records not zeroed when session numbers come around",
        change(
            _DURABILITY,
            "session_ >> 16 != 0",
            "session_ >> 32 != 0",
        ),
        first=POWER,
    ),
    bug(
        "a forked child keeps the lock",
        change("src/storage/writer.cc", "files_->lock.is_open()", "false"),
        first=KILL,
    ),
    bug(
        "a forked child may append",
        change("src/storage/writer.cc", "status_.SetForked();"),
        change(_CAPACITY, "DropLimits();", within="ForkedChild() noexcept {\n  DropLimits();"),
    ),
    bug(
        "growth counts more than is allocated",
        change(
            _CAPACITY,
            _COVERED_VALUES,
            _COVERED_VALUES + " + 4096",
        ),
    ),
    bug(
        "space not looked at before the first store",
        change(
            _APPEND,
            "decided.start + decided.total",
            "decided.start",
            within="MakeRoom(decided.start + decided.total, cursor_.records + 2,",
        ),
    ),
    bug(
        "a full disk is not asked for less",
        change(_GROWTH, "error.code() != ErrorCode::kNoSpace", "true"),
    ),
    bug(
        "unused space is not given to the file that needs it",
        change(_GROWTH, "GiveBackHalf(keep)", "false"),
    ),
    bug(
        "limits stay above space that was given back",
        change(_CAPACITY, "LowerLimits();", within="    LowerLimits();\n    throw;"),
    ),
    bug(
        "Reserve() forgets that records have layouts",
        change(_APPEND, "std::min(LayoutWordsOf(records), words_left)", "std::uint64_t{0}"),
    ),
    bug(
        "the space of a dead writer is kept",
        change(_OPEN, "GiveBackUnused(files, recovered);"),
    ),
    bug(
        "content is given back with the space of a dead writer",
        change(_OPEN, "content / kGiveBackGrain + 1", "content / kGiveBackGrain"),
    ),
    bug(
        "the first slot of a truncation is not clean",
        change(
            _DURABILITY,
            "/*clean=*/true",
            "/*clean=*/false",
            within="slot_.session, end, /*clean=*/true), 1);",
        ),
        first=POWER,
    ),
    bug(
        "the first slot of a truncation is left out",
        change(
            _DURABILITY,
            "WriteSlots(MakeSlot(files_.identity().id, slot_.session, end, /*clean=*/true), 1);",
        ),
        first=POWER,
    ),
    bug(
        "no open record after a truncation",
        change(
            _DURABILITY,
            "WriteFirstSlotsOfSession(at);",
            within="WriteFirstSlotsOfSession(at);\n    if (files_.persistent())",
        ),
    ),
    bug(
        "a truncation uses the session of removed records again",
        change(_DURABILITY, "removed[static_cast<std::uint16_t>(session_)]", "false"),
    ),
    bug(
        "the files of a truncated store are shortened",
        change("src/storage/capacity.cc", "!files_.MayShorten()", "false"),
    ),
    bug(
        "interrupted calls not made again",
        change("src/base/retry.h", "errno == EINTR", "errno == 0"),
        first=FAULT,
    ),
    bug(
        "descriptors left open",
        change(
            "src/base/file.cc",
            "sys().close(std::exchange(fd_, -1));",
            "std::exchange(fd_, -1);",
        ),
        first=FAULT,
    ),
    bug(
        "file size limit not looked at",
        change(
            "src/base/file.cc",
            "limit.rlim_cur == RLIM_INFINITY || size <= limit.rlim_cur",
            "limit.rlim_cur != 1",
        ),
    ),
    bug(
        "leftovers not removed",
        change(_CREATE, "RemoveLeftover(sibling);"),
        first=FAULT,
    ),
    bug(
        "a live directory is taken for a leftover",
        change(
            _CREATE,
            "!TryLockByte(lock, kWriterLockByte)",
            "false",
            within="if (!TryLockByte(lock, kWriterLockByte)) {",
        ),
    ),
    bug(
        "directories of other users are deleted",
        change(_CREATE, "!directory.IsOurs()", "false"),
    ),
    bug(
        "links are followed when cleaning up",
        change(_CREATE, "Directory::OpenItself(sibling)", "Directory::Open(sibling)"),
        change("src/base/sibling.cc", "Directory::OpenItself(sibling)", "Directory::Open(sibling)"),
    ),
    bug(
        "a forked child deletes the temporary store of its parent",
        change(
            "src/base/temporary.cc",
            "process_ == ::getpid()",
            "true",
            within="if (process_ == ::getpid()) {",
        ),
    ),
    bug(
        "a temporary store is not deleted at exit",
        change("src/base/temporary.cc", "instance->RemoveAll();"),
    ),
    bug(
        "a temporary store that was closed gives up its lock while it is read",
        insert(
            _DURABILITY,
            "files_.control.state().store(kLiveClosed, std::memory_order_release);",
            "files_.lock.Close();",
            within="files_.control.state().store(kLiveClosed, std::memory_order_release);\n"
            "    return;",
        ),
    ),
    bug(
        "a temporary store that was closed is live",
        change(
            "src/storage/read_source.cc",
            "files_->control.state().load(std::memory_order_acquire) == kLiveClosed",
            "false",
        ),
        first="store_read_test:HandoverTest.*",
    ),
    bug(
        "close says clean before it is",
        change(
            _DURABILITY,
            "WriteDurable(at, /*clean=*/true, /*both_slots=*/false);\n      capacity_.Trim(at);",
            "capacity_.Trim(at); WriteDurable(at, /*clean=*/true, /*both_slots=*/false);",
        ),
        first=POWER,
    ),
    bug(
        "background sync counts field-writes wrongly",
        change(
            _DURABILITY,
            "LayoutHeadBefore(layouts, at.layout_words, records[counted_.records].layout)",
            "std::uint64_t{1} << 48",
        ),
    ),
    bug(
        "safe reads without the values",
        change(
            "src/storage/safe_copy.cc",
            _READ_VALUES,
            "if (range.begin > 64) " + _READ_VALUES,
        ),
    ),
]
