"""One self-contained page of a store: its segments, charts, thumbnails, statistics, missing fields.

The page loads nothing. Its content security policy allows only its own script, by its hash, so that
text in a store cannot run as code even if it were not escaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import tempfile
import zlib
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_store._file_errors import naming
from stream_store._outside import require_outside
from stream_store._safe_text import safe
from stream_store.errors import DroppedError

from .model import FieldView, ViewModel
from .pictures import data_url
from .series import Statistics
from .summary import Reduced, Summary, summarize
from .text import cut, number_text

#: Fields with a line in the table of fields.
MAX_LISTED = 1000
_NONE, _SCALE = 65535, 65534
_TRIES = 5
#: Colours that are readable on white and on dark gray.
PALETTE = (
    "#2f7ed8", "#e2711d", "#2a9d5c", "#d1495b", "#8e62c4",
    "#a8763e", "#d65fa8", "#6b7f8c", "#8f9a1b", "#17a2b8",
)  # fmt: skip


def color_of(field: FieldView, series: int) -> str:
    """The colour of a series: always the same for the same field."""
    return PALETTE[(zlib.crc32(field.name.encode()) + series) % len(PALETTE)]


def write_page(
    model: ViewModel, path: Path, progress: Callable[[int, int], object] | None = None
) -> int:
    """Write the page of a store. The file appears complete, or not at all.

    Args:
        model: of the store.
        path: the file, which is replaced.
        progress: called with work done and work in all.

    Returns:
        The size of the file in bytes.

    Raises:
        OSError: the file cannot be written.
        ValueError: it is inside a store.
        DroppedError: the writer dropped rows meanwhile, in each of five tries.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path}: --html: expected a file, but found a directory")
    require_outside(path, "view --html")
    text = page_of(_summary(model, progress)).encode("utf-8", "backslashreplace")
    handle, name = tempfile.mkstemp(prefix=f".{path.name}", dir=path.parent)
    try:
        with naming(path, "view"), os.fdopen(handle, "wb") as file:
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return len(text)


def _summary(model: ViewModel, progress: Callable[[int, int], object] | None) -> Summary:
    """A summary; it begins again if the writer drops rows meanwhile."""
    for _ in range(_TRIES - 1):
        try:
            return summarize(model, progress)
        except DroppedError:
            continue
    return summarize(model, progress)


