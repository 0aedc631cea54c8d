"""Opening, declaring and closing: modes, fields, errors, and the calls each state allows."""

from __future__ import annotations

import copy
import io
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import stream_store
from store_helpers import FIELDS, NAMES, append_rows, filled, new_store
from stream_store import LockedError, StreamStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run"


def test_nothing_is_on_disk_until_fields_are_declared(path: Path) -> None:
    with StreamStore(path) as store:
        assert store.fields == ()
        assert not path.exists()
        store.define_fields(FIELDS)
        assert path.is_dir()
        assert store.fields == tuple(NAMES)


def test_a_store_comes_back_as_it_was(path: Path) -> None:
    with StreamStore(path, fields=FIELDS) as store:
        append_rows(store, 20)
        expected, identity = store[:], store.id
    with StreamStore(path) as store:
        assert store.id == identity
        assert len(identity) == 32
        assert store.recovery.state == "clean"
        for name, array in store[:].items():
            np.testing.assert_array_equal(array, expected[name])  # type: ignore[literal-required]
        append_rows(store, 5, first=20)
        assert store.append_step({}) == 25
        assert store.num_rows == 26


@pytest.mark.parametrize("kind", [str, os.fspath, Path, os.fsencode])
def test_path_may_be_text_or_pathlike(path: Path, kind: Any) -> None:
    with StreamStore(kind(path), fields=["a"]) as store:
        assert store.path == path


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"mode": "w"}, ValueError),
        ({"mode": "r"}, ValueError),
        ({"capacity": 0}, ValueError),
        ({"capacity": -5}, ValueError),
        ({"capacity": 1.5}, TypeError),
        ({"capacity": True}, TypeError),
        ({"sync_bytes": True}, TypeError),
        ({"sync_seconds": True}, TypeError),
        ({"fields": []}, ValueError),
        ({"fields": ["a", "a"]}, ValueError),
        ({"fields": {"a": "int"}}, ValueError),
        ({"fields": "abc"}, TypeError),
        ({"path": ""}, ValueError),
        ({"path": "s3://bucket/run"}, ValueError),
        ({"path": 3}, TypeError),
        ({"wait": 1.0}, ValueError),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        StreamStore(**arguments)


def test_mode_x_wants_nothing_there(path: Path) -> None:
    StreamStore(path, "x", fields=["a"]).close()
    with pytest.raises(FileExistsError):
        StreamStore(path, "x", fields=["a"])
    empty = path.parent / "empty"
    empty.mkdir()
    StreamStore(empty, "x", fields=["a"]).close()


def test_fields_must_be_those_of_the_store(path: Path) -> None:
    StreamStore(path, fields=FIELDS).close()
    StreamStore(path, fields=NAMES).close()
    StreamStore(path, fields=FIELDS).close()
    for other in (NAMES[:-1], [*NAMES, "more"], NAMES[::-1], FIELDS | {"reward": "float64"}):
        with pytest.raises(ValueError, match="fields"):
            StreamStore(path, fields=other)
    with StreamStore(path) as store:
        store.append_step({"action": 1})


def test_redeclaring_is_allowed_until_there_is_data(path: Path) -> None:
    with StreamStore(path, fields=["a"]) as store:
        store.define_fields({"b": "float32", "c": "string"})
        assert store.fields == ("b", "c")
        store.append_step({"c": "x"})
        with pytest.raises(RuntimeError):
            store.define_fields(["a"])
        assert store.fields == ("b", "c")
        with pytest.raises(ValueError, match="duplicate"):
            StreamStore().define_fields(["a", "a"])


def test_maps_are_read_only() -> None:
    store = new_store()
    assert dict(store.field_to_type) == {name: i for i, name in enumerate(NAMES)}
    assert dict(store.type_to_field) == dict(enumerate(NAMES))
    with pytest.raises(TypeError):
        store.field_to_type["a"] = 1  # type: ignore[index]


