"""Videos of LeRobotDataset v3.0: frames are found by their times, in every form."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_store import StreamStore

av = pytest.importorskip("av")
pytest.importorskip("pyarrow")
Image = pytest.importorskip("PIL.Image")

LENGTHS = [5, 3, 9]
LEVELS = np.arange(sum(LENGTHS)) * 12 + 20  # the brightness of each frame; H.264 changes it little
VIDEO = "videos/camera/chunk-000/file-000.mp4"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set whose frames of all episodes are in one video."""
    root = tmp_path_factory.mktemp("lerobot") / "set"
    frames = np.broadcast_to(
        LEVELS.astype(np.uint8)[:, None, None, None], (len(LEVELS), 32, 48, 3)
    ).copy()
    frames[:, :8] = 128
    with StreamStore(fields={"episode": "int64", "camera": "packed uint8[32,48,3]"}) as store:
        store.extend({"episode": np.repeat(np.arange(len(LENGTHS)), LENGTHS), "camera": frames})
        store.to_lerobot(root, fps=10, by="episode", task="look", video=True)
    return root


def decoded(path: Path) -> Any:
    """All frames of a video, by the library alone."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_frames_are_those_that_the_decoder_finds(recorded: Path) -> None:
    assert [path.name for path in recorded.rglob("*.mp4")] == ["file-000.mp4"]
    with StreamStore() as store:
        store.from_lerobot(recorded, videos="raw")
        found = store.read_rows(slice(None))["camera"]
    assert found.shape == (len(LEVELS), 32, 48, 3)
    np.testing.assert_array_equal(found, decoded(recorded / VIDEO))
    assert np.abs(found[:, 16:].mean(axis=(1, 2, 3)) - LEVELS).max() < 4
    assert np.abs(found[:, 2:6].astype(int) - 128).max() < 6


@pytest.mark.parametrize(("form", "tolerance"), [("png", 0), ("jpeg", 6)])
def test_frames_become_image_files(recorded: Path, form: str, tolerance: int) -> None:
    with StreamStore() as store:
        store.from_lerobot(recorded, videos=form)
        cells = [row["camera"]["bytes"] for row in store.rows()]
    images = [Image.open(io.BytesIO(cell)) for cell in cells]
    assert {image.format for image in images} == {form.upper()}
    pixels = np.stack([np.asarray(image) for image in images]).astype(int)
    assert np.abs(pixels - decoded(recorded / VIDEO)).max() <= tolerance


def test_chosen_episodes_have_their_own_frames(recorded: Path) -> None:
    with StreamStore() as store:
        store.from_lerobot(recorded, episodes=[2, 0], videos="raw")
        rows = store.read_rows(slice(None))
    levels = rows["camera"][:, 16:].mean(axis=(1, 2, 3))
    expected = {2: LEVELS[8:], 0: LEVELS[:5]}
    for episode, own in expected.items():
        found = levels[rows["episode_index"] == episode]
        assert np.abs(found - own).max() < 4


def test_videos_can_be_skipped(recorded: Path) -> None:
    with StreamStore() as store:
        report = store.from_lerobot(recorded, videos="skip")
        assert (store.num_rows, "camera" in store.fields) == (len(LEVELS), False)
    assert "camera" in report.left_out


def damaged(recorded: Path, tmp_path: Path) -> Path:
    """A copy of the data set, whose video is to be replaced."""
    for path in recorded.rglob("*"):
        if path.is_file():
            copy = tmp_path / path.relative_to(recorded)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    return tmp_path / VIDEO


def test_a_missing_video_is_named(recorded: Path, tmp_path: Path) -> None:
    damaged(recorded, tmp_path).unlink()
    with StreamStore() as store:
        with pytest.raises(FileNotFoundError, match=r"file-000\.mp4.*'camera' is missing"):
            store.from_lerobot(tmp_path)
        assert store.num_rows == 0


def test_a_file_that_is_no_video_is_named(recorded: Path, tmp_path: Path) -> None:
    damaged(recorded, tmp_path).write_bytes(b"text")
    with StreamStore() as store, pytest.raises(ValueError, match="the video cannot be read"):
        store.from_lerobot(tmp_path)


def test_a_video_that_is_too_short_is_named(recorded: Path, tmp_path: Path) -> None:
    path = damaged(recorded, tmp_path)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for frame in decoded(recorded / VIDEO)[:6]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    with StreamStore() as store:
        with pytest.raises(ValueError, match=r"expected a frame at 0\.6000 s but found the end"):
            store.from_lerobot(tmp_path, videos="raw")
        assert store.num_rows == 0
