"""Arguments of `convert` and of its command that do not fit, and what is left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stream_store
from cli_helpers import cli
from stream_store import StreamStore
from test_convert import run_command

FIELDS = {"e": "int64", "x": "int64", "y": "float64", "seed": "int64", "ok": "bool"}


@pytest.fixture(name="run")
def recorded_run(tmp_path: Path) -> Path:
    with StreamStore(tmp_path / "run", fields={"episode": "int64", "x": "float32"}) as store:
        store.extend({"episode": [0, 0, 1], "x": [1.0, 2.0, 3.0]})
    return tmp_path / "run"


def test_option_that_a_format_needs_is_named(run: Path) -> None:
    with pytest.raises(ValueError, match="lerobot needs the option fps"):
        stream_store.convert(run, run.with_name("set"), to="lerobot")
    assert not run.with_name("set").exists()


@pytest.mark.parametrize("name", ["inside.parquet", "deep/inside.parquet"])
def test_destination_inside_a_store_is_refused(run: Path, name: str) -> None:
    (run / "deep").mkdir()
    with pytest.raises(ValueError, match="outside of the source"):
        stream_store.convert(run, run / name)
    stream_store.convert(run, run.with_name("rows.arrow"))
    with pytest.raises(ValueError, match="outside of the store"):
        stream_store.convert(run.with_name("rows.arrow"), run / name)
    assert not (run / name).exists()


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".zarr"])
def test_suffix_of_a_format_that_cannot_be_written_makes_no_store(run: Path, suffix: str) -> None:
    rows, target = run.with_name("rows.parquet"), run.with_name(f"out{suffix}")
    stream_store.convert(run, rows)
    for source in (run, rows):
        with pytest.raises(ValueError, match="cannot be written, only store, lerobot"):
            stream_store.convert(source, target)
    assert not target.exists()
    stream_store.convert(rows, target, to="store")
    assert StreamStore(target, "r").num_rows == 3


def test_two_stores_message_lists_the_suffixes(run: Path) -> None:
    with pytest.raises(ValueError, match=r"both are stores: .*out\.csv has none of .*\.parquet"):
        stream_store.convert(run, run.with_name("out.csv"))


def test_missing_directories_of_a_store_are_created(run: Path) -> None:
    rows = run.with_name("rows.parquet")
    stream_store.convert(run, rows)
    stream_store.convert(rows, run.with_name("a") / "b" / "copy")
    assert StreamStore(run.with_name("a") / "b" / "copy", "r").num_rows == 3


def test_report_of_two_steps_says_what_the_import_left_out(tmp_path: Path) -> None:
    pytest.importorskip("mcap_ros2")
    with StreamStore(tmp_path / "run", fields={"x": "float64[64]"}) as store:
        store.extend({"x": np.random.default_rng(0).normal(size=(50, 64))})
        store.to_mcap(tmp_path / "whole.mcap")
    whole = (tmp_path / "whole.mcap").read_bytes()
    (tmp_path / "cut.mcap").write_bytes(whole[:-200])
    report = stream_store.convert(tmp_path / "cut.mcap", tmp_path / "out.parquet")
    assert "it ends within a record" in str(report)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--map", "a=x", "--map", "a=episode"], "--map: 'a' is given twice"),
        (["-o", "map=5"], "--option map: use --map instead"),
        (["-o", "progress=1"], "--option progress: use --json"),
        (["-o", "step_ns=x"], "--option step_ns: expected a whole number, found 'x'"),
        (["-o", "max-gap=x"], "--option max_gap: expected a number, found 'x'"),
        (["-o", "video=2"], "--option video: expected true or false, found '2'"),
        (["-o", "task=a", "-o", "task=b"], "--option: 'task' is given twice"),
        (["-o", "names=x"], "--option names: it has names and values; expected a call of the Pyt"),
    ],
)
def test_command_answers_wrong_options_in_one_line(
    run: Path, arguments: list[str], expected: str
) -> None:
    pytest.importorskip("typer")
    done = run_command(run, run.with_name("out"), *arguments)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"stream-store: {expected}")
    assert done.stderr.count("\n") == 1
    assert not run.with_name("out").exists()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"observation_space": "x"}, "observation_space of to_minari: expected a space .* 'x'"),
        ({"action_space": 5}, "action_space of to_minari: expected a space .* found 5"),
        ({"action_space": '{"type": "Box"}'}, "space of actions: expected a space"),
        ({"env_spec": 5}, "env_spec must be an EnvSpec of Gymnasium or its JSON, not 5"),
        ({"metadata": "x"}, "metadata must be a mapping, not 'x'"),
        ({"metadata": {"a": object}}, "metadata: 'a' must be a value that JSON has"),
    ],
)
def test_arguments_of_to_minari_are_checked(
    tmp_path: Path, options: dict[str, Any], problem: str
) -> None:
    pytest.importorskip("h5py")
    store = StreamStore(fields=dict.fromkeys(["episode", "obs", "action", "reward"], "int64"))
    ends = {"action": [1, None], "reward": [1, None]}
    store.extend({"episode": [0, 0], "obs": [1, 2], **ends})
    with pytest.raises((ValueError, TypeError), match=problem) as caught:
        store.to_minari(tmp_path / "a-v0", **options)
    assert type(caught.value) in (ValueError, TypeError)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("episodes", ["x", "12", 5, [1.5], ["1"], [None]])
def test_episodes_of_a_lerobot_data_set_are_numbers(tmp_path: Path, episodes: Any) -> None:
    pytest.importorskip("pyarrow")
    store = StreamStore(fields={"a": "int64"})
    store.extend({"a": [1, 2]})
    store.to_lerobot(tmp_path / "set", fps=10, by=())
    with pytest.raises(ValueError, match="set: from_lerobot: episodes must be a list of ints"):
        StreamStore().from_lerobot(tmp_path / "set", episodes=episodes)
    assert StreamStore().from_lerobot(tmp_path / "set", episodes=np.array([0])).rows == 2


# --- folders ---


def test_a_folder_of_files_is_recognised(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    (tmp_path / "demos").mkdir()
    for i in range(3):
        with h5py.File(tmp_path / "demos" / f"episode_{i}.hdf5", "w") as file:
            file["action"] = np.full((2, 2), i)
    report = stream_store.convert(tmp_path / "demos", tmp_path / "aloha")
    assert (report.format, report.episodes, report.rows) == ("hdf5", 3, 6)


def test_a_bag_of_ros_2_is_recognised(tmp_path: Path) -> None:
    pytest.importorskip("mcap")
    from mcap_files import write_raw

    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "metadata.yaml").write_text("rosbag2_bagfile_information: {}")
    for i in range(2):
        write_raw(tmp_path / "bag" / f"bag_{i}.mcap", {"/a": ("", None)}, [("/a", i, b"x")])
    report = stream_store.convert(tmp_path / "bag", tmp_path / "run")
    assert (report.format, report.episodes, report.rows) == ("mcap", 2, 2)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"MCAP file or a directory .*found none of them"):
        stream_store.convert(tmp_path / "empty", tmp_path / "other")


def test_ctrl_c_says_how_to_continue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    h5py = pytest.importorskip("h5py")
    pytest.importorskip("typer")
    from cli_helpers import cli_output
    from stream_store._convert import arrays, importing

    monkeypatch.setattr(importing, "COMMIT_BYTES", 1)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for i in range(3):
            file[f"data/demo_{i}/actions"] = np.ones((4, 2))
    read = arrays._Buffer.take
    calls: list[int] = []

    def interrupted(self: Any, start: int, stop: int) -> Any:
        calls.append(start)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return read(self, start, stop)

    monkeypatch.setattr(arrays._Buffer, "take", interrupted)
    _, errors = cli_output("convert", tmp_path / "a.h5", tmp_path / "run", code=130)
    assert errors == f"stream-store: {tmp_path / 'run'}: interrupted; the same command with " + (
        "--resume continues\n"
    )
    cli_output("convert", tmp_path / "a.h5", tmp_path / "run", "--resume", "--check")
    assert StreamStore(tmp_path / "run", "r").num_rows == 12
    calls.clear()
    _, errors = cli_output("convert", tmp_path / "a.h5", tmp_path / "rows.parquet", code=130)
    assert errors == ""


def test_the_command_takes_lists_and_texts_that_look_like_numbers(run: Path) -> None:
    """A list could not be given, though messages advise fields=, and 5 could not be a task."""
    pytest.importorskip("typer")
    pytest.importorskip("mcap")
    pq = pytest.importorskip("pyarrow.parquet")
    with StreamStore(run.with_name("more"), fields=FIELDS) as store:
        for i in range(6):
            store.append_step({"e": i // 2, "x": i, "y": 2 * i, "seed": i // 2, "ok": i > 3})
    target = run.with_name("set")
    lists = ["-o", "fields=x", "-o", "fields=y", "-o", "episode-fields=seed"]
    cli(
        *("convert", run.with_name("more"), target, "--to", "lerobot", "--fps", 10, "--by", "e"),
        *(*lists, "-o", "episode_fields=ok", "-o", "task=5"),
    )
    data = pq.read_table(target / "data/chunk-000/file-000.parquet")
    assert {"x", "y"} == set(data.column_names) & set(FIELDS)
    episodes = pq.read_table(target / "meta/episodes/chunk-000/file-000.parquet")
    assert episodes.column("seed").to_pylist() == [0, 1, 2]
    assert episodes.column("ok").to_pylist() == [False, False, True]
    assert episodes.column("tasks").to_pylist() == [["5"]] * 3
    some = ["-o", "episodes=0", "-o", "episodes=2"]
    cli("convert", target, run.with_name("copy"), *some)
    with StreamStore(run.with_name("copy"), "r") as copy:
        assert copy.read_rows(slice(None))["x"].tolist() == [0, 1, 4, 5]
    cli("convert", run.with_name("more"), run.with_name("a.mcap"), "-o", "fields=x")
    cli("convert", run.with_name("a.mcap"), run.with_name("topic"), "-o", "topics=/x")
