"""Nested fields whose features encode values: media, Json, ClassLabel, translations, arrays."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest

from store_helpers import facts, new_store
from stream_store.values import media

datasets = pytest.importorskip("datasets")

LABEL = datasets.ClassLabel(names=["cat", "dog"])
IMAGE = datasets.Image()
PIXELS = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)


def stored(feature: Any, value: Any) -> Any:
    store = new_store({"x": feature})
    store.append_step({"x": value})
    return store.row(0)["x"]


def pixels(cell: dict[str, Any]) -> Any:
    image = pytest.importorskip("PIL.Image")
    return np.asarray(image.open(io.BytesIO(cell["bytes"]))).tolist()


def test_lists_of_images_take_what_the_feature_encodes() -> None:
    image = pytest.importorskip("PIL.Image").fromarray(PIXELS)
    cells = stored(datasets.List(IMAGE), [image, PIXELS, "a/b.png", b"GIF89a", None])
    assert [pixels(cell) for cell in cells[:2]] == [PIXELS.tolist()] * 2
    assert cells[2:] == [
        {"bytes": None, "path": "a/b.png"},
        {"bytes": b"GIF89a", "path": None},
        None,
    ]


def test_an_image_that_was_a_jpeg_is_not_compressed_again() -> None:
    image = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    image.fromarray(PIXELS.repeat(9, 0).repeat(9, 1)).save(file, "JPEG", quality=30)
    opened = image.open(file)
    (cell,) = stored(datasets.List(IMAGE), [opened])
    assert pixels(cell) == np.asarray(opened).tolist()


def test_images_inside_structs_inside_lists() -> None:
    pages = datasets.List({"page": IMAGE, "words": datasets.List(datasets.Value("string"))})
    (page,) = stored(pages, [{"page": PIXELS, "words": ["a", None]}])
    assert pixels(page["page"]) == PIXELS.tolist()
    assert page["words"] == ["a", None]


def test_stored_media_are_kept_although_their_path_is_a_file(tmp_path: Any) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"other bytes")
    cell = {"bytes": b"bytes", "path": str(file)}
    assert stored(datasets.List(IMAGE), [cell]) == [cell]


def test_labels_inside_lists_take_names_and_ignored_numbers() -> None:
    feature = datasets.List({"tags": datasets.List(LABEL)})
    value = [{"tags": ["dog", 0, np.str_("cat"), -100, np.int8(1), None]}, {"tags": None}]
    assert stored(feature, value) == [{"tags": [1, 0, 0, -100, 1, None]}, {"tags": None}]


def test_json_is_text_at_the_top_and_inside_lists() -> None:
    values = [{"a": 1}, [1, None], '{"b":  2}', "plain"]
    texts = ['{"a":1}', "[1,null]", '{"b":  2}', '"plain"']
    assert stored(datasets.List(datasets.Json()), [*values, None]) == [*texts, None]
    assert [stored(datasets.Json(), value) for value in values] == texts


def test_json_keeps_every_float_and_refuses_what_it_cannot_represent() -> None:
    value = {"x": 1 / 3, "y": 2**64 - 1, "z": "é", "n": np.float32(0.5), "a": np.arange(2)}
    for text in (
        stored(datasets.Json(), value),
        stored(datasets.List(datasets.Json()), [value])[0],
    ):
        assert json.loads(text) == {"x": 1 / 3, "y": 2**64 - 1, "z": "é", "n": 0.5, "a": [0, 1]}
    loop: list[Any] = []
    loop.append(loop)
    for bad in (object(), b"x", float("nan"), [{1}], loop, "[" * 10**5):
        store = new_store({"j": datasets.Json(), "js": datasets.List(datasets.Json())})
        for row in ({"j": bad}, {"js": [bad]}):
            with pytest.raises((ValueError, TypeError), match=r"field 'js?' .*JSON"):
                store.append_step(row)
    assert stored(datasets.Json(), "NaN") == '"NaN"'


@pytest.mark.parametrize("value", [2**64 - 1, -(2**63), {"k": [2**64 - 1, 1e300, 1e16]}, "1" * 40])
def test_datasets_reads_every_json_number_that_is_stored(value: Any) -> None:
    store = new_store({"j": datasets.Json(), "js": datasets.List(datasets.Json())})
    store.append_step({"j": value, "js": [value, json.dumps(value)]})
    assert store.to_dataset()[0] == {"j": value, "js": [value, value]}


@pytest.mark.parametrize("value", [2**70, {"k": 2**64}, [[-(2**63) - 1]], 10**50])
def test_json_numbers_that_datasets_cannot_read_are_refused(value: Any) -> None:
    store = new_store({"j": datasets.Json(), "js": datasets.List(datasets.Json())})
    for row in ({"j": value}, {"js": [value]}):
        with pytest.raises(ValueError, match=r"field 'js?' .*JSON.*\[-2\*\*63, 2\*\*64\)"):
            store.append_step(row)
    assert len(store) == 0
    text = json.dumps(value)
    store.append_step({"j": text})
    assert store.to_dataset()[0]["j"] == text, "a text that datasets does not read as JSON"


def test_a_text_that_is_json_is_read_as_its_value() -> None:
    texts = ["1", "one", json.dumps("1"), "null"]
    store = new_store({"j": datasets.Json()})
    for text in texts:
        store.append_step({"j": text})
    assert [row["j"] for row in store.to_dataset()] == [1, "one", "1", None]


def test_translations_in_several_languages_are_encoded() -> None:
    feature = datasets.List(datasets.TranslationVariableLanguages(languages=["en", "fr"]))
    cell = {"language": ["en", "fr", "fr"], "translation": ["cat", "chat", "minet"]}
    assert stored(feature, [{"fr": ["chat", "minet"], "en": "cat"}, cell]) == [cell, cell]


def test_shapes_of_arrays_inside_structs_are_checked() -> None:
    feature = datasets.List({"box": datasets.Array2D((2, 2), "int8")})
    assert stored(feature, [{"box": np.eye(2)}]) == [{"box": [[1, 0], [0, 1]]}]
    with pytest.raises(ValueError, match=r"x\[0\].box\[1\]: expected 2 items, for an array of sha"):
        stored(feature, [{"box": [[1, 2], [3]]}])


@pytest.mark.parametrize(
    ("feature", "value", "message"),
    [
        (datasets.List({"t": LABEL}), [{"t": "cat"}, {"t": "cow"}], r"x\[1\].t: expected one of c"),
        (datasets.List({"t": LABEL}), [{"t": 2}], r"x\[0\].t: expected a number below 2"),
        (datasets.List({"t": LABEL}), [{"t": 0.5}], r"x\[0\].t: expected an integer"),
        (datasets.List({"t": LABEL}), ["cat"], r"x\[0\]: expected a dict"),
        (datasets.List({"t": LABEL}), "cat", r"x: expected a list"),
        (datasets.List(IMAGE), [b"a", 5], r"x\[1\]: expected a PIL image, an array"),
        (datasets.List(IMAGE), [{"bytes": 5}], r"x\[0\]: |x\[0\].bytes: expected bytes"),
    ],
)
def test_error_names_the_place_and_nothing_is_appended(
    feature: Any, value: Any, message: str
) -> None:
    store = new_store({"n": "int64", "x": feature})
    store.append_step({"n": 0})
    before = facts(store)
    with pytest.raises((ValueError, TypeError), match=rf"field 'x' \(.*{message}"):
        store.append_step({"n": 1, "x": value})
    assert facts(store) == before


def test_features_that_encode_are_found_at_any_depth() -> None:
    plain = datasets.Features({"a": datasets.List({"_type": datasets.Value("int8")})})
    assert not media.encodes(json.dumps(plain.to_dict()["a"]))
    assert not media.encodes("")
    for feature in (LABEL, IMAGE, datasets.Json(), datasets.Audio(), datasets.Pdf()):
        deep = datasets.Features({"a": datasets.List({"_type": datasets.LargeList(feature)})})
        assert media.encodes(json.dumps(deep.to_dict()["a"]))


def test_media_without_datasets_are_taken_in_their_stored_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    node = json.dumps({"_type": "Image", "mode": None, "decode": False})
    monkeypatch.setattr("importlib.import_module", missing)
    media._feature.cache_clear()
    cell = {"bytes": b"a", "path": None}
    assert media.encode(node, cell) == cell
    with pytest.raises(ImportError, match=r"field 'x': the feature Image .* pip install"):
        media.encode(node, b"a", "field 'x'")
