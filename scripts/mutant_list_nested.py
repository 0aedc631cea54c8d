"""Bugs in nested cells and packed fields: their checks, and their way from and to Arrow."""

from __future__ import annotations

from mutant_switch import Change, Mutant, change

FORMAT, STORE, ARROW = "format_test", "store_read_test", "arrow_test"


def bug(name: str, *changes: Change, first: str = FORMAT) -> Mutant:
    return Mutant(name, changes, (first,), "exchange")


_BLOCK = "src/format/nested_block.cc"
_PACKED = "src/format/encode_packed.cc"
_ENCODING = "src/format/encoding.cc"
_DECODER = "src/format/nested_decoder.cc"
_VERIFY = "src/store/verify_blocks.cc"
_WRITER = "src/arrow/nested_writer.cc"
_LENGTHS = "src/arrow/nested_lengths.cc"
_BUILDER = "src/arrow/nested_builder.cc"

MUTANTS = [
    # The checks of a block.
    bug(
        "an unused bit of a bitmap may be set",
        change(_BLOCK, "used != 0 && column.validity[bytes - 1] >> used != 0", "false"),
    ),
    bug(
        "a bitmap without a null is accepted",
        change(_BLOCK, "present == column.slots", "false"),
    ),
    bug(
        "nulls are accepted where none may be",
        change(_BLOCK, "!node.nullable", "false"),
    ),
    bug(
        "lengths wider than they need to be are accepted",
        change(_BLOCK, "LengthWidth(all.bits) != width", "false"),
    ),
    bug(
        "a bool of a cell may be 2",
        change(_BLOCK, "std::to_integer<unsigned>(seen) > highest", "false"),
    ),
    bug(
        "bytes after the content of a block are accepted",
        change(
            _BLOCK,
            'cursor.left() == 0 ? nullptr : "the block goes on after its content"',
            "static_cast<const char*>(nullptr)",
        ),
    ),
    bug(
        "a text may begin inside a character",
        change(_BLOCK, "length > 0 && (std::to_integer<unsigned>(*at) & 0xc0U) == 0x80U", "false"),
    ),
    # Packed fields and cells in the store.
    bug(
        "the last word of packed bytes is not cleared",
        change(_PACKED, "out[words - 1] = words == 1 ? out[0] : 0;"),
    ),
    bug(
        "a number of items that contradicts the words is believed",
        change(
            _ENCODING,
            "block.count == count && BlockWords(encoding, count) == words.size()",
            "true",
        ),
    ),
    bug(
        "narrow integers of a cell lose their sign",
        change(
            _DECODER, "type.item == NestedItem::kInt ? 64 - 8 * type.item_bytes : 0", "unsigned{0}"
        ),
    ),
    bug(
        "verify ignores the padding of packed fields",
        change(_VERIFY, "!PaddingIsZero(place, bytes)", "false"),
        first=STORE,
    ),
    bug(
        "verify refuses a character across two parts of a text",
        change(_VERIFY, "!last && bad + kCutBytes >= count", "false"),
        first=STORE,
    ),
    # From Arrow.
    bug(
        "a cell keeps the bitmap of elements without a null",
        change(_WRITER, "out_->Truncate(bitmap);"),
        first=ARROW,
    ),
    bug(
        "a null is stored where the field is not nullable",
        change(_WRITER, "!view.source->nullable", "false"),
        first=ARROW,
    ),
    bug(
        "fixed-size lists of a cell begin at the first item",
        change(
            _LENGTHS,
            "Add(frame.inner, (array.shift + range.begin) * size, "
            "(array.shift + range.end) * size);",
            "Add(frame.inner, range.begin * size, range.end * size);",
        ),
        first=ARROW,
    ),
    bug(
        "list views of a cell may reach past their items",
        change(_LENGTHS, "from < 0 || begin > most || size < 0 || length > most - begin", "false"),
        first=ARROW,
    ),
    bug(
        "a list of another length is put into a fixed-size list",
        change(_LENGTHS, "lengths_[i] != size", "false"),
        first=ARROW,
    ),
    # To Arrow.
    bug(
        "offsets of null lists go back to the beginning",
        change(
            _BUILDER,
            "node.offset",
            "std::uint64_t{0}",
            within="node.offset, 0);",
        ),
        first=ARROW,
    ),
    bug(
        "the nulls of a hostile cell may take any amount of memory",
        change(_BUILDER, "bytes_each > 0 && count > padding_left_ / bytes_each", "false"),
        first=ARROW,
    ),
]
