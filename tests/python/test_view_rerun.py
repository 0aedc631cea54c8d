"""`stream-store view --rerun`: the entities and columns that are sent, with a stand-in for rerun.

rerun-sdk takes 170 MB and is not installed for the tests, so these check only the messages.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stream_store import StreamStore
from stream_store._view import model as model_module
from stream_store._view import segments as segments_module
from stream_store._view.model import ViewModel
from stream_store._view.rerun_log import RerunLog, open_recording
from test_cli import cli
from view_helpers import FIELDS, fill, filled


class Archetype:
    """An archetype that keeps its arguments."""

    def __init__(self, name: str, arguments: dict[str, Any]) -> None:
        self.name, self.arguments = name, arguments


def archetype(name: str, *, single: str | None = None) -> Any:
    """A class with `columns`, and with `single` a constructor for one row."""
    make: Any = (lambda value: Archetype(name, {single: value})) if single else None
    holder = SimpleNamespace(columns=lambda **arguments: Archetype(name, arguments))
    return make or holder


class Rerun(ModuleType):
    """A stand-in: records the messages to each entity, as rows with their times."""

    def __init__(self) -> None:
        super().__init__("rerun")
        self.sent: dict[str, list[tuple[dict[str, int], str, Any]]] = defaultdict(list)
        self.static: dict[str, Any] = {}
        self.calls: list[str] = []
        self.times: dict[str, int] = {}
        for name in ("Scalars", "TextLog", "Image", "EncodedImage"):
            setattr(self, name, archetype(name))
        self.Tensor = archetype("Tensor", single="data")
        self.SeriesLines = lambda names: names
        self.TimeColumn = lambda name, sequence: (name, np.asarray(sequence))
        self.components = SimpleNamespace(ImageFormat=lambda width, height, **_: (width, height))
        self.blueprint = ModuleType("rerun.blueprint")
        for name in ("Spatial2DView", "TensorView", "TimeSeriesView", "TextLogView"):
            setattr(self.blueprint, name, lambda kind=name, **arguments: (kind, arguments))
        for name in ("Grid", "Tabs", "Blueprint"):
            setattr(self.blueprint, name, lambda *parts, kind=name: (kind, parts))

    def RecordingStream(self, application: str, recording_id: str) -> Any:
        self.calls.append(f"{application} {recording_id}")
        return SimpleNamespace(
            save=lambda path, **_: self.calls.append(f"save {path}"),
            spawn=lambda **_: self.calls.append("spawn"),
            flush=lambda: self.calls.append("flush"),
            disconnect=lambda: self.calls.append("disconnect"),
            log=self.log,
            set_time=self.set_time,
            reset_time=self.times.clear,
        )

    def set_time(self, name: str, sequence: int) -> None:
        self.times[name] = sequence

    @staticmethod
    def new_entity_path(parts: list[str]) -> str:
        return "/" + "/".join(parts)

    def log(self, path: str, value: Any, static: bool = False) -> None:
        if static:
            self.static[path] = value
        else:
            self.sent[path].append((dict(self.times), value.name, value.arguments["data"]))

    def send_columns(self, path: str, indexes: Any, columns: Archetype, recording: Any) -> None:
        del recording
        values = next(iter(columns.arguments.values()))
        assert all(len(times) == len(values) for _, times in indexes)
        for row, value in enumerate(values):
            times = {name: int(sequence[row]) for name, sequence in indexes}
            self.sent[path].append((times, columns.name, value))


@pytest.fixture
def rerun(monkeypatch: pytest.MonkeyPatch) -> Rerun:
    module = Rerun()
    monkeypatch.setitem(sys.modules, "rerun", module)
    monkeypatch.setitem(sys.modules, "rerun.blueprint", module.blueprint)
    return module


def test_all_present_values_are_sent_with_their_times(
    tmp_path: Path, rerun: Rerun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments_module, "BLOCK_ROWS", 13)
    monkeypatch.setattr(model_module, "BLOCK_ITEMS", 50)
    store = filled(tmp_path / "run", 3)
    log = RerunLog(rerun, ViewModel(store))
    assert log.send() == log.rows == 60
    rows = store.read_rows(slice(None))
    mask = rows["_mask"] | {"arm/pos": rows["_mask"]["arm"]["pos"]}
    kinds = {path: {kind for _, kind, _ in sent} for path, sent in rerun.sent.items()}
    assert kinds == {
        "/episode": {"Scalars"}, "/obs": {"Scalars"}, "/reward": {"Scalars"}, "/done": {"Scalars"},
        "/lidar": {"Scalars"}, "/list": {"Tensor"}, "/note": {"TextLog"}, "/frame": {"Image"},
        "/arm/grip": {"Scalars"}, "/arm/pos": {"Scalars"},
    }  # fmt: skip
    for path, sent in rerun.sent.items():
        present = mask.get(path[1:], mask["episode"])
        places = np.flatnonzero(present)
        assert [times["row"] for times, _, _ in sent] == places.tolist()
        assert [times["step"] for times, _, _ in sent] == rows["_step"][places].tolist()
        assert [times["segment"] for times, _, _ in sent] == (places // 20).tolist()
    values = {path: [value for _, _, value in sent] for path, sent in rerun.sent.items()}
    assert np.array_equal(np.stack(values["/obs"]), rows["obs"], equal_nan=True)
    assert values["/arm/pos"] == rows["arm"]["pos"].tolist()
    assert [len(one) for one in values["/list"]] == rows["_length"]["list"].tolist()
    assert values["/frame"] == [frame.tobytes() for frame in rows["frame"]]
    assert rerun.static["/obs"] == ["obs[0]", "obs[1]"]


def test_new_rows_are_sent_once(tmp_path: Path, rerun: Rerun) -> None:
    with StreamStore(tmp_path / "run", fields=FIELDS) as writer:
        fill(writer, 1)
        log = RerunLog(rerun, ViewModel(StreamStore(tmp_path / "run", "r")))
        assert log.send() == 20
        assert log.send() == 0
        fill(writer, 1)
        writer.drop_before(30)
        assert log.send() == 10
        rows = [times["row"] for times, _, _ in rerun.sent["/episode"]]
        assert rows == [*range(20), *range(30, 40)]


def test_the_blueprint_has_a_view_of_every_field(tmp_path: Path, rerun: Rerun) -> None:
    fields = FIELDS | {"state.x": "float32", "state.y": "float32"}
    store = StreamStore(tmp_path / "run", fields=fields)
    _, ((_, views),) = RerunLog(rerun, ViewModel(store)).blueprint()
    shown = [
        (name, arguments.get("contents") or [arguments["origin"]]) for name, arguments in views
    ]
    assert ("TimeSeriesView", ["/arm/grip", "/arm/pos"]) in shown
    assert ("TimeSeriesView", ["/state.x", "/state.y"]) in shown
    assert ("Spatial2DView", ["/frame"]) in shown
    assert ("TensorView", ["/list"]) in shown
    assert ("TextLogView", ["/note", "/when"]) in shown
    paths = [path for _, contents in shown for path in contents]
    assert len(paths) == len(set(paths)) == len(ViewModel(store).fields)


def test_the_command_saves_a_file_or_starts_the_viewer(tmp_path: Path, rerun: Rerun) -> None:
    store = filled(tmp_path / "run", 1)
    out = tmp_path / "run.rrd"
    assert f"{out}: 20 rows" in cli("view", tmp_path / "run", "--rerun", "--save", out)
    assert rerun.calls == [
        f"stream_store {store.id}", f"save {out}", "flush", "disconnect",
    ]  # fmt: skip
    assert "rerun: 20 rows" in cli("view", tmp_path / "run", "--rerun")
    assert "spawn" in rerun.calls
    assert "directory that exists" in cli(
        "view", tmp_path / "run", "--save", tmp_path / "none" / "x.rrd", code=3
    )
    control = tmp_path / "run" / "control"
    before = control.read_bytes()
    assert "outside of the store" in cli("view", tmp_path / "run", "--save", control, code=3)
    assert control.read_bytes() == before
    assert "--follow is for --rerun" in cli("view", tmp_path / "run", "--follow", code=2)


def test_without_rerun_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(ImportError, match=r"stream-store\[view\]"):
        open_recording(ViewModel(filled(tmp_path / "run", 1)), None)
