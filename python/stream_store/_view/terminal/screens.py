"""The screens over the application: the keys, and the stores of a group."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from stream_store._safe_text import safe
from stream_store.group import StoreGroup

from .lines import Lines

Result = TypeVar("Result")

HELP = """\
Keys

  up, down, page up, page down, home, end   move in a list; left, right shift it
  tab, shift+tab    next pane, previous pane
  enter, escape     go into the chosen segment, field or row; go back
  n, p              next segment, previous segment
  g                 go to a row by its number
  /                 go to the next field whose name contains a text
  f                 follow: stay at the last row while a writer appends
  s                 choose another store of the group
  ?                 this help
  q                 quit

Segments: name, number of rows, number of fields that are missing in some row, and
the sums of the scalar fields. … marks the last segment while it may still grow.

Fields: the value in the chosen row, then one character per part of the segment:
each shows the value that is farthest from the middle, so spikes stay visible. A gap
is a part without a value. At the end: least and greatest value, and missing rows.
A list and a field with more than 8 numbers a row are one band over all their items.

Images are two pixels per character. Of a stack of frames the last one is shown.

Press any key to close."""


class _Closing(ModalScreen[Result]):
    """A screen that keys close.

    A key that was pressed before the screen had closed still arrives afterwards. It must not close
    the screen below.
    """

    def close(self, result: Result | None = None) -> None:
        """Dismiss the screen, unless it was dismissed before."""
        if self.is_current:
            self.dismiss(result)


class Help(_Closing[None]):
    """The keys."""

    DEFAULT_CSS = """
    Help { align: center middle; }
    Help VerticalScroll { width: 90; max-width: 100%; height: auto; max-height: 100%;
        border: round $accent; padding: 0 1; background: $surface; }
    """

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(Text(HELP))

    def on_key(self) -> None:
        self.close()


class Stores(_Closing[str | None]):
    """The stores of a group; enter chooses one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Choose"),
        Binding("escape,q", "leave", "Back"),
    ]
    DEFAULT_CSS = """
    Stores { align: center middle; }
    Stores Lines { width: 70; max-width: 100%; height: 80%; border: round $accent;
        background: $surface; }
    """

    def __init__(self, group: StoreGroup) -> None:
        super().__init__()
        self._group = group
        self._names = sorted(group)

    def compose(self) -> ComposeResult:
        lines = Lines(self._line, lambda _line, _width: f"stores of {self._group.path}", "stores")
        yield lines
        yield Footer()

    def on_mount(self) -> None:
        self.query_one(Lines).set_count(len(self._names))
        self.query_one(Lines).focus()

    def _line(self, line: int, _width: int) -> str:
        name = self._names[line]
        try:
            return f"{safe(name)}  {self._group[name].kept_rows:,} rows"
        except Exception as error:  # the store has left the group
            return f"{safe(name)}  {safe(str(error))}"

    def action_choose(self) -> None:
        if self._names:
            self.close(self._names[self.query_one(Lines).cursor])

    def action_leave(self) -> None:
        self.close()