def test_features_come_back(path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = {
        "a": datasets.Value("float32"),
        "b": datasets.ClassLabel(names=["x", "y"]),
        "c": datasets.Sequence(datasets.Value("int64"), length=3),
    }
    with StreamStore(path, fields=features) as store:
        assert dict(store.features) == features
    with StreamStore(path, fields=features) as store:
        assert dict(store.features) == features


def test_one_writer(path: Path) -> None:
    with StreamStore(path, fields=FIELDS) as store:
        with pytest.raises(LockedError):
            StreamStore(path)
        append_rows(store, 1)
    StreamStore(path).close()


def test_reader_follows_a_writer(path: Path) -> None:
    writer = StreamStore(path, fields=FIELDS)
    reader = StreamStore(path, "r")
    assert len(reader) == 0
    append_rows(writer, 10)
    assert len(reader) == 110
    assert reader.num_rows == 10
    assert reader.fields == writer.fields
    assert reader.id == writer.id
    np.testing.assert_array_equal(reader[:]["values"], writer[:]["values"])
    writer.close()
    assert len(reader) == 110
    reader.close()


def test_reader_sees_fields_declared_anew(path: Path) -> None:
    writer = StreamStore(path, fields=["a"])
    reader = StreamStore(path, "r")
    assert reader.fields == ("a",)
    writer.define_fields({"b": "float32"})
    assert reader.fields == ("b",)
    writer.append_step({"b": 1.5})
    assert reader.row(0) == {"b": 1.5}


def test_reader_writes_nothing(path: Path) -> None:
    StreamStore(path, fields=FIELDS).close()
    with StreamStore(path, "r") as reader:
        for call in (
            lambda: reader.append([0], ["action"], [1]),
            lambda: reader.append_step({}),
            lambda: reader.extend({"action": [1]}),
            lambda: reader.define_fields(["a"]),
            reader.clear,
            reader.sync,
        ):
            with pytest.raises(io.UnsupportedOperation):
                call()


def test_missing_store(path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run"):
        StreamStore(path, "r")
    started = time.monotonic()
    with pytest.raises(FileNotFoundError):
        StreamStore(path, "r", wait=0.2)
    assert 0.15 < time.monotonic() - started < 60


def test_reader_waits_for_the_store(path: Path) -> None:
    code = (
        "import sys, time; from stream_store import StreamStore\n"
        "time.sleep(0.3); s = StreamStore(sys.argv[1], fields=['a']); s.append_step({'a': [5]})\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)]) as process:
        with StreamStore(path, "r", wait=30) as reader:
            assert reader.fields == ("a",)
        assert process.wait() == 0


def test_closed_store_raises_everywhere(path: Path) -> None:
    for store in (StreamStore(path, fields=FIELDS), filled(3), StreamStore()):
        store.close()
        store.close()
        assert store.closed
        assert "closed" in repr(store)
        assert store.mode == "a"
        for call in (
            lambda s=store: len(s),
            lambda s=store: s[0],
            lambda s=store: s[:],
            lambda s=store: s.windows([0], 1),
            lambda s=store: s.read_rows([0]),
            lambda s=store: s.append([0], ["action"], [1]),
            lambda s=store: s.append_step({}),
            lambda s=store: s.extend({}),
            lambda s=store: s.define_fields(["a"]),
            lambda s=store: s.row(0),
            lambda s=store: s.rows(),
            lambda s=store: s.fields,
            lambda s=store: s.num_rows,
            lambda s=store: s.complete_rows,
            lambda s=store: s.last_step,
            lambda s=store: s.nbytes,
            lambda s=store: s.id,
            lambda s=store: s.recovery,
            lambda s=store: s.features,
            lambda s=store: s.snapshot(),
            lambda s=store: s.sync(),
            lambda s=store: s.clear(),
            lambda s=store: s.segments("done"),
            lambda s=store: s.index_table(),
            lambda s=store: s.row_of([]),
            lambda s=store: s.__enter__(),
            lambda s=store: pickle.dumps(s),
        ):
            with pytest.raises(ValueError, match="closed"):
                call()


def test_snapshot_stays_as_it_was(path: Path) -> None:
    with StreamStore(path, fields=FIELDS) as store:
        append_rows(store, 10)
        view, half = store.snapshot(), store.snapshot(5)
        append_rows(store, 10, first=10)
        assert (view.num_rows, half.num_rows, store.num_rows) == (10, 5, 20)
        assert len(half) == 55
        assert half.complete_rows == 5
        with pytest.raises(IndexError):
            half.row(5)
        with pytest.raises(io.UnsupportedOperation, match="snapshot"):
            view.append_step({})
        for wrong in (21, -1):
            with pytest.raises(IndexError):
                store.snapshot(wrong)
    assert view.row(9)["action"] == 9
    assert view.mode == "r"
    assert "snapshot" in repr(view)


def test_clear_empties_a_temporary_store(path: Path) -> None:
    store = filled(10)
    view, read = store.snapshot(), store[:]
    store.clear()
    assert (len(store), store.num_rows, store.last_step) == (0, 0, None)
    assert store.fields == tuple(NAMES)
    assert store.append_step({"action": 4}) == 0
    assert view.num_rows == 10
    assert read["values"].shape == (110,)
    with StreamStore(path, fields=FIELDS) as persistent, pytest.raises(io.UnsupportedOperation):
        persistent.clear()


def test_pickling_a_persistent_store_opens_it_for_reading(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    with StreamStore(path.name, fields=FIELDS) as store:
        append_rows(store, 5)
        data = pickle.dumps(store)
        snapshot = pickle.dumps(store.snapshot(3))
        monkeypatch.chdir("/")
        with pickle.loads(data) as other:
            assert other.mode == "r"
            assert other.num_rows == 5
        assert pickle.loads(snapshot).num_rows == 3
        assert copy.deepcopy(store).mode == "r"


def test_pickling_a_temporary_store_says_what_to_do() -> None:
    with pytest.raises(TypeError, match="path"):
        pickle.dumps(filled(1))
    with pytest.raises(TypeError, match="path"):
        copy.copy(filled(1))


def test_sync_returns_durable_rows(path: Path) -> None:
    with StreamStore(path, fields=FIELDS) as store:
        assert store.sync() == 0
        append_rows(store, 4)
        assert store.sync() == 4
    assert isinstance(filled(2).sync(), int)


def test_repr_tells_rows_values_fields_path_and_the_last_values(path: Path) -> None:
    with StreamStore(path, fields=FIELDS) as store:
        append_rows(store, 1200)
        text = repr(store)
        for part in ("1,200 rows", "13,200 values", str(path), "observation", "1199", "599.5"):
            assert part in text
        assert "recovered" not in text
    for store in (StreamStore(), StreamStore.__new__(StreamStore), new_store({"é": "string"})):
        assert repr(store).startswith("<StreamStore")


def test_repr_escapes_what_a_terminal_would_obey(tmp_path: Path) -> None:
    odd = "x\x1b[31m\u202e\n"
    fields = {odd: "int64", "s": {odd: "float32"}, "kept": "bool"}
    with StreamStore(tmp_path / "run\x1b[2J", fields=fields) as store:
        store.append_step({odd: 1, "s": {odd: 2.0}})
        shown = [repr(store), repr(store[odd]), repr(store["s"]), store._repr_html_()]
        shown.append(repr(store.snapshot()))
    shown += [repr(store), store._repr_html_()]
    for text in shown:
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "x\\x1b[31m\\u202e\\n: int64" in shown[0]
    assert len(shown[0].splitlines()) == 3


def test_store_that_was_never_opened_is_harmless() -> None:
    store = StreamStore.__new__(StreamStore)
    for call in (
        lambda: store[0],
        lambda: len(store),
        lambda: store.append([], [], []),
        lambda: store.append_step({}),
        lambda: store.windows([0], 1),
    ):
        with pytest.raises((RuntimeError, TypeError)):
            call()


def test_forked_child_reads_and_does_not_write(path: Path) -> None:
    store = StreamStore(path, fields=FIELDS)
    append_rows(store, 10)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            assert store[:]["values"].shape == (110,)
            try:
                store.append_step({"action": 1})
            except io.UnsupportedOperation:
                code = 0
            store.close()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    append_rows(store, 5, first=10)
    store.close()
    with StreamStore(path, "r") as reader:
        assert reader.num_rows == 15


def test_script_that_ends_without_close_leaves_a_clean_store(path: Path) -> None:
    code = (
        "import sys, builtins; from stream_store import StreamStore\n"
        "builtins.kept = StreamStore(sys.argv[1], fields=['a']); kept.append_step({'a': [1, 2]})\n"
        "array = kept[[0] * 100000]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    with StreamStore(path) as store:
        assert store.recovery.state == "clean"
        assert store.num_rows == 1


def test_bad_directories_are_named_and_left_alone(path: Path) -> None:
    path.mkdir()
    (path / "mine.txt").write_text("hello")
    file = path.parent / "file"
    file.write_text("x")
    for target in (path, file):
        for mode in ("a", "x", "r"):
            with pytest.raises((OSError, stream_store.Error)) as caught:
                StreamStore(target, mode, fields=["a"])  # type: ignore[arg-type]
            assert target.name in str(caught.value)
    assert (path / "mine.txt").read_text() == "hello"
    assert file.read_text() == "x"


def test_errors_are_what_they_say() -> None:
    for name in ("CorruptStoreError", "LockedError", "VersionError", "StoreFullError"):
        kind = getattr(stream_store, name)
        assert issubclass(kind, stream_store.Error)
        assert kind.__module__ == "stream_store"
    assert issubclass(stream_store.StoreFullError, OSError)
    assert pickle.loads(pickle.dumps(stream_store.StoreFullError(28, "full"))).errno == 28


def test_damaged_control_file_is_a_corrupt_store(path: Path) -> None:
    with StreamStore(path, fields=FIELDS) as store:
        append_rows(store, 3)
    control = path / "control"
    data = bytearray(control.read_bytes())
    data[:64] = bytes(64)
    control.write_bytes(data)
    for mode in ("a", "r"):
        with pytest.raises(stream_store.Error, match="control"):
            StreamStore(path, mode)  # type: ignore[arg-type]


def test_import_needs_numpy_alone() -> None:
    code = (
        "import sys, stream_store; s = stream_store.StreamStore(fields={'a': 'float32'})\n"
        "s.append_step({'a': 1}); repr(s); list(s.rows())\n"
        "heavy = {'datasets', 'pyarrow', 'torch', 'gymnasium'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_store_that_chose_its_storage_opens_with_its_features(path: Path) -> None:
    table = pa.table({"text": ["x" * 200, None], "holes": [[1, None], []], "plain": [[1], [2]]})
    with StreamStore(path) as store:
        store.from_arrow(table)
        features = store.features
    with StreamStore(path, fields=features) as store:
        assert store.append_step({"text": "y", "holes": [None], "plain": [3]}) == 2
        assert store.row(2)["holes"] == [None]
    with pytest.raises(ValueError, match="'holes'"):
        StreamStore(path, fields={**features, "holes": "float32[]"})
