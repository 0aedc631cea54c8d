"""ViewApp: the terminal application of `stream-store view`.

Four panes: segments; the fields of one, with sparklines; its rows; and one value. The screen reads
only what is visible; `watch.py` does the rest in the background.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import Resize
from textual.widgets import Footer, Input, Static

from stream_store._safe_text import safe
from stream_store._view.model import FieldView, Kind, ViewModel, value_at
from stream_store._view.page import color_of
from stream_store._view.segments import Segment
from stream_store._view.text import cut, number_text, value_text
from stream_store.group import StoreGroup
from stream_store.store import StreamStore

from .drawing import sparkline
from .lines import Lines
from .rows import RowTexts, show_value
from .screens import Help, Stores
from .watch import Watch

_NARROW, _LOW = 72, 18  # with fewer columns or lines, one pane is shown at a time


class ViewApp(App[None]):
    """The application.

    Args:
        store: the store to show, or of a group the first.
        by: as for `ViewModel`.
        group: the group of the store, or None.
    """

    CSS = """
    Lines, #value { border: round $primary-darken-2; height: 1fr; }
    Lines:focus, #value:focus { border: round $accent; }
    #segments { width: 30%; min-width: 36; }
    #fields { height: 2fr; }
    #prompt { dock: bottom; height: 3; display: none; }
    #prompt.asked { display: block; }
    #facts { height: 1; }
    .narrow Lines, .narrow #value { display: none; width: 1fr; min-width: 1; height: 1fr; }
    .narrow #right { width: 1fr; }
    .narrow.segments #right { display: none; }
    .narrow Lines.current, .narrow #value.current { display: block; }
    """
    TITLE = "stream-store view"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "pane(1)", "Pane", priority=True),
        Binding("shift+tab", "pane(-1)", "Back", priority=True, show=False),
        Binding("enter", "enter", "Open"),
        Binding("escape", "leave_pane", "Back", show=False),
        Binding("n", "segment(1)", "Next"),
        Binding("p", "segment(-1)", "Previous"),
        Binding("g", "ask('row')", "Row"),
        Binding("slash", "ask('field')", "Find"),
        Binding("f", "follow", "Follow"),
        Binding("s", "stores", "Stores"),
        Binding("question_mark", "help", "Help"),
        Binding("q", "quit", "Quit"),
    ]
    PANES = ("segments", "fields", "rows", "value")

    def __init__(
        self, store: StreamStore, by: Sequence[str] | None = None, group: StoreGroup | None = None
    ) -> None:
        super().__init__()
        self._by, self._group = by, group
        self._model = ViewModel(store, by)
        self._colors = not os.environ.get("NO_COLOR")
        self._segment: Segment | None = None
        self._found: list[Segment] = []
        self._row = 0
        self._following = store.live
        self._pane = 0
        self._asked = ""
        self._watch: Watch | None = None
        self._rows = RowTexts(self._model)
        self._series: list[tuple[FieldView, int]] = []
        self._values: dict[str, tuple[int, str]] = {}

    # --- the screen ---

    def compose(self) -> ComposeResult:
        yield Static(id="facts")
        with Horizontal():
            yield Lines(self._segment_line, self._segment_header, "segments")
            with Vertical(id="right"):
                yield Lines(self._field_line, self._field_header, "fields")
                yield Lines(self._row_line, self._row_header, "rows")
                with VerticalScroll(id="value"):
                    yield Static(id="text")
        yield Input(id="prompt")
        yield Footer()

    def on_mount(self) -> None:
        self._start(self._model)
        self._show_pane()

    def on_unmount(self) -> None:
        if self._watch is not None:
            self._watch.close()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the key of groups for a single store."""
        del parameters
        return self._group is not None if action == "stores" else True

    def _start(self, model: ViewModel) -> None:
        """Show a store, from its beginning or, if it is written, from its end."""
        if self._watch is not None:
            self._watch.close()
        self._model = model
        self._segment, self._found = None, []
        self._read_fields()
        self._following = model.store.live
        self._watch = Watch(model, self._tell)
        self._row = self._watch.view.first_row
        self._update()

    def _read_fields(self) -> None:
        self._rows = RowTexts(self._model)
        self._values = {}
        self._series = [
            (field, series)
            for field in self._model.fields
            for series in range(max(len(field.components), 1))
        ]
        self._lines("fields").set_count(len(self._series))
        self._fields_of = self._model.fields

    def _tell(self) -> None:
        """Called by the thread of the watch."""
        watch = self._watch
        if watch is not None and self.is_running:
            self.call_later(self._update)

    def _lines(self, name: str) -> Lines:
        lines: Lines = self.query_one(f"#{name}", Lines)
        return lines

    def _update(self) -> None:
        """Draw the findings of the watch."""
        watch = self._watch
        if watch is None or not self.is_running or len(self.screen_stack) > 1:
            return
        if self._model.fields is not self._fields_of:
            self._read_fields()
        self._found = watch.segments.found
        self._lines("segments").set_count(len(self._found))
        view = watch.view
        if self._following and self._found:
            self._row = view.num_rows - 1
            self._choose(self._found[-1])
        elif self._found:
            self._choose(self._at_number() or self._found[0])
        self._facts()
        self._ask_for_series()
        for name in ("segments", "fields", "rows"):
            self._lines(name).refresh()

    def _at_number(self) -> Segment | None:
        """The chosen segment: the same one, which may have grown, or the first that is left."""
        if self._segment is None or not self._found:
            return None
        place = self._segment.number - self._found[0].number
        return self._found[max(0, min(place, len(self._found) - 1))]

    def _facts(self) -> None:
        watch, store = self._watch, self._model.store
        assert watch is not None
        view = watch.view
        state = "live" if store.live else "closed"
        parts = [
            f"{view.kept_rows:,} rows" + f" from {view.first_row:,}" * bool(view.first_row),
            state + ", following" * self._following,
        ]
        if watch.error is not None:
            parts.insert(0, f"cannot be read: {watch.error}")
        elif watch.scanning:
            kept = max(view.kept_rows, 1)
            done = 100 * (watch.segments.scanned - view.first_row) // kept
            parts.append(f"finding segments: {done} %")
        path = safe(str(store.path or "temporary store"))
        self.query_one("#facts", Static).update(Text(f"{path}: {safe(', '.join(parts))}"))

    def _ask_for_series(self) -> None:
        if self._watch is None:
            return
        wanted = [self._series[line][0] for line in self._lines("fields").visible_lines()]
        fields = list(dict.fromkeys(field for field in wanted if field.components))
        self._watch.want(self._segment, fields)

    def _choose(self, segment: Segment) -> None:
        """Show a segment; the row stays if it is inside."""
        self._segment = segment
        lines = self._lines("segments")
        place = segment.number - self._found[0].number
        if lines.cursor != place:
            lines.go(place)
        self._row = max(segment.start, min(self._row, segment.stop - 1))
        rows = self._lines("rows")
        rows.set_count(len(segment))
        if rows.cursor != self._row - segment.start:
            rows.go(self._row - segment.start)
        self._show_value()

    def _show_value(self) -> None:
        watch = self._watch
        if watch is None or not self._series or self._segment is None:
            return
        field, _ = self._series[self._lines("fields").cursor]
        pane = self.query_one("#value", VerticalScroll)
        pane.border_title = Text(f"{cut(safe(field.name), 40)} of row {self._row}")
        size = pane.size
        if not size.width or not size.height:
            return
        text = show_value(
            watch.view, field, self._row, size.height, size.width - 1, colors=self._colors
        )
        self.query_one("#text", Static).update(text)

    # --- the lines of the lists ---

    def _segment_header(self, _line: int, _width: int) -> str:
        watch = self._watch
        by = ", ".join(self._model.by) or "block"
        sums = [] if watch is None else [field.name for field in watch.segments.summed]
        heads = "".join(f" {cut(safe(name), 9):>9}" for name in sums)
        return f"{cut(safe(by), 8):<8}{'rows':>8} {'missing':>7}{heads}"

    def _segment_line(self, line: int, _width: int) -> str:
        if line >= len(self._found):
            return ""
        segment = self._found[line]
        sums = "".join(f" {cut(number_text(total), 9):>9}" for total in segment.sums.tolist())
        missing = int((segment.present < len(segment)).sum())
        name = cut(segment.name, 7) + ("" if segment.complete else "…")
        return f"{name:<8}{len(segment):>8} {missing or '':>7}{sums}"

    def _field_header(self, _line: int, width: int) -> str:
        name, value, bars = _widths(width)
        in_row = "in the row"[:value]
        return f"{'field':<{name}} {in_row:<{value}} {'':<{bars}} range, missing rows"

    def _field_line(self, line: int, width: int) -> Text:
        if line >= len(self._series) or self._watch is None:
            return Text()
        field, series = self._series[line]
        name, room, bars = _widths(width)
        shown = field.series[series] if field.components else field.name
        value = cut(self._value(field, series), room)
        text = Text(f"{cut(safe(shown), name):<{name}} {value:<{room}} ")
        segment = self._segment
        if segment is None:
            return text
        missing = len(segment) - int(segment.present[self._model.fields.index(field)])
        if field.components:
            envelope = self._watch.series(segment, field)
            if envelope is None:
                return text.append("…")
            low, high = envelope.low[:, series], envelope.high[:, series]
            drawn = sparkline(*_narrowed(low, high, bars))
            text.append(f"{drawn:<{bars}}", color_of(field, series) if self._colors else "")
            if not np.isnan(low).all():
                least, most = np.nanmin(low), np.nanmax(high)
                text.append(f" {number_text(float(least))} … {number_text(float(most))} ")
        else:
            text.append(f"{cut(safe(field.spec.text), bars):<{bars}}")
        return text.append(f" {missing:,} missing" if missing else "")

    def _value(self, field: FieldView, series: int) -> str:
        """The short value of a field in the chosen row. The latest one is remembered."""
        watch = self._watch
        assert watch is not None
        if field.kind is Kind.IMAGE:
            return "image"
        known = self._values.get(field.name)
        if known is None or known[0] != self._row:
            if len(self._values) > 4096:
                self._values = {}
            known = self._values[field.name] = (self._row, self._read_value(field))
        if len(field.components) > 1:
            parts = known[1].split("\t")
            return parts[series] if series < len(parts) else known[1]
        return known[1]

    def _read_value(self, field: FieldView) -> str:
        watch = self._watch
        assert watch is not None
        try:
            value = value_at(watch.view, field, self._row)
        except Exception:
            return "?"
        if value is not None and len(field.components) > 1:
            return "\t".join(value_text(item, 12) for item in np.ravel(value))
        return value_text(value, 12)

    def _row_header(self, _line: int, _width: int) -> str:
        return "row"

    def _row_line(self, line: int, width: int) -> str:
        if self._segment is None or self._watch is None:
            return ""
        return cut(self._rows.line(self._watch.view, self._segment.start + line), width)

    # --- keys ---

    def on_lines_moved(self, message: Lines.Moved) -> None:
        name, line = message.lines.id, message.line
        if name == "segments" and line < len(self._found):
            self._following = False
            self._choose(self._found[line])
        elif name == "rows" and self._segment is not None and line < len(self._segment):
            self._following = False
            self._row = self._segment.start + line
            self._choose(self._segment)
        elif name != "fields":
            return
        self._show_value()
        self._facts()
        self._ask_for_series()
        self._lines("fields").refresh()

    def action_pane(self, by: int) -> None:
        if len(self.screen_stack) > 1:
            return
        self._pane = (self._pane + by) % len(self.PANES)
        self._show_pane()

    def action_enter(self) -> None:
        if self._pane < len(self.PANES) - 1:
            self.action_pane(1)

    def action_leave_pane(self) -> None:
        prompt = self.query_one("#prompt", Input)
        if prompt.has_class("asked"):
            prompt.remove_class("asked")
            self._show_pane()
        elif self._pane:
            self.action_pane(-1)

    def _show_pane(self) -> None:
        for place, name in enumerate(self.PANES):
            pane = self.query_one(f"#{name}")
            pane.set_class(place == self._pane, "current")
            self.screen_stack[0].set_class(place == self._pane, name)
            if place == self._pane:
                pane.focus()
        self.call_after_refresh(self._show_value)
        self.call_after_refresh(self._ask_for_series)

    def on_descendant_focus(self) -> None:
        """A click may have changed the pane."""
        focused = self.focused
        if focused is not None and focused.id in self.PANES:
            self._pane = self.PANES.index(focused.id)

    def on_resize(self, event: Resize) -> None:
        narrow = event.size.width < _NARROW or event.size.height < _LOW
        self.screen_stack[0].set_class(narrow, "narrow")
        self.call_after_refresh(self._show_value)
        self.call_after_refresh(self._ask_for_series)

    def action_segment(self, by: int) -> None:
        if self._segment is None:
            return
        place = self._segment.number - self._found[0].number + by
        if 0 <= place < len(self._found):
            self._following = False
            self._row = self._found[place].start
            self._choose(self._found[place])
            self._update()

    def action_follow(self) -> None:
        self._following = not self._following
        self._update()

    def action_help(self) -> None:
        self.push_screen(Help())

    def action_stores(self) -> None:
        group = self._group
        if group is None:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            group.refresh()
        self.push_screen(Stores(group), self._open)

    def _open(self, name: str | None) -> None:
        if name is None or self._group is None:
            return
        try:
            self._start(ViewModel(self._group[name], self._by))
        except (KeyError, OSError, ValueError) as error:
            self.notify(safe(str(error)), severity="error")

    def action_ask(self, what: str) -> None:
        prompt = self.query_one("#prompt", Input)
        self._asked = what
        prompt.value = ""
        prompt.placeholder = "row number" if what == "row" else "part of the name of a field"
        prompt.add_class("asked")
        prompt.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.input.remove_class("asked")
        find: Callable[[str], str | None] = (
            self._find_row if self._asked == "row" else self._find_field
        )
        problem = find(event.value.strip())
        if problem is not None:
            self.notify(problem, severity="warning", markup=False)
        self._show_pane()

    def _find_row(self, text: str) -> str | None:
        """Go to a row; returns why that is not possible."""
        if not text.isdecimal() or len(text) > 18:
            return f"expected the number of a row, but found {text!r}"
        found, row = self._found, int(text)
        if not found or not found[0].start <= row < found[-1].stop:
            seen = f"[{found[0].start}, {found[-1].stop})" if found else "none"
            return f"row {row} is not among the rows that were found so far: {seen}"
        starts = np.array([segment.start for segment in found])
        self._following = False
        self._row = row
        self._choose(found[int(np.searchsorted(starts, row, side="right")) - 1])
        self._pane = self.PANES.index("rows")
        self._update()
        return None

    def _find_field(self, text: str) -> str | None:
        """Go to the next field whose name contains a text; returns why that is not possible."""
        lines = self._lines("fields")
        count = len(self._series)
        for after in range(1, count + 1):
            place = (lines.cursor + after) % count
            if text.casefold() in self._series[place][0].name.casefold():
                lines.go(place)
                self._pane = self.PANES.index("fields")
                return None
        return f"no field has {text!r} in its name"


def _widths(width: int) -> tuple[int, int, int]:
    """Columns of a field's name, of its value in the row, and of its sparkline."""
    name = max(6, min(24, width // 4))
    value = 12 if width >= 56 else 0
    return name, value, max(4, width - name - value - (32 if width >= 70 else 2))


def _narrowed(
    low: NDArray[np.float64], high: NDArray[np.float64], width: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same ranges in at most `width` parts."""
    if len(low) <= width:
        return low, high
    firsts = np.arange(width) * len(low) // width
    return np.fmin.reduceat(low, firsts), np.fmax.reduceat(high, firsts)
