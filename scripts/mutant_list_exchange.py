"""Bugs in the import and the export of Arrow data, and in the conversion of Python's arrays."""

from __future__ import annotations

from mutant_switch import Change, Mutant, change

ARROW = "arrow_test"
IMPORT, EXPORT = "test_arrow_import.py", "test_arrow_export.py"


def bug(name: str, *changes: Change, first: str = ARROW) -> Mutant:
    return Mutant(name, changes, (first,), "exchange")


_ARRAY = "src/arrow/array_view.cc"
_VIEW = "src/arrow/column_view.cc"
_LOADER = "src/arrow/leaf_loader.cc"
_GATHER = "src/arrow/leaf_gather.cc"
_VIEW_TEXT = "src/arrow/view_text.h"
_IMPORT = "src/arrow/import.cc"
_STREAMS = "src/arrow/import_streams.cc"
_BUILDER = "src/arrow/leaf_builder.cc"
_TEXT_VIEWS = "src/arrow/text_views.cc"
_EXPORT = "src/arrow/export.cc"
_ASSEMBLE = "src/arrow/assemble.cc"
_SIZE = "src/arrow/batch_size.cc"
_NESTED = "src/arrow/nested_builder.cc"
_BITS = "src/arrow/bits.h"

MUTANTS = [
    # Where columns begin.
    bug(
        "the offset of a batch is forgotten",
        change(_ARRAY, "static_cast<std::uint64_t>(batch.offset)", "0U"),
    ),
    bug(
        "the offset of a child is forgotten",
        change(
            _ARRAY,
            "static_cast<std::uint64_t>(child.offset)",
            "0U",
            within="shift += static_cast<std::uint64_t>(child.offset);",
        ),
    ),
    bug(
        "the offset of the items of a list is forgotten",
        change(
            _VIEW,
            "static_cast<std::uint64_t>(child.offset)",
            "0U",
            within="shift = static_cast<std::uint64_t>(child.offset);",
        ),
    ),
    bug(
        "the offset of a dictionary is forgotten",
        change(_VIEW, "static_cast<std::uint64_t>(array.dictionary->offset)", "0U"),
        first=IMPORT,
    ),
    bug(
        "nulls of a struct are forgotten",
        change(_ARRAY, "around.validities.push_back(validity);"),
    ),
    bug(
        "nulls are forgotten where their number is not known",
        change(_ARRAY, "array.null_count == 0", "array.null_count <= 0"),
    ),
    bug(
        "fixed-size lists may reach past their items",
        change(_ARRAY, "shift + elements > most", "false"),
    ),
    bug(
        "a short child is not noticed",
        change(_ARRAY, "static_cast<std::uint64_t>(array.length) < elements", "false"),
    ),
    # Loading in order.
    bug(
        "fixed-size items are read from the first on",
        change(_LOADER, "view.item.shift + begin", "begin"),
    ),
    bug(
        "offsets of lists are read from the first on",
        change(_LOADER, "array.shift + begin", "begin"),
    ),
    bug(
        "fixed-size lists begin at the first item",
        change(
            _LOADER,
            "static_cast<std::int64_t>(outer.shift + begin + i)",
            "static_cast<std::int64_t>(begin + i)",
        ),
        first=IMPORT,
    ),
    bug(
        "inner fixed-size lists begin at the first item",
        change(_LOADER, "offset + static_cast<std::int64_t>(list.shift)", "offset"),
        first=IMPORT,
    ),
    bug(
        "items of lists begin at the first item of their array",
        change(
            _LOADER,
            "item.shift + static_cast<std::uint64_t>(begin)",
            "static_cast<std::uint64_t>(begin)",
        ),
    ),
    bug(
        "an offset past the items is read",
        change(_LOADER, "rises && static_cast<std::uint64_t>(before) <= most", "rises"),
    ),
    bug(
        "an offset that falls is read",
        change(_LOADER, "rises &= offset >= before;"),
    ),
    bug(
        "a null inside a list is read",
        change(_LOADER, "bad && IsPresent(row)", "false"),
    ),
    bug(
        "lists of two lengths are of one length",
        change(_LOADER, "offsets_[i + 1] - offsets_[i] == each", "true"),
    ),
    bug(
        "a negative class is refused",
        change(
            _LOADER,
            "LoadInteger(leaf_.item, item) < leaf_.classes",
            "LoadInteger(leaf_.item, item) >= 0 && LoadInteger(leaf_.item, item) < leaf_.classes",
        ),
    ),
    bug(
        "a class past the last name is taken",
        change(
            _LOADER,
            "LoadInteger(leaf_.item, item) < leaf_.classes",
            "LoadInteger(leaf_.item, item) <= leaf_.classes",
        ),
    ),
    # Loading rows in any order.
    bug(
        "scalars that are picked come from the first batch",
        change(
            _GATHER,
            "views[rows[i].batch].item",
            "views[rows[0].batch].item",
            within="const ArrayView& item = views[rows[i].batch].item;\n    std::memcpy",
        ),
    ),
    bug(
        "lists that are picked begin at the first item",
        change(_GATHER, "text ? 0 : view.item.shift", "std::uint64_t{0}"),
    ),
    bug(
        "a negative index into a dictionary is followed",
        change(
            _GATHER, "index < 0 || static_cast<std::uint64_t>(index) >= view.top().length", "false"
        ),
        first=IMPORT,
    ),
    bug(
        "a view is read from the first buffer",
        change(
            _VIEW_TEXT,
            "array.texts[buffer]",
            "array.texts[0]",
            within="static_cast<const std::byte*>(array.texts[buffer])",
        ),
        first=IMPORT,
    ),
    bug(
        "a view of 12 bytes is looked for in a buffer",
        change(
            _VIEW_TEXT,
            "bytes <= kInline",
            "bytes < kInline",
            within="bytes >= 0 && bytes <= kInline",
        ),
        first=IMPORT,
    ),
    bug(
        "list views take the sizes of the first rows",
        change(_GATHER, "offset_at(list.second, i)", "offset_at(list.second, 0)"),
        first=IMPORT,
    ),
    bug(
        "an inner list of another length is taken",
        change(_GATHER, "level > 0 && size != std::int64_t{leaf_.shape[level]}", "false"),
        first=IMPORT,
    ),
    # Import.
    bug(
        "the guess for the batch of a row is believed",
        change(
            _IMPORT,
            "number >= kept_ends[batch] || (batch > 0 && number < kept_ends[batch - 1])",
            "false",
        ),
    ),
    bug(
        "a row is looked for only in later batches",
        change(_IMPORT, "(batch > 0 && number < kept_ends[batch - 1])", "false"),
    ),
    bug(
        "narrow steps lose their sign",
        change(
            _IMPORT, "type.is_signed ? step : static_cast<Step>(word)", "static_cast<Step>(word)"
        ),
    ),
    bug(
        "a step past 2^63 is negative",
        change(_IMPORT, "!type.is_signed && steps[row] < 0", "false"),
    ),
    bug(
        "a missing step is read",
        change(_IMPORT, "column.present != nullptr && column.present[row] == 0", "false"),
    ),
    bug(
        "every batch counts its steps from zero",
        change(_IMPORT, "first + static_cast<Step>(row)", "static_cast<Step>(row)"),
    ),
    bug(
        "a struct is marked although a field of it is there",
        change(_IMPORT, "Exclude(loaders[leaf].present(), present);"),
        first=IMPORT,
    ),
    bug(
        "row numbers of a slice begin at the first",
        change(
            _STREAMS,
            "column->offset + batch.offset",
            "0",
            within="column->buffers[1]) + column->offset + batch.offset",
        ),
    ),
    # Export.
    bug(
        "64-bit offsets wrap at 2^32",
        change(
            "src/arrow/offsets.h",
            "static_cast<Offset>(from + i * each)",
            "static_cast<Offset>(static_cast<std::uint32_t>(from + i * each))",
        ),
    ),
    bug(
        "offsets of missing rows go back to the beginning",
        change(
            _BUILDER,
            "items_ / inner_items_",
            "0",
            within="next_row_ + 1, count, items_ / inner_items_, 0)",
        ),
    ),
    bug(
        "missing rows of fixed-size lists have no room",
        change(_BUILDER, "items_ += count * row_items_;"),
    ),
    bug(
        "a number that does not fit is cut",
        change(_BUILDER, "Holds<Item>(words[i], is_signed)", "true"),
    ),
    bug(
        "negative numbers fit unsigned types",
        change(_BUILDER, "!word_is_signed || word >= 0", "true"),
    ),
    bug(
        "rows of a run are gathered from its first",
        change(_BUILDER, "first + done * stride", "first"),
    ),
    bug(
        "an exported view has the first bytes of another",
        change(
            _TEXT_VIEWS,
            "std::memcpy(view + 4, data + begin, 4);",
            "std::memcpy(view + 4, data, 4);",
        ),
    ),
    bug(
        "a view of 12 bytes points into its buffer",
        change(_TEXT_VIEWS, "bytes <= kInline", "bytes < kInline"),
    ),
    bug(
        "all rows of a run have the step of the first",
        change(_EXPORT, "run.step(i)", "run.step(0)"),
    ),
    bug(
        "a struct is there only with its marker",
        change(_ASSEMBLE, "AddValidity(child, parts, valid)", "false"),
    ),
    bug(
        "the second batch begins at the first row",
        change(
            _EXPORT,
            "run.row - next_",
            "run.row - run.row",
            within="const auto row = static_cast<std::uint64_t>(run.row - next_);",
        ),
    ),
    bug(
        "a batch ends after its offsets overflow",
        change(
            _SIZE,
            "units <= room ? room / units : std::uint64_t{ExactUnitsOf(run, part) <= room}",
            "room / units + 1",
        ),
    ),
    bug(
        "a row is cut where a batch ends",
        change(_SIZE, "extent_.end = run.row;"),
    ),
    bug(
        "a column that is not null may lack a row",
        change("src/arrow/assemble.cc", "missing < parts.rows", "false"),
    ),
    bug(
        "a member that is not null needs a value in a null struct",
        change("src/arrow/assemble.cc", "(outer == nullptr || GetBit(outer, row))", "true"),
    ),
    bug(
        "the count of a packed row is believed",
        change(_BUILDER, "!block.valid", "false"),
    ),
    bug(
        "the bitmap of a node begins with its first null",
        change(
            _NESTED,
            "SetBits(AddBits(node.validity, 0, node.length), 0, node.length);",
            "AddBits(node.validity, 0, node.length);",
        ),
    ),
    bug(
        "a null struct has no place for its members",
        change(_NESTED, "AddAbsent(child, count);"),
    ),
    bug(
        "a null list of fixed size has no place for its items",
        change(_NESTED, "AddAbsent(i + 1, count * plan.size);"),
    ),
    bug(
        "the bits of a node are read from the start again inside a block",
        change(_NESTED, "at == columns_[i].slots ? 0 : at", "0"),
    ),
    bug(
        "the bits of a node go on in the next block",
        change(_NESTED, "at == columns_[i].slots ? 0 : at", "at"),
    ),
    bug(
        "offsets of nested lists overflow",
        change(_NESTED, "block_bytes_ + block_bytes <= offset_limit_ / 8", "true"),
    ),
    bug(
        "a batch keeps a nested row that another field refused",
        change(_EXPORT, "nested && nested->next_row() > rows", "false"),
    ),
    bug(
        "nested rows are counted by their blocks alone",
        change(_EXPORT, "NestedBytes() >= batch_bytes_", "false"),
    ),
    bug(
        "the lengths of a run of lists are not passed over",
        change(
            _NESTED, "column.lengths += count * static_cast<std::uint64_t>(column.length_bytes);"
        ),
    ),
    bug(
        "copied bits begin at the first of a byte",
        change(
            "src/arrow/nested_copy.cc",
            "static_cast<unsigned>(from[begin / 8]) >> shift",
            "static_cast<unsigned>(from[begin / 8])",
        ),
    ),
    bug(
        "bits after the first byte are packed one off",
        change(
            _BITS,
            "(begin + i) / 8",
            "i / 8",
            within="bits[(begin + i) / 8] = static_cast<std::uint8_t>(eight",
        ),
        first=EXPORT,
    ),
    bug(
        "bits are unpacked from the first byte on",
        change(
            _BITS, "bits[(begin + i) / 8]", "bits[i / 8]", within="eight = bits[(begin + i) / 8];"
        ),
        first=IMPORT,
    ),
    bug(
        "a float64 between two float32 is exact",
        change(
            "src/arrow/exact.h", "static_cast<double>(static_cast<float>(number)) == number", "true"
        ),
    ),
    # Conversion of Python's arrays.
    bug(
        "an output of another shape is filled",
        change(
            "python/convert/arrays.cc",
            "!std::equal(shape.data(), shape.data() + count, PyArray_DIMS(array))",
            "false",
        ),
        first="test_windows.py",
    ),
]
