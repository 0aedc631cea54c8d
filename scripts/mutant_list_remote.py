"""Bugs in packs of records and in the replicas that are made of them."""

from __future__ import annotations

from mutant_switch import Change, Mutant, change

REPLICA = "storage_test:Replica*"
PYTHON = "test_remote.py"


def bug(name: str, *changes: Change, first: str = REPLICA) -> Mutant:
    return Mutant(name, changes, (first, PYTHON), "remote")


_PACK = "src/format/pack.cc"
_RECORDS = "src/storage/pack_records.cc"
_APPLY = "src/storage/apply.cc"
_STORE = "src/store/replication.cc"

MUTANTS = [
    # Packs.
    bug(
        "the checksum of a pack is not compared",
        change(_PACK, "computed != stored", "false"),
    ),
    bug(
        "zeros at the end of a header may be anything",
        change(_PACK, "byte != std::byte{0}", "false"),
    ),
    bug(
        "the checksum of a record in a pack is not compared",
        change(
            _RECORDS,
            "FinishChecksum(ExtendChecksum(head, values(i), layout.total)) != now.checksum",
            "false",
        ),
    ),
    bug(
        "a record of a pack may have a field before it was added",
        change(_RECORDS, "schema.since(static_cast<TypeId>(layout.last_type)) > i", "false"),
    ),
    bug(
        "a pack may have values of no record",
        change(_RECORDS, "end_.values != header.first_position + header.values", "false"),
    ),
    bug(
        "a pack has one record more than fits",
        change(_RECORDS, "bytes > most_bytes", "bytes > most_bytes + sizeof(Record)"),
    ),
    bug(
        "records that are not durable are put into packs",
        change(
            _STORE,
            "std::min(DurableSlot(reader).records, view.record_count)",
            "view.record_count",
        ),
    ),
    # Replicas.
    bug(
        "a pack after a gap is applied",
        change(_APPLY, "pack.first_record() > cursor_.records", "false"),
    ),
    bug(
        "a pack of other rows is applied",
        change(_APPLY, "previous.checksum != LastContentChecksum()", "false"),
    ),
    bug(
        "records keep the session of the source",
        change(_APPLY, "PackRowSession(row, session_)", "source.row_session"),
    ),
    bug(
        "every record of a replica begins a row",
        change(_APPLY, "row == at.rows", "true"),
    ),
    bug(
        "a replica of another store is written",
        change(_STORE, "expected != found", "false"),
    ),
    bug(
        "a field is added to a replica with the first record",
        change(
            _STORE,
            "schema.since(static_cast<TypeId>(type)) <= records",
            "true",
        ),
    ),
    bug(
        "a replica begins at a place that its record does not have",
        change(_STORE, "row != begin.row || record.start != begin.position", "false"),
    ),
    bug(
        "a replica begins inside a row",
        change(_STORE, "row != rows_before", "false"),
    ),
    bug(
        "a new replica does not announce the revision of its fields",
        change("src/storage/create.cc", "live.schema_revision = parts.schema.revision();"),
    ),
]
