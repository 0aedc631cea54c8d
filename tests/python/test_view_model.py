"""The model of the views: kinds of fields, blocks of numbers, segments, and reduced series."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_store import DroppedError, StreamStore
from stream_store._safe_text import safe
from stream_store._view import model as model_module
from stream_store._view import segments as segments_module
from stream_store._view.model import Block, Kind, ViewModel, value_at
from stream_store._view.pictures import data_url, picture_of, png, shrink
from stream_store._view.segments import Segments
from stream_store._view.series import Envelope, Statistics
from stream_store._view.text import cut, number_text, value_text
from view_helpers import EVIL, FIELDS, filled


def scan(store: StreamStore, by: list[str] | None = None) -> Segments:
    model = ViewModel(store, by)
    view = model.look()
    segments = Segments(model, view)
    while segments.advance(view):
        pass
    return segments


def numbers(store: StreamStore, name: str) -> Block:
    """All rows of a field, as blocks joined."""
    model = ViewModel(store)
    view = model.look()
    blocks = [
        block
        for pairs in model.numbers(view, [model.field(name)], view.first_row, view.num_rows)
        for _, block in pairs
    ]
    parts = [
        [getattr(block, part) for block in blocks] for part in ("low", "high", "present", "odd")
    ]
    return Block(blocks[0].start, blocks[-1].stop, *(np.concatenate(part) for part in parts))


def test_every_field_has_a_kind(tmp_path: Path) -> None:
    model = ViewModel(filled(tmp_path / "run", 1))
    kinds = {field.name: field.kind.value for field in model.fields}
    assert kinds == {
        "episode": "number",
        "obs": "vector",
        "reward": "number",
        "done": "number",
        "lidar": "vector",
        "list": "vector",
        "note": "text",
        "frame": "image",
        "when": "other",
        "arm.grip": "number",
        "arm.pos": "number",
    }
    assert model.field("obs").series == ("obs[0]", "obs[1]")
    assert model.field("lidar").series == ("lidar",)
    assert {field.name for field in model.numeric} == {
        name for name, kind in kinds.items() if kind in ("number", "vector")
    }


@pytest.mark.parametrize(
    ("feature", "kind"),
    [
        ("uint8[4,4]", Kind.IMAGE),
        ("packed uint8[None,8,3]", Kind.IMAGE),
        ("packed uint8[12]", Kind.VECTOR),
        ("float32[2,2]", Kind.VECTOR),
        ("float16", Kind.NUMBER),
        ("decimal128(10,2)", Kind.NUMBER),
        ("duration[s]", Kind.OTHER),
        ("binary", Kind.OTHER),
        ("nested list<string>", Kind.OTHER),
        ("packed string", Kind.TEXT),
    ],
)
def test_kind_of_feature(feature: str, kind: Kind) -> None:
    assert ViewModel(StreamStore(fields={"x": feature})).field("x").kind is kind


@pytest.mark.parametrize(
    ("fields", "by", "expected"),
    [
        ({"episode_id": "int64", "x": "float32"}, None, ("episode_id",)),
        ({"episode_index": "int32", "episode": "uint8"}, None, ("episode",)),
        ({"episode": "string", "x": "float32"}, None, ()),
        ({"episode": "bool", "done": "bool"}, ["done"], ("done",)),
    ],
)
def test_default_of_by(fields: Any, by: list[str] | None, expected: tuple[str, ...]) -> None:
    assert ViewModel(StreamStore(fields=fields), by).by == expected


def test_by_follows_the_retention() -> None:
    store = StreamStore(
        fields={"episode": "int64", "done": "bool"}, retain_segments=3, segment_by="done"
    )
    assert ViewModel(store).by == ("done",)


@pytest.mark.parametrize("by", [["nope"], ["reward"], ["note"], ["obs"]])
def test_by_of_a_wrong_field_is_refused(tmp_path: Path, by: list[str]) -> None:
    with pytest.raises(ValueError, match=by[0]):
        ViewModel(filled(tmp_path / "run", 1), by)


def test_a_store_without_fields_is_refused() -> None:
    with pytest.raises(ValueError, match="no fields are declared"):
        ViewModel(StreamStore())


def test_fields_that_a_writer_adds_appear(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "run", fields={"x": "int64"}) as writer:
        model = ViewModel(StreamStore(tmp_path / "run", "r"))
        assert not model.refresh()
        writer.add_fields({"y": "string"})
        model.store.num_rows  # noqa: B018  a read sees the new field
        assert model.refresh()
        assert [field.name for field in model.fields] == ["x", "y"]


def test_numbers_are_those_of_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "BLOCK_ROWS", 7)
    store = filled(tmp_path / "run", 2)
    rows = store.read_rows(slice(None))
    mask = rows["_mask"]
    for name in ("episode", "reward", "obs", "arm.pos"):
        column = rows["arm"]["pos"] if name == "arm.pos" else rows[name]
        shown = mask["arm"]["pos"] if name == "arm.pos" else mask[name]
        expected = column.reshape(len(shown), -1).astype(float)
        block = numbers(store, name)
        assert (block.present == shown).all()
        odd = ~np.isfinite(expected) & shown[:, None]
        assert (block.odd == odd).all()
        expected[odd | ~shown[:, None]] = np.nan
        assert np.array_equal(block.low, expected, equal_nan=True)
        assert np.array_equal(block.high, expected, equal_nan=True)


def test_lists_and_large_vectors_are_bands(tmp_path: Path) -> None:
    store = filled(tmp_path / "run", 2)
    lidar = store.read_rows(slice(None))["lidar"].astype(float)
    block = numbers(store, "lidar")
    assert np.array_equal(block.low[:, 0], lidar.min(axis=1))
    assert np.array_equal(block.high[:, 0], lidar.max(axis=1))
    lists = numbers(store, "list")
    lengths = np.arange(40) % 20 % 3
    assert lists.present.all()
    assert np.array_equal(lists.low[:, 0], np.where(lengths, 0, np.nan), equal_nan=True)
    assert np.array_equal(lists.high[:, 0], np.where(lengths, lengths - 1, np.nan), equal_nan=True)


def test_one_long_list_does_not_make_memory_grow() -> None:
    store = StreamStore(fields={"x": "float32[]"})
    length = 200_000
    store.extend({"x": [[1.0]] * 500 + [np.arange(length)] + [[2.0]] * 500})
    numbers(store, "x")
    tracemalloc.start()
    block = numbers(store, "x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert block.high[500, 0] == length - 1
    assert block.high[-1, 0] == 2
    assert peak < 1001 * length * 4 / 8  # all rows padded would take eight times as much


# --- segments ---

_INTS = st.sampled_from([None, None, 1, 2, -1])
_BOOLS = st.sampled_from([None, True, False, False])
_ROWS = st.lists(st.tuples(_INTS, _BOOLS, _BOOLS, st.sampled_from([None, 1.0, 2.5])), min_size=1)


@given(rows=_ROWS, block=st.sampled_from([1, 2, 3, 50]))
@pytest.mark.parametrize("by", [["number"], ["done"], ["done", "cut"]])
def test_segments_are_those_of_the_store(by: list[str], rows: list[Any], block: int) -> None:
    store = StreamStore(
        fields={"number": "int64", "done": "bool", "cut": "bool", "reward": "float32"}
    )
    for row in rows:
        store.append_step(dict(zip(store.fields, row, strict=True)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments_module, "BLOCK_ROWS", block)
        found = scan(store, by).found
    assert [[one.start, one.stop] for one in found] == store.segments(
        by if len(by) > 1 else by[0]
    ).tolist()
    assert [one.number for one in found] == list(range(len(found)))
    for one in found:
        inside = rows[one.start : one.stop]
        assert one.present.tolist() == [
            sum(value is not None for value in column) for column in zip(*inside, strict=True)
        ]
        reward = [field.name for field in scan(store, by).summed].index("reward")
        assert one.sums[reward] == sum(row[3] or 0 for row in inside)
        if by == ["number"]:
            values = [row[0] for row in inside if row[0] is not None]
            assert one.label == (values[0] if values else None)
    assert all(one.complete for one in found[:-1])
    last = rows[-1]
    assert found[-1].complete == (by != ["number"] and any(last[1 : 1 + len(by)]))


def test_without_a_field_segments_are_blocks_of_rows() -> None:
    store = StreamStore(fields={"x": "int8"})
    store.extend({"x": np.zeros(2500, np.int8)})
    found = scan(store).found
    assert [(one.start, one.stop, one.complete) for one in found] == [
        (0, 1000, True),
        (1000, 2000, True),
        (2000, 2500, False),
    ]


def test_a_scan_continues_with_new_rows_and_forgets_dropped_ones(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "run", fields={"episode": "int64"}) as writer:
        writer.extend({"episode": np.repeat([0, 1], 5)})
        model = ViewModel(StreamStore(tmp_path / "run", "r"))
        segments = Segments(model, model.look())
        assert not segments.advance(model.look())
        writer.extend({"episode": [1, 2]})
        writer.drop_before(7)
        assert not segments.advance(model.look())
        assert [(one.number, one.label, one.start, one.stop) for one in segments.found] == [
            (1, 1, 5, 11),
            (2, 2, 11, 12),
        ]
        writer.truncate(8)
        model = ViewModel(StreamStore(tmp_path / "run", "r"))
        segments.advance(model.look())
        assert [(one.start, one.stop) for one in segments.found] == [(7, 8)]


def test_a_store_without_rows_has_no_segments() -> None:
    segments = scan(StreamStore(fields={"x": "float32"}))
    assert segments.found == []


def test_presence_counts_fields_from_the_index(tmp_path: Path) -> None:
    store = filled(tmp_path / "run", 2)
    model = ViewModel(store)
    counts = dict(
        zip([f.name for f in model.fields], model.presence(model.look(), 0, 40), strict=True)
    )
    assert counts["reward"] == 30
    assert counts["note"] == 2
    assert counts["when"] == 0
    assert counts["arm.pos"] == 40


# --- series ---


@given(
    values=st.lists(st.sampled_from([np.nan, -5.0, 0.0, 1.0, 1e300, -1e300]), min_size=1),
    pixels=st.integers(1, 12),
    block=st.integers(1, 7),
)
def test_an_envelope_has_the_range_of_each_pixel(
    values: list[float], pixels: int, block: int
) -> None:
    start, column = 100, np.array(values)[:, None]
    envelope = Envelope(start, start + len(values), pixels, 1)
    statistics = Statistics()
    for first in range(0, len(values), block):
        part = column[first : first + block]
        present = ~np.isnan(part[:, 0])
        last = first + len(part)
        envelope.add(Block(start + first, start + last, part, part, present, np.zeros_like(part)))
        statistics.add(part[:, 0], part[:, 0], 0)
    owner = [row * envelope.pixels // len(values) for row in range(len(values))]
    for pixel in range(envelope.pixels):
        own = [value for value, place in zip(values, owner, strict=True) if place == pixel]
        finite = [value for value in own if not np.isnan(value)]
        assert envelope.missing[pixel] == len(own) - len(finite)
        assert envelope.first_rows()[pixel] == start + owner.index(pixel)
        if finite:
            assert envelope.low[pixel, 0] == min(finite)
            assert envelope.high[pixel, 0] == max(finite)
        else:
            assert np.isnan(envelope.low[pixel, 0])
    finite = [value for value in values if not np.isnan(value)]
    assert statistics.count == len(finite)
    if finite and max(map(abs, finite)) < 1e300:
        assert statistics.mean == pytest.approx(np.mean(finite))
        assert statistics.deviation == pytest.approx(np.std(finite))
        assert (statistics.low, statistics.high) == (min(finite), max(finite))


# --- images and text ---


@pytest.mark.parametrize(
    ("feature", "shape"),
    [
        ("uint8[5,7]", (5, 7)),
        ("packed uint8[5,7,1]", (5, 7)),
        ("packed uint8[5,7,4]", (5, 7)),
        ("packed uint8[3,5,7]", (5, 7)),
        ("packed uint8[9,5,7]", (5, 7)),
        ("packed uint8[2,5,7,3]", (5, 7)),
        ("packed uint8[1,1]", (1, 1)),
        ("packed uint8[1,300,3]", (1, 300)),
    ],
)
def test_images_of_any_shape(feature: str, shape: tuple[int, int]) -> None:
    store = StreamStore(fields={"x": feature})
    field = ViewModel(store).field("x")
    full = tuple(field.spec.shape)
    value = np.arange(np.prod(full), dtype=np.uint64).astype(np.uint8).reshape(full)
    store.append_step({"x": value})
    pixels = picture_of(field, value_at(store, field, 0))
    assert pixels is not None
    assert pixels.shape == (*shape, 3)
    assert pixels[0, 0, 0] == {9: value[-1].flat[0], 2: value[-1].flat[0]}.get(
        full[0], value.flat[0]
    )
    small = shrink(pixels, 3, 4)
    assert small.shape[0] <= 3
    assert small.shape[1] <= 4


def test_a_ragged_image_without_rows_has_no_picture() -> None:
    store = StreamStore(fields={"x": "packed uint8[None,4,3]"})
    store.append_step({"x": np.zeros((0, 4, 3), np.uint8)})
    field = ViewModel(store).field("x")
    assert picture_of(field, value_at(store, field, 0)) is None


def test_png_files_and_files_of_images_are_decoded() -> None:
    image = pytest.importorskip("PIL.Image")
    import io

    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    gray = np.repeat(pixels[..., :1], 3, axis=2)
    for one in (pixels, gray):
        with image.open(io.BytesIO(png(one))) as file:
            assert (np.asarray(file.convert("RGB")) == one).all()
    datasets = pytest.importorskip("datasets")
    store = StreamStore(fields={"photo": datasets.Image()})
    store.append_step({"photo": pixels})
    field = ViewModel(store).field("photo.bytes")
    assert field.kind is Kind.IMAGE
    found = picture_of(field, value_at(store, field, 0))
    assert found is not None
    assert (found == pixels).all()
    assert picture_of(field, b"damaged") is None
    assert data_url(pixels).startswith("data:image/png;base64,")


def test_text_has_no_control_characters() -> None:
    shown = value_text(EVIL)
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "<img" in shown  # pages escape it themselves
    assert safe("a\nb", lines=True) == "a\nb"
    assert safe("a\nb") == "a\\nb"
    assert cut("abcdef", 3) == "ab…"
    assert cut("abcdef", 0) == ""
    assert len(value_text("x" * 10**6, 20)) == 20
    assert number_text(float("nan")) == "-"
    assert number_text(1234567.0) == "1,234,567"
    assert number_text(float("inf")) == "inf"


def test_dropped_rows_raise_where_a_view_can_catch_them(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "run", fields=FIELDS) as writer:
        from view_helpers import fill

        fill(writer, 2)
        model = ViewModel(writer)
        writer.drop_before(30)
        with pytest.raises(DroppedError):
            value_at(model.look(), model.field("reward"), 3)
