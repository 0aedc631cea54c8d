"""The text of rows and values, read from a store when they become visible."""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Any

import numpy as np
from rich.text import Text

from stream_store._safe_text import safe
from stream_store._view.model import FieldView, Kind, ViewModel, read_columns, value_at
from stream_store._view.pictures import picture_of
from stream_store._view.readable import Readable
from stream_store._view.text import cut, value_text
from stream_store.errors import DroppedError

from .drawing import draw_picture

_AT_ONCE = 64  # rows
_CACHED = 32  # blocks of rows
_FIELDS = 24  # in the line of a row
_TEXT = 100_000  # characters of a value


class RowTexts:
    """The lines of rows: step and values of the first fields. Keeps the latest blocks."""

    def __init__(self, model: ViewModel) -> None:
        self._model = model
        small = [field for field in model.fields if field.kind is not Kind.IMAGE]
        self._fields = [field for field in small if field.items is None or field.items <= 64]
        del self._fields[_FIELDS:]
        self._blocks: OrderedDict[tuple[int, int], list[str]] = OrderedDict()

    def line(self, view: Readable, row: int) -> str:
        """The text of a row, or why it cannot be read."""
        first = max(row - row % _AT_ONCE, view.first_row)
        last = min(row - row % _AT_ONCE + _AT_ONCE, view.num_rows)
        if not first <= row < last:
            return f"{row}  dropped" if row < first else ""
        key = first, last
        if key not in self._blocks:
            self._blocks[key] = self._read(view, first, last)
            while len(self._blocks) > _CACHED:
                self._blocks.popitem(last=False)
        return self._blocks[key][row - first]

    def _read(self, view: Readable, first: int, last: int) -> list[str]:
        try:
            steps = self._model.steps(view, first, last).tolist()
            lines = [f"{row}  step {step} " for row, step in enumerate(steps, first)]
            for field in self._fields:
                options = {"max_length": {field.name: 7}} if field.items is None else {}
                lists = field.kind is Kind.VECTOR and field.items is None
                columns = read_columns(view, [field], first, last, **(options if lists else {}))
                values, present = columns[0]
                name = safe(cut(field.name, 20))
                for place in np.flatnonzero(present).tolist():
                    lines[place] += f" {name}={value_text(values[place], 30)}"
        except DroppedError:
            return [f"{row}  dropped" for row in range(first, last)]
        except Exception as error:
            return [f"{row}  {safe(str(error))}" for row in range(first, last)]
        return lines


def show_value(
    view: Readable, field: FieldView, row: int, height: int, width: int, *, colors: bool
) -> Text:
    """The whole value of a field in a row: an image, text, or numbers."""
    if not view.first_row <= row < view.num_rows:
        return Text("the row was dropped" if row < view.first_row else "no row")
    try:
        value = value_at(view, field, row)
    except DroppedError:
        return Text("the row was dropped")
    except Exception as error:
        return Text(safe(str(error), lines=True))
    if value is None:
        return Text("missing")
    if field.kind is Kind.IMAGE:
        pixels = picture_of(field, value)
        if pixels is not None:
            shape = "" if field.encoded else f"{'x'.join(map(str, np.shape(value)))} "
            least, most = int(pixels.min()), int(pixels.max())
            text = draw_picture(pixels, height - 1, width, colors=colors)
            return text.append(f"{shape}from {least} to {most}")
    return Text(_text(value, field))


def _text(value: Any, field: FieldView) -> str:
    if isinstance(value, bytes):
        return f"{len(value):,} bytes: {value[:2000].hex(' ')}{' …' if len(value) > 2000 else ''}"
    if isinstance(value, str):
        text = value
    elif field.spec.nested:
        text = json.dumps(value, ensure_ascii=False, indent=1, default=str)
    else:
        text = np.array2string(np.asarray(value), threshold=2000, max_line_width=100)
    names = field.spec.class_names
    if names is not None and np.ndim(value) == 0 and 0 <= int(value) < len(names):
        text += f" {names[int(value)]}"
    more = f"\n… {len(text) - _TEXT:,} more characters" if len(text) > _TEXT else ""
    return safe(text[:_TEXT], lines=True) + more
