"""Bugs in groups of stores, and in batches that are read from many stores."""

from __future__ import annotations

from mutant_switch import Change, Mutant, change

GROUPS = "store_read_test:GroupTest.*"
MANY = "store_read_test:RowsOfStoresTest.*"
PYTHON = "test_groups.py test_groups_errors.py"


def bug(name: str, *changes: Change, first: str = GROUPS) -> Mutant:
    return Mutant(name, changes, (first, PYTHON), "groups")


_LISTING = "src/store/group_listing.cc"
_GROUP = "src/store/group.cc"
_SAMPLER = "src/store/sampler_group.cc"
_STATE = "src/store/sampler_state.cc"
_FILL = "src/store/sampler_fill.cc"
_MANY = "src/store/rows_of_stores.cc"
_PRIORITIES = "src/store/sampler_priorities.cc"
_UPDATE = "src/store/sampler_update.cc"
_SOURCE = "src/storage/read_source.cc"
_ATTACH = "src/storage/attach.cc"
_PLANS = "src/store/row_plans.cc"
_STARTS = "src/store/window_starts.cc"
_WATCH = "src/storage/live_watch.h"

MUTANTS = [
    # Finding stores.
    bug(
        "a group is never looked at thoroughly",
        change(_LISTING, "look.began - last.began >= kThorough", "false"),
        first=PYTHON,
    ),
    bug(
        "another store of the same name is the old one",
        change(_LISTING, "SourceOf(*before)->files().control_id() == *control", "true"),
        first=PYTHON,
    ),
    bug(
        "a store whose rows were removed is not opened again",
        change(_LISTING, "error.code() == ErrorCode::kCutBack", "false"),
    ),
    bug(
        "a store without a control file is passed over",
        change(_LISTING, "IsRestOfStore(place)", "false"),
        first=PYTHON,
    ),
    bug(
        "a store with other fields belongs to the group",
        change(_LISTING, "!reader.schema().Extends(fields_.schema())", "false"),
    ),
    bug(
        "too many open files are damage of a store",
        change(_LISTING, "number == EMFILE", "number == EMLINK"),
    ),
    bug(
        "a copy of a store counts twice",
        change(_LISTING, "ids[k].first == ids[k - 1].first", "false"),
        first=PYTHON,
    ),
    bug(
        "a damaged store is left out although it is to be an error",
        change(_LISTING, "!skip_damaged_ && !listing.skipped.empty()", "false"),
    ),
    bug(
        "a store that has come is not noticed",
        change(_LISTING, "IsSame(known, *found) ? 0 : 1", "0"),
    ),
    # The fields and the writers.
    bug(
        "fields that differ from those of the group are accepted",
        change(_GROUP, "holder.schema() == wanted", "true"),
    ),
    bug(
        "a group is declared beside stores of other fields",
        change(_GROUP, "first->schema().Extends(wanted)", "true"),
        first=PYTHON,
    ),
    bug(
        "a name of a store may lead elsewhere",
        change(_GROUP, "name.find('/') != std::string::npos", "false"),
    ),
    bug(
        "a writer continues a store of other fields",
        change(_GROUP, "!store.schema().Extends(schema())", "false"),
    ),
    # Sampling.
    bug(
        "a store that is gone is still drawn",
        change(_SAMPLER, "!present[i] && !gone_[i]", "false"),
    ),
    bug(
        "an epoch counts the stores of its beginning as those of now",
        change(_SAMPLER, "GroupAccess::Follow(*group_).stores", "group_->stores()"),
        first=PYTHON,
    ),
    bug(
        "a read of a store that is gone names the wrong reason",
        change(_UPDATE, "gone_[window.store()]", "false"),
        first=PYTHON,
    ),
    bug(
        "an epoch goes on without the rows of a store that is gone",
        change(_STATE, "state.extents[i].rows > state.extents[i].first_row", "false"),
    ),
    bug(
        "priorities stay with the numbers, not with the stores",
        change(_STATE, "NumbersIn(ids_, ids)", "NumbersIn(ids, ids)"),
        first=PYTHON,
    ),
    bug(
        "an update of a store that is gone is an error",
        change(
            _PRIORITIES,
            "gone_[index.store()]",
            "false",
            within="gone_[index.store()] || index.row() < store",
        ),
        first=PYTHON,
    ),
    # Batches of many stores.
    bug(
        "the second window of a store is read from the first one's place",
        change(
            _FILL,
            "begins_[static_cast<std::size_t>(batch.stores_[i])]++",
            "begins_[static_cast<std::size_t>(batch.stores_[i])]",
        ),
        first=MANY,
    ),
    bug(
        "a window is that of the first store with the number",
        change(_FILL, "indices_[i] - begins_[found_[i]]", "indices_[i]"),
        first=MANY,
    ),
    bug(
        "places without a row are marked as present",
        change(_MANY, "count == 0 || end - begin != count", "count == 0"),
        first=MANY,
    ),
    bug(
        "a plan is kept in the place of another layout",
        change(_PLANS, "mapping_key_ == view.mapping_key", "true"),
        first=MANY,
    ),
    bug(
        "a batch reads the rows of a store from the places of another one",
        change(_MANY, "of.begin = places_.size();"),
        first=MANY,
    ),
    # Looks at stores that have not changed.
    bug("a store that has grown is not looked at again", change(_WATCH, "Load() == seen_", "true")),
    bug(
        "a store that has dropped rows is not looked at again",
        change(_WATCH, "load(live_->begin)", "0"),
        change(_WATCH, "load(live_->layout_begin)", "0"),
        first=PYTHON,
    ),
    bug(
        "a store with new fields is not looked at again",
        change(_WATCH, "load(live_->schema_revision)", "0"),
        first=PYTHON,
    ),
    bug(
        "a store whose last row may grow is not looked at again",
        change(_STARTS, "settled", "true", within="if (settled) {"),
        first=PYTHON,
    ),
    bug(
        "a batch is read through the Reader of an earlier look",
        change(_STARTS, "shared != nullptr && ShowTheSame(*shared, reader())", "shared != nullptr"),
        first=PYTHON,
    ),
    # Descriptors.
    bug(
        "every reader keeps its descriptors",
        change(_ATTACH, "attached_sources.load() > kSourcesWithDescriptors", "false"),
        first="test_groups_processes.py",
    ),
    bug(
        "a reader without descriptors takes every writer for one that has ended",
        change(_SOURCE, "!shared_ && files_->lock.is_open()", "!shared_"),
        first="test_many_stores.py",
    ),
]
