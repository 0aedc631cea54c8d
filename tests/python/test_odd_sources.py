"""Sources and names that do not fit: the errors name what was expected, and terminals are safe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stream_store import StoreGroup, StreamStore, WindowSource


@pytest.mark.parametrize(("store", "error"), [("run", TypeError), (5, TypeError), ([5], TypeError)])
def test_window_source_names_the_stores_it_takes(store: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="store must be a StreamStore"):
        WindowSource(store, 1)


def test_window_source_names_an_empty_group(tmp_path: Path) -> None:
    group = StoreGroup(tmp_path / "group", fields={"x": "int64"})
    with pytest.raises(ValueError, match="the group has no stores"):
        WindowSource(group, 1, unit="row")


def test_window_source_refuses_rows_that_are_no_pair() -> None:
    store = StreamStore(fields={"x": "int64"})
    with pytest.raises((TypeError, ValueError), match="rows must be"):
        WindowSource(store, 1, unit="row", rows=5)


def test_command_escapes_names_that_a_terminal_would_obey(capsys: Any) -> None:
    pytest.importorskip("typer")
    from stream_store._cli.output import say, show_table, warn

    say("a\x1b[31m")
    warn("b\x1b[31m")
    show_table(["c\x1b[31m"], [["d\u202e"]])
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert "\u202e" not in shown.out
