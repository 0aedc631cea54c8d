"""`stream-store view` in the terminal, driven by keys without a terminal."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from store_helpers import data_file
from stream_store import StoreGroup, StreamStore
from view_helpers import EVIL, FIELDS, fill, filled

pytest.importorskip("textual")
from textual.events import Key

from stream_store._cli import view as _cli_view
from stream_store._view.terminal import ViewApp
from stream_store._view.terminal.drawing import draw_picture, sparkline
from stream_store._view.terminal.screens import Help, Stores

PATIENCE = 20.0


class Terminal:
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


class Driver:
    """A running application and its visible state."""

    def __init__(self, app: ViewApp, pilot: Any) -> None:
        self.app, self.pilot = app, pilot

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def ask(self, key: str, text: str) -> None:
        """Type a text into the prompt that a key opens."""
        await self.press(key)
        await self.until(lambda: self.app.focused.id == "prompt")
        await self.press(*text, "enter")
        await self.until(lambda: self.app.focused.id != "prompt")

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that the background finds."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, self.text()
            await self.pilot.pause(0.02)

    async def scanned(self) -> None:
        await self.until(lambda: bool(self.app._found) and not self.app._watch.scanning)
        await self.until(lambda: self.app._found is self.app._watch.segments.found)

    def lines(self, pane: str) -> list[str]:
        """The text of the visible lines of a list."""
        lines = self.app.query_one(f"#{pane}")
        count = lines.size.height
        return [lines.render_line(y).text.rstrip() for y in range(count)]

    def value(self) -> str:
        return str(self.app.query_one("#text").render())

    def text(self) -> str:
        facts = str(self.app.query_one("#facts").render())
        panes = ("segments", "fields", "rows")
        return "\n".join([facts, *(line for pane in panes for line in self.lines(pane))])


def drive(
    store: StreamStore,
    play: Callable[[Driver], Awaitable[None]],
    size: tuple[int, int] = (160, 50),
    **arguments: Any,
) -> None:
    """Run the application and play with it."""

    async def run() -> None:
        app = ViewApp(store, **arguments)
        async with app.run_test(size=size) as pilot:
            await play(Driver(app, pilot))
        assert app._exception is None

    asyncio.run(run())


def test_it_shows_segments_fields_rows_and_values(tmp_path: Path) -> None:
    async def play(driver: Driver) -> None:
        await driver.scanned()
        lines = driver.lines("segments")
        assert lines[0].split() == ["episode", "rows", "missing", "reward", "arm.pos"]
        assert [line.split() for line in lines[1:6]] == [
            [f"{episode}" + "…" * (episode == 4), "20", "3", "15", "90"] for episode in range(5)
        ]
        await driver.until(lambda: "…" not in driver.lines("fields")[2].split("  ")[-1][:1])
        fields = {line.split()[0]: line for line in driver.lines("fields")[1:] if line}
        assert list(fields) == [
            "episode", "obs[0]", "obs[1]", "reward", "done", "lidar", "list", "note", "frame",
            "when", "arm.grip", "arm.pos",
        ]  # fmt: skip
        await driver.until(lambda: "█" in driver.lines("fields")[3])
        assert "1,000" in driver.lines("fields")[3]  # the spike of obs[1]
        assert "5 missing" in driver.lines("fields")[4]
        assert "image" in fields["frame"]
        rows = driver.lines("rows")
        assert rows[2].startswith("1  step 1  episode=0 obs=[")
        assert "reward=1 done=False" in rows[2]

    drive(filled(tmp_path / "run", 5), play)


def test_keys_move_between_segments_panes_and_rows(tmp_path: Path) -> None:
    async def play(driver: Driver) -> None:
        app = driver.app
        await driver.scanned()
        await driver.press("n", "n")
        assert (app._segment.number, app._row) == (2, 40)
        await driver.press("p")
        assert (app._segment.number, app._row) == (1, 20)
        await driver.press("end")
        assert app._segment.number == 4
        await driver.press("home", "down")
        assert app._segment.number == 1
        await driver.press("tab", "tab", "down", "down", "pagedown", "home", "down")
        assert (app.focused.id, app._row) == ("rows", 21)
        await driver.press("escape")
        assert app.focused.id == "fields"
        await driver.press("enter", "enter", "enter")
        assert app.focused.id == "value"
        await driver.ask("g", "65")
        assert (app._segment.number, app._row, app.focused.id) == (3, 65, "rows")
        await driver.ask("g", "999")
        assert app._row == 65
        assert "row 999 is not among" in next(iter(app._notifications)).message
        await driver.ask("slash", "note")
        assert app.focused.id == "fields"
        await driver.ask("g", "3")
        assert driver.value().startswith("</script><img")
        assert "\x1b" not in driver.value()
        await driver.press("question_mark")
        assert isinstance(app.screen, Help)
        await driver.press("q")
        assert not isinstance(app.screen, Help)

    drive(filled(tmp_path / "run", 5), play)


def test_images_are_half_blocks_in_their_colors(tmp_path: Path) -> None:
    async def play(driver: Driver) -> None:
        await driver.scanned()
        await driver.ask("g", "90")
        await driver.ask("slash", "frame")
        await driver.until(lambda: "▀" in driver.value())
        assert "6x4x3 from 4 to 4" in driver.value()

    drive(filled(tmp_path / "run", 5), play)


def test_it_follows_a_writer(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "run", fields=FIELDS) as writer:

        async def play(driver: Driver) -> None:
            app = driver.app
            assert app._following
            await driver.pilot.pause()
            assert driver.lines("segments")[1] == ""
            fill(writer, 2)
            await driver.until(lambda: len(app._found) == 2 and app._row == 39)
            writer.extend({"episode": [1, 1, 7]})
            await driver.until(lambda: app._row == 42 and app._segment.label == 7)
            assert len(app._found[1]) == 22
            await driver.press("home")
            assert app._row <= 19
            writer.extend({"episode": [7] * 100})
            await driver.until(lambda: len(app._found[-1]) == 101)
            assert app._segment.number == 0  # following has ended
            await driver.press("f")
            assert app._row == 142
            writer.add_fields({"extra": "float32"})
            writer.extend({"episode": [7], "extra": [2.5]})
            await driver.until(lambda: any("extra" in line for line in driver.lines("fields")))

        drive(StreamStore(tmp_path / "run", "r"), play)


def test_rows_that_are_dropped_meanwhile_leave(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "run", fields=FIELDS) as writer:
        fill(writer, 6)

        async def play(driver: Driver) -> None:
            app = driver.app
            await driver.scanned()
            await driver.press("f", "home")
            assert app._row <= 19
            writer.drop_before(70)
            await driver.until(lambda: bool(app._found) and app._found[0].number == 3)
            await driver.until(lambda: app._segment is not None and app._segment.number >= 3)
            assert app._watch.error is None
            writer.extend({"episode": [9]})
            await driver.until(lambda: app._found[-1].label == 9)
            await driver.press("end", "home", "tab", "tab", "home")
            assert not any("dropped" in line for line in driver.lines("fields"))

        drive(StreamStore(tmp_path / "run", "r"), play)


@pytest.mark.parametrize("size", [(20, 8), (71, 30), (72, 18), (10, 3)])
def test_it_fits_any_size(tmp_path: Path, size: tuple[int, int]) -> None:
    async def play(driver: Driver) -> None:
        await driver.scanned()
        for pane in ("segments", "fields", "rows", "value"):
            await driver.until(lambda pane=pane: driver.app.focused.id == pane)
            shown = [name for name in driver.app.PANES if driver.app.query_one(f"#{name}").region]
            assert pane in shown
            assert len(shown) == (1 if size[0] < 72 or size[1] < 18 else 4)
            await driver.press("down", "end", "tab")

    drive(filled(tmp_path / "run", 2), play, size)


@pytest.mark.parametrize(
    ("fields", "rows"),
    [
        ({"x": "float32"}, {}),
        ({"x": "string", "y": "binary"}, {"x": ["a\x07" * 10**5, None], "y": [b"\x00" * 9, None]}),
        ({"x": "float64"}, {"x": [np.nan, np.inf, -1.7e308, 1.7e308, None]}),
        ({"x": "float32[]"}, {"x": [[], None, list(range(10**5))]}),
        ({"x": "packed uint8[None,2,3]"}, {"x": [np.zeros((0, 2, 3), np.uint8), None]}),
        ({EVIL: "nested list<string>"}, {EVIL: [[EVIL], None]}),
        ({f"field {i}": "int8" for i in range(3000)}, {"field 7": [1, 2]}),
    ],
    ids=["no-rows", "text", "odd", "long", "no-image", "nested", "many"],
)
def test_odd_stores_are_shown(fields: Any, rows: Any) -> None:
    store = StreamStore(fields=fields)
    if rows:
        store.extend({name: rows.get(name, [None] * 2) for name in fields})

    async def play(driver: Driver) -> None:
        if rows:
            await driver.scanned()
        await driver.press("tab", "end", "tab", "end", "tab", "n", "p", "f", "f")
        await driver.pilot.pause(0.1)
        assert driver.app._watch.error is None
        assert "\x1b" not in driver.text()
        assert "\x07" not in driver.text() + driver.value()

    drive(store, play)


def test_a_damaged_store_is_described_and_does_not_end_the_view(tmp_path: Path) -> None:
    store = filled(tmp_path / "run", 3)
    file = data_file(tmp_path / "run", "records")
    with file.open("r+b") as records:  # its pages are mapped, so the store sees this
        records.write(b"\xff" * file.stat().st_size)

    async def play(driver: Driver) -> None:
        app = driver.app
        await driver.until(lambda: app._watch.error is not None)
        assert "cannot be read" in driver.text()
        await driver.press("tab", "tab", "tab", "n", "p", "f", "g", "1", "enter")

    drive(store, play)


def test_a_group_offers_its_stores(tmp_path: Path) -> None:
    group = StoreGroup(tmp_path / "runs", fields={"x": "int8"})
    for name in ("a", "b"):
        with group.writer(name) as store:
            store.extend({"x": [1] * (3 if name == "a" else 5)})
    group.refresh()

    async def play(driver: Driver) -> None:
        app = driver.app
        await driver.scanned()
        assert len(app._found[0]) == 3
        await driver.press("s")
        assert isinstance(app.screen, Stores)
        await driver.press("down", "enter")
        await driver.until(lambda: bool(app._found) and len(app._found[0]) == 5)
        await driver.press("s", "escape")
        assert not isinstance(app.screen, Stores)
        assert len(app._found[0]) == 5

    drive(group["a"], play, group=group)


def test_keys_that_arrive_together_close_a_screen_once(tmp_path: Path) -> None:
    """A held key closed the help and then the application's own screen, with a traceback."""
    group = StoreGroup(tmp_path / "runs", fields={"x": "int8"})
    with group.writer("a") as store:
        store.extend({"x": [1, 2]})
    group.refresh()

    async def play(driver: Driver) -> None:
        app = driver.app
        await driver.scanned()
        for opens, kind, key in (
            ("question_mark", Help, "down"),
            ("question_mark", Help, "x"),
            ("s", Stores, "enter"),
            ("s", Stores, "escape"),
        ):
            await driver.press(opens)
            assert isinstance(app.screen, kind)
            for _ in range(3):
                app.post_message(Key(key, key if len(key) == 1 else None))
            await driver.until(lambda: len(app.screen_stack) == 1)
            await driver.pilot.pause()
            assert app._exception is None

    drive(group["a"], play, group=group)


