#!/usr/bin/env python3
"""Write the table of features in docs/guide/datasets.md from tests/python/feature_table.py.

usage: feature_page.py    (a test checks that the page is current)
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT / "tests" / "python"), str(ROOT / "scripts")]

import pages  # noqa: E402
from feature_table import ROWS, Row  # noqa: E402

PAGE = ROOT / "docs" / "guide" / "datasets.md"

_HEAD = """\
| feature or Arrow type | declared by | stored | in a `Dataset` | in Parquet |
|---|---|---|---|---|
"""


def table() -> str:
    """The table, one line per row of the tests."""
    lines = []
    for row in ROWS:
        cells = (_shown(row), _declared(row), _stored(row), _in_dataset(row), _in_parquet(row))
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n")
    return _HEAD + "".join(dict.fromkeys(lines))


def _shown(row: Row) -> str:
    if row.name in _TITLES:
        return _TITLES[row.name]
    return f"`{row.arrow}`" if row.feature is None else f"`{_feature(row.feature)}`"


_TITLES = {
    "list_with_nulls": "`List(Value('int64'))` with a null inside",
    "long_string": "`Value('string')` of more than 64 bytes on average",
    "long_binary": "`Value('binary')` of more than 64 bytes on average",
    "uuid": "`uuid`",
    "bool8": "`bool8`",
    "fixed_shape_tensor": "`fixed_shape_tensor`",
    "opaque": "`opaque` and other extension types",
}


def _feature(feature: Any) -> str:
    """A feature as it is written, without arguments that have their default."""
    kind = type(feature).__name__
    if isinstance(feature, dict):
        inner = ", ".join(f"{name!r}: {_feature(part)}" for name, part in feature.items())
        return f"{{{inner}}}"
    if kind in ("List", "LargeList"):
        length = getattr(feature, "length", -1)
        return f"{kind}({_feature(feature.feature)}{'' if length < 0 else f', length={length}'})"
    if kind in ("Value", "Array2D", "Array3D", "Array4D", "Array5D"):
        return repr(feature)
    shown = {
        "ClassLabel": "names=[…]",
        "Translation": "languages=[…]",
        "TranslationVariableLanguages": "languages=[…]",
    }
    return f"{kind}({shown.get(kind, '')})"


def _declared(row: Row) -> str:
    if row.text:
        return f'`"{row.text}"`'
    return "the feature" if row.feature is not None else "an Arrow schema"


def _stored(row: Row) -> str:
    if row.feature is not None and type(row.feature).__name__ in _MEDIA:
        return "struct of packed bytes and path"
    return {"flat": "plain", "struct": "struct: each part on its own"}.get(row.stored, row.stored)


_MEDIA = ("Image", "Audio", "Video", "Pdf", "Nifti", "Mesh", "BioSequence", "BioStructure")


def _in_dataset(row: Row) -> str:
    if row.feature is None:
        return "Arrow only" if row.returned is None else f"Arrow only, as `{row.returned}`"
    return "unchanged"


def _in_parquet(row: Row) -> str:
    if row.feature is None:
        return "not from a `Dataset`"
    return row.parquet or "unchanged"


if __name__ == "__main__":
    pages.put(PAGE, "features", table())
