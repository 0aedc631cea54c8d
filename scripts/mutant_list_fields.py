"""Bugs in adding fields to a store that has rows."""

from __future__ import annotations

from mutant_switch import Change, Mutant, change

_SCHEMA = "src/format/schema.cc"
_CREATE = "src/storage/create.cc"
_SOURCE = "src/storage/read_source.cc"


def bug(name: str, *changes: Change) -> Mutant:
    tests = ("storage_test:AddFieldsTest.*", "format_test:Schema*")
    return Mutant(name, changes, tests, "durability")


MUTANTS = [
    bug(
        "added fields are not announced",
        change(
            _CREATE,
            "revision",
            "std::uint64_t{0}",
            within="store(revision, std::memory_order_release)",
        ),
    ),
    bug(
        "the next open does not announce the schema of a writer that died",
        change("src/storage/open.cc", "announced != schema.revision()", "false"),
    ),
    bug(
        "the next open keeps the first records of rows that were lost",
        change("src/storage/open.cc", "AddsAfter(schema, records)", "false"),
    ),
    bug(
        "a truncation keeps the first records of rows that it removes",
        change("src/storage/truncate.cc", "AddsAfter(schema, end.records)", "false"),
    ),
    bug(
        "appending goes on after a schema that may not be on disk",
        change(
            "src/storage/appender.cc",
            "files_.store_schema() != schema_",
            "false",
        ),
    ),
    bug(
        "a reader without new rows does not see new fields",
        change(_SOURCE, "KnowsSchemaOf(view)", "true"),
    ),
    bug(
        "a reader does not read the schema again",
        change(_SOURCE, "known() < newest", "false", within="outdated = known() < newest"),
    ),
    bug(
        "safe reads do not see the revision",
        change(
            "src/storage/store_files.cc",
            "schema_revision().store(live.schema_revision, std::memory_order_relaxed);",
        ),
    ),
    bug(
        "field-writes of an older snapshot are counted with its own schema",
        change(_SOURCE, "later.store_schema = files_->store_schema();"),
    ),
    bug(
        "caches mix the layouts of two schemas",
        change(
            "src/storage/view.h",
            "schema.number",
            "0U",
            within="return maps_key * kMaxSchemas + schema.number;",
        ),
    ),
    bug(
        "a row is complete by the fields of now",
        change(_SCHEMA, "since_[type] <= record", "true"),
    ),
    bug(
        "a row is complete by its last record only",
        change(
            "src/store/index.cc",
            "std::min(record - 1, schema.since(last_type))",
            "std::uint64_t{0}",
        ),
    ),
    bug(
        "a struct can get more leaves",
        change(_SCHEMA, "outer.contains(OuterName(field))", "false"),
    ),
    bug(
        "a checkpoint keeps first records beyond its end",
        change(
            "src/storage/copy.cc",
            "SinceAtMost(*source.schema, end.records, source.schema->revision())",
            "*source.schema",
        ),
    ),
    bug(
        "repair keeps the first records by the numbers of the source",
        change(
            "src/storage/record_copier.cc",
            "since_.push_back(cursor_.records);",
            "since_.push_back(number);",
        ),
    ),
    bug(
        "a field before its first record is not found by verify",
        change(
            "src/store/verify_scan.cc", "HasLaterField(verifier, record, words.layout)", "false"
        ),
    ),
]
