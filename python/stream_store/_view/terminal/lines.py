"""Lines: a list of any number of lines, of which only the visible ones are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

#: Makes the text of a line from its number and the width.
MakeLine = Callable[[int, int], Text | str]


class Lines(ScrollView):
    """A list with a cursor. `make` is called for the visible lines whenever they are drawn."""

    can_focus = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "jump(0)", "First", show=False),
        Binding("end", "jump(-1)", "Last", show=False),
        Binding("left", "shift(-8)", "Left", show=False),
        Binding("right", "shift(8)", "Right", show=False),
    ]
    DEFAULT_CSS = "Lines { height: 1fr; overflow-x: hidden; }"

    class Moved(Message):
        """A key or a click has moved the cursor to a line.

        The message has the line, because until it arrives the cursor may have moved again.
        """

        def __init__(self, lines: Lines, line: int) -> None:
            super().__init__()
            self.lines, self.line = lines, line

        @property
        def control(self) -> Lines:
            return self.lines

    def __init__(self, make: MakeLine, header: MakeLine, id: str) -> None:
        super().__init__(id=id)
        self._make = make
        self._header = header
        self.count = 0
        self.cursor = 0
        self._left = 0  # columns that are scrolled out of view

    def set_count(self, count: int) -> None:
        """Change the number of lines; the cursor stays inside."""
        if count != self.count:
            self.count = count
            self.virtual_size = Size(1, count + 1)
        self.cursor = max(0, min(self.cursor, count - 1))
        self.refresh()

    def go(self, line: int) -> None:
        """Set the cursor without a message."""
        self.cursor = max(0, min(line, self.count - 1))
        self.refresh()
        # The header covers one line, so one more has to be visible above the cursor.
        self.scroll_to_region(
            Region(0, self.cursor, 1, 2), animate=False, force=True, immediate=True
        )

    def visible_lines(self) -> range:
        """The numbers of the lines that can be seen."""
        top = self.scroll_offset.y
        return range(top, max(top, min(top + max(self.size.height - 1, 0), self.count)))

    def action_move(self, by: int) -> None:
        self._go_and_tell(self.cursor + by)

    def action_page(self, by: int) -> None:
        self._go_and_tell(self.cursor + by * max(self.size.height - 2, 1))

    def action_jump(self, to: int) -> None:
        self._go_and_tell(0 if to == 0 else self.count - 1)

    def action_shift(self, by: int) -> None:
        self._left = max(0, min(self._left + by, 400))
        self.refresh()

    def on_click(self, event: object) -> None:
        line = self.scroll_offset.y + getattr(event, "y", 0) - 1 - self.gutter.top
        if 0 <= line < self.count:
            self._go_and_tell(line)

    def _go_and_tell(self, line: int) -> None:
        before = self.cursor
        self.go(line)
        if self.cursor != before:
            self.post_message(self.Moved(self, self.cursor))

    def render_line(self, y: int) -> Strip:
        left, right = self._left, self._left + self.size.width
        place = self.scroll_offset.y + y - 1
        if y == 0:
            text, style = self._header(-1, right), Style(bold=True, dim=True)
        elif place < self.count:
            text = self._make(place, right)
            style = Style(reverse=place == self.cursor)
        else:
            text, style = "", Style()
        if isinstance(text, str):
            segments = [Segment(text, style)]
        else:
            segments = [
                Segment(piece.text, (piece.style or Style()) + style)
                for piece in text.render(self.app.console, end="")
            ]
        strip = Strip(segments).adjust_cell_length(right, style).crop(left, right)
        return strip.apply_style(self.rich_style)