def test_an_error_inside_the_application_ends_the_command_with_a_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(_app: ViewApp) -> None:
        raise RuntimeError("a fault of the view")

    async def ask_for_help(pilot: Any) -> None:
        pilot.app.post_message(Key("question_mark", "?"))

    run = functools.partialmethod(ViewApp.run, headless=True, auto_pilot=ask_for_help)
    monkeypatch.setattr(ViewApp, "run", run)
    monkeypatch.setattr(ViewApp, "action_help", fail)
    monkeypatch.setattr(_cli_view, "sys", SimpleNamespace(stdin=Terminal(), stdout=Terminal()))
    monkeypatch.setenv("TERM", "xterm")
    with pytest.raises(SystemExit) as ended:
        _cli_view._terminal(filled(tmp_path / "s"), [], None)
    assert ended.value.code == 3
    assert "a fault of the view" in capfd.readouterr().err


# --- drawing ---


def test_sparklines_show_spikes_in_both_directions_and_gaps() -> None:
    flat = np.zeros(9)
    assert set(sparkline(flat, flat)) == {"▄"}
    up, down = flat.copy(), flat.copy()
    up[4], down[2] = 9, -9
    assert sparkline(flat, up).index("█") == 4
    assert sparkline(down, flat).index("▁") == 2
    gap = flat.copy()
    gap[3] = np.nan
    assert sparkline(gap, gap) == "▄▄▄ ▄▄▄▄▄"
    assert sparkline(np.array([-1.7e308, 1.7e308]), np.array([-1.7e308, 1.7e308])) == "▁█"
    assert sparkline(np.full(3, np.nan), np.full(3, np.nan)) == "   "


def test_pictures_have_colors_or_shades() -> None:
    pixels = np.zeros((4, 3, 3), np.uint8)
    pixels[1] = [255, 0, 0]
    text = draw_picture(pixels, 10, 10, colors=True)
    assert text.plain == "▀▀▀\n▀▀▀\n"
    style = text.spans[0].style
    assert (style.color.triplet, style.bgcolor.triplet) == ((0, 0, 0), (255, 0, 0))
    pixels[:] = 255
    assert set(draw_picture(pixels, 10, 10, colors=False).plain) == {"█", "\n"}
    assert (
        draw_picture(np.zeros((1, 500, 3), np.uint8), 1, 20, colors=True).plain == "▀" * 20 + "\n"
    )
