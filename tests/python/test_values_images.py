"""Images: every pixel comes back, or the value is refused."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from store_helpers import facts, new_store

datasets = pytest.importorskip("datasets")
Image = pytest.importorskip("PIL.Image")

IMAGE = datasets.Image()
RNG = np.random.default_rng(0)


def stored(value: Any) -> Any:
    """The cell of an image, which is the same at the top, in a list and from an iterable."""
    store = new_store({"x": IMAGE, "xs": datasets.List(IMAGE)})
    store.append_step({"x": value, "xs": [value]})
    row = store.row(0)
    assert row["xs"] == [row["x"]]
    return row["x"]


def opened(cell: Any) -> Any:
    image = Image.open(io.BytesIO(cell["bytes"]))
    image.load()
    return image


def refuse(value: Any, message: str) -> None:
    store = new_store({"x": IMAGE, "xs": datasets.List(IMAGE)})
    before = facts(store)
    for row in ({"x": value}, {"xs": [value]}):
        with pytest.raises(ValueError, match=rf"field 'xs?'.*{message}"):
            store.append_step(row)
    assert facts(store) == before


def gif(count: int, form: str = "GIF") -> bytes:
    frames = [Image.fromarray(RNG.integers(0, 255, (8, 8, 3), dtype="u1")) for _ in range(count)]
    buffer = io.BytesIO()
    frames[0].save(buffer, form, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


# --- arrays ---


@pytest.mark.parametrize(
    "array",
    [
        np.full((4, 4), 2**31 - 1, "u4"),
        np.full((4, 4), -(2**31), "i8"),
        np.full((4, 4, 3), 255, "i8"),
        np.full((4, 4), 40000, ">u2"),
        np.full((3, 4), 0.5),
        np.array([[np.nan, np.inf], [-0.5, 2.0**-149]]),
        np.arange(8, dtype="u1").reshape(2, 2, 2),
        np.eye(3, dtype=bool),
        [[1, 2], [3, 400]],
    ],
)
def test_arrays_come_back_with_equal_values(array: Any) -> None:
    np.testing.assert_array_equal(np.asarray(opened(stored(array))), array)


@pytest.mark.parametrize(
    "array",
    [
        np.full((4, 4), 2**32 - 1, "u4"),
        np.full((4, 4, 3), 300, "i8"),
        np.full((4, 4, 3), -1, "i8"),
        np.full((4, 4), 2**40 + 1, "i8"),
        np.full((4, 4), 2**63, "u8"),
        np.full((4, 4), 0.1),
        np.full((4, 4), 1e300),
    ],
)
def test_arrays_whose_values_would_change_are_refused(array: Any) -> None:
    refuse(array, "holds exactly")


@pytest.mark.parametrize("array", [np.zeros(3, "u1"), np.uint8(3).reshape(()), np.zeros((1,) * 4)])
def test_arrays_of_other_dimensions_are_refused(array: Any) -> None:
    refuse(array, r"expected a PIL image, an array of shape \(height, width\)")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3), "f4"),
        np.zeros((4, 4, 5), "u1"),
        np.zeros((0, 4), "u1"),
        np.array([["a", "b"]]),
        [[1, None]],
    ],
)
def test_arrays_that_no_image_file_holds_are_refused(array: Any) -> None:
    refuse(array, "expected an array that an image file can hold")


def test_rows_of_iterables_obey_the_rules_of_append() -> None:
    good = np.full((2, 2), 7, "i8")
    store = new_store({"x": IMAGE})
    rows = [{"x": good}]
    ds = datasets.IterableDataset.from_generator(lambda: iter(rows))
    store.from_dataset(ds)
    assert np.asarray(opened(store.row(0)["x"])).tolist() == good.tolist()
    rows[0] = {"x": np.full((2, 2), 0.1)}
    with pytest.raises(ValueError, match=r"x.*holds exactly"):
        store.from_dataset(ds, append=True)


@pytest.mark.parametrize("value", [5, 0.5, {"i": 5}, {}, object(), np.ma.array([[1]], mask=True)])
def test_the_error_says_what_an_image_may_be(value: Any) -> None:
    refuse(value, r"expected a PIL image, an array .* or a dict of 'bytes' and 'path'")


# --- images of PIL ---


MODES = [
    "1",
    "L",
    "LA",
    "P",
    "PA",
    "I",
    "I;16",
    "I;16B",
    "F",
    "RGB",
    "RGBA",
    "CMYK",
    "YCbCr",
    "LAB",
]


@pytest.mark.parametrize("mode", MODES)
def test_images_of_every_mode_come_back(mode: str) -> None:
    image = Image.new(mode, (5, 7))
    size = len(image.tobytes())
    image.frombytes(RNG.integers(0, 2 if mode == "1" else 120, size, dtype="u1").tobytes())
    if mode in ("P", "PA"):
        image.putpalette(RNG.integers(0, 256, 768, dtype="u1").tobytes())
    found = opened(stored(image))
    assert (found.mode, found.size, found.tobytes()) == (mode, image.size, image.tobytes())
    if mode in ("P", "PA"):
        assert found.convert("RGBA").tobytes() == image.convert("RGBA").tobytes()


@pytest.mark.parametrize("mode", ["HSV", "La", "RGBa", "RGBX"])
def test_images_of_modes_that_no_format_holds_are_refused(mode: str) -> None:
    refuse(Image.new(mode, (2, 2), (1, 2, 3)[: len(Image.new(mode, (1, 1)).getbands())]), mode)


@pytest.mark.parametrize("transparency", [3, bytes(range(0, 256, 16))])
def test_the_transparency_of_a_palette_comes_back(transparency: Any) -> None:
    image = Image.fromarray(np.arange(16, dtype="u1").reshape(4, 4)).convert("P")
    image.putpalette(RNG.integers(0, 256, 768, dtype="u1").tobytes())
    image.info["transparency"] = transparency
    found = opened(stored(image))
    assert found.mode == "P"
    assert found.tobytes() == image.tobytes()
    assert found.convert("RGBA").tobytes() == image.convert("RGBA").tobytes()


@pytest.mark.parametrize("form", ["GIF", "PNG", "TIFF", "WEBP"])
def test_all_frames_of_an_open_file_are_stored(form: str) -> None:
    content = gif(3, form)
    for again in range(2):
        image = Image.open(io.BytesIO(content))
        if again and form != "WEBP":  # whose decoder closes the file
            image.load()
        assert stored(image) == {"bytes": content, "path": None}


def test_frames_that_cannot_be_stored_are_refused() -> None:
    later = Image.open(io.BytesIO(gif(3)))
    later.seek(1)
    refuse(later, "found 3 frames in a file that differs")
    changed = Image.open(io.BytesIO(gif(3)))
    changed.putpixel((0, 0), changed.getpixel((0, 0)) ^ 1)
    refuse(changed, r"found 3 frames .* image.copy\(\)")
    frame = stored(later.copy())
    assert opened(frame).convert("RGB").tobytes() == later.convert("RGB").tobytes()
    file = io.BytesIO(gif(3))
    closed = Image.open(file)
    closed.load()
    file.close()
    refuse(closed, "frames in a file that is closed")


def test_a_changed_image_is_not_stored_as_the_path_of_its_file(tmp_path: Any) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(RNG.integers(0, 255, (8, 8, 3), dtype="u1")).save(path)
    unchanged = Image.open(path)
    assert stored(unchanged) == {"bytes": None, "path": str(path)}
    unchanged.load()
    assert stored(unchanged) == {"bytes": None, "path": str(path)}
    changed = Image.open(path)
    changed.putpixel((1, 2), (1, 2, 3))
    assert opened(stored(changed)).tobytes() == changed.tobytes()
    small = Image.open(path)
    small.thumbnail((4, 4))
    assert opened(stored(small)).tobytes() == small.tobytes()
    path.unlink()
    assert opened(stored(changed)).tobytes() == changed.tobytes()