def page_of(summary: Summary) -> str:
    """The page of a summary, as HTML."""
    folder = Path(__file__).parent
    script = (folder / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    view = summary.view
    title = escape(safe(str(view.path or "temporary store")))
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
{(folder / "page.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<h1>{title}</h1>
<p>{escape(_facts(summary))}</p>
<main>
<div>
<section><h2>Segments</h2>{_segments(summary)}</section>
<section><h2>Fields</h2>{_fields(summary)}</section>
</div>
<div>
<section><h2>Charts</h2><div id="where"></div><div id="charts"></div>{_left_out(summary)}</section>
{_images(summary)}{_missing(summary)}</div>
</main>
<script id="data" type="application/json">{_json(_data(summary))}</script>
<script>{script}</script>
</body>
</html>
"""


def _facts(summary: Summary) -> str:
    view, count = summary.view, len(summary.segments.found)
    by = ", ".join(safe(name) for name in summary.model.by)
    rows = f"{view.kept_rows:,} rows" + (f" from row {view.first_row:,} on" * bool(view.first_row))
    what = f"segments by {by}" if by else f"blocks of {summary.segments.block_rows:,} rows"
    return f"{rows}, {len(summary.model.fields):,} fields, {count:,} {what}; {view.nbytes:,} bytes"


def _cell(text: str, value: float | None = None) -> str:
    sort = "" if value is None else f' data-value="{value:.9g}"'
    return f"<td{sort}>{escape(text)}</td>"


def _segments(summary: Summary) -> str:
    found, shown = summary.segments.found, summary.detailed
    if not found:
        return "<p>The store has no rows.</p>"
    summed = summary.segments.summed
    heads = ["segment", "first row", "rows", *(f"sum of {safe(field.name)}" for field in summed)]
    lines = []
    for place, segment in enumerate(shown):
        grows = "" if segment.complete else " …"
        name = f'<a href="#segment={place}">{escape(segment.name)}</a>{grows}'
        cells = [
            f'<td data-value="{place}">{name}</td>',
            _cell(f"{segment.start:,}", segment.start),
            _cell(f"{len(segment):,}", len(segment)),
            *(_cell(number_text(total), total) for total in segment.sums.tolist()),
        ]
        lines.append(f'<tr data-place="{place}">{"".join(cells)}</tr>')
    more = f"The last {len(shown):,} of {len(found):,}. " if len(found) > len(shown) else ""
    head = "".join(f"<th>{escape(cut(text, 40))}</th>" for text in heads)
    return (
        f'<p>{more}<a href="#">Show all rows</a></p><div class="scroll"><table id="segments">'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _present(summary: Summary) -> NDArray[np.int64]:
    """The number of rows that have each field."""
    zeros = np.zeros(len(summary.model.fields), np.int64)
    return sum((segment.present for segment in summary.segments.found), zeros)


def _fields(summary: Summary) -> str:
    rows = summary.view.kept_rows
    fields = summary.model.fields
    lines = []
    for field, present in zip(fields[:MAX_LISTED], _present(summary).tolist(), strict=False):
        statistics = summary.statistics.get(field.name) or [Statistics()]
        names = field.series or (field.name,)
        for name, one in zip(names, statistics, strict=False):
            numbers = (one.low, one.mean, one.high, one.deviation)
            cells = [
                f'<td title="{escape(safe(name))}">{escape(safe(name))}</td>',
                f'<td class="left">{escape(safe(cut(field.spec.text, 40)))}</td>',
                _cell(f"{rows - present:,}"),
                *(_cell(number_text(number)) for number in numbers),
                _cell(f"{one.odd:,}" if one.odd else ""),
            ]
            lines.append(f"<tr>{''.join(cells)}</tr>")
    heads = ("field", "type", "missing", "least", "mean", "greatest", "deviation", "NaN or inf")
    head = "".join(f"<th>{text}</th>" for text in heads)
    more = len(fields) - MAX_LISTED
    note = f"<p>… and {more:,} more fields</p>" if more > 0 else ""
    return (
        f'<div class="scroll"><table id="fields"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>{note}"
    )


def _left_out(summary: Summary) -> str:
    numeric = len(summary.model.numeric)
    shown = len(summary.statistics)
    if not numeric:
        return "<p>The store has no numeric fields.</p>"
    return f"<p>… and {numeric - shown:,} more numeric fields</p>" if numeric > shown else ""


def _images(summary: Summary) -> str:
    if not summary.images:
        return ""
    figures = "".join(
        f'<figure data-place="{place}"><a href="#row={row}"><img src="{data_url(pixels)}" alt=""'
        f' width="{pixels.shape[1]}" height="{pixels.shape[0]}"></a>'
        f"<figcaption>{escape(safe(name))}, row {row:,}</figcaption></figure>"
        for place, row, name, pixels in summary.images
    )
    return f'<section><h2>Images</h2><div id="images">{figures}</div></section>'


def _missing(summary: Summary) -> str:
    """For each field that is missing somewhere, a strip with one pixel per segment."""
    found = summary.segments.found
    rows, present = summary.view.kept_rows, _present(summary)
    places = [place for place in range(len(present)) if present[place] < rows][:100]
    if not places or not found:
        return ""
    lengths = np.array([len(segment) for segment in found], np.float64)
    count = np.array([segment.present for segment in found])
    columns = min(len(found), 300)
    firsts = np.arange(columns) * len(found) // columns
    share = 1 - np.add.reduceat(count, firsts, axis=0) / np.add.reduceat(lengths, firsts)[:, None]
    least, most = np.array([225, 232, 240]), np.array([209, 73, 91])
    lines = []
    for place in places:
        colors = least + (most - least) * share[:, place, None]
        name = escape(safe(summary.model.fields[place].name))
        percent = 100 * (1 - present[place] / rows)
        lines.append(
            f'<tr><td title="{name}">{name}</td><td>{percent:.1f} %</td><td><img class="strip" '
            f'alt="" src="{data_url(np.rint(colors[None]).astype(np.uint8))}"></td></tr>'
        )
    return (
        "<section><h2>Missing fields</h2><p>Share of the rows without the field, and where: from "
        'the first segment to the last.</p><div class="scroll"><table id="missing"><tbody>'
        f"{''.join(lines)}</tbody></table></div></section>"
    )


# --- the numbers of the charts ---


def _data(summary: Summary) -> dict[str, Any]:
    fields = [field for field in summary.model.numeric if field.name in summary.statistics]
    ranges = [summary.statistics[field.name] for field in fields]
    return {
        "fields": [
            {
                "name": safe(field.name),
                "type": safe(cut(field.spec.text, 60)),
                "series": [safe(name) for name in field.series],
                "colors": [color_of(field, series) for series in range(len(field.series))],
                "ranges": [{"low": _number(one.low), "high": _number(one.high)} for one in spans],
            }
            for field, spans in zip(fields, ranges, strict=True)
        ],
        "names": [segment.name for segment in summary.detailed],
        "whole": _part(summary.whole, fields, ranges),
        "parts": [_part(part, fields, ranges) for part in summary.parts],
    }


def _number(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _part(part: Reduced, fields: list[FieldView], ranges: list[list[Statistics]]) -> dict[str, Any]:
    series = []
    for field, spans in zip(fields, ranges, strict=True):
        envelope = part.envelopes.get(field.name)
        if envelope is None:
            series.append([[""] for _ in spans])
            continue
        pairs = []
        for place, span in enumerate(spans):
            low, high = (_scaled(side[:, place], span) for side in (envelope.low, envelope.high))
            pairs.append([low] if low == high else [low, high])
        series.append(pairs)
    pixels = next((one.pixels for one in part.envelopes.values()), 1)
    return {
        "start": part.start,
        "stop": part.stop,
        "pixels": pixels,
        "steps": part.steps.tolist(),
        "series": series,
    }


def _scaled(values: NDArray[np.float64], span: Statistics) -> str:
    """Values as base64 of uint16, scaled to the range of the series."""
    width = span.high / 2 - span.low / 2  # half of it, which cannot overflow
    share = (values / 2 - span.low / 2) / width if width > 0 else np.zeros(len(values))
    words = np.where(np.isnan(values), _NONE, np.rint(np.nan_to_num(share) * _SCALE))
    return base64.b64encode(words.astype("<u2").tobytes()).decode()


def _json(data: object) -> str:
    """JSON that cannot end the script element that contains it."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")
