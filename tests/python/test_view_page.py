"""`stream-store view --html`: the page as a file, and as Chromium draws it; plots; notebooks."""

from __future__ import annotations

import base64
import html.parser
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_store import StoreGroup, StreamStore
from stream_store._view.model import ViewModel
from stream_store._view.page import write_page
from test_cli import cli
from view_helpers import EVIL, FIELDS, dump_dom, fill, filled


class Page(html.parser.HTMLParser):
    """The parts of a page: tags with their attributes, tables, data, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.data = ""
        self._table: list[list[str]] = []
        self._cell = self._in_data = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        self._in_data = tag == "script" and attributes.get("id") == "data"
        if tag == "table":
            self._table = self.tables[str(attributes["id"])] = []
        elif tag == "tr":
            self._table.append([])
        elif tag in ("td", "th"):
            self._table[-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data: str) -> None:
        if self._in_data:
            self.data += data
        elif self._cell:
            self._table[-1][-1] += data


def page_of(store: StreamStore, path: Path, by: list[str] | None = None) -> Page:
    write_page(ViewModel(store, by), path)
    return Page(path.read_text(encoding="utf-8"))


def words(text: str) -> list[int]:
    return np.frombuffer(base64.b64decode(text), "<u2").tolist()


def test_the_page_shows_segments_fields_and_missing_values(tmp_path: Path) -> None:
    store = filled(tmp_path / "run", 5)
    page = page_of(store, tmp_path / "run.html")
    segments = page.tables["segments"]
    assert segments[0][:4] == ["segment", "first row", "rows", "sum of reward"]
    assert [line[:4] for line in segments[1:]] == [
        [f"{episode}" + " …" * (episode == 4), str(20 * episode), "20", "15"]
        for episode in range(5)
    ]
    fields = {line[0]: line for line in page.tables["fields"][1:]}
    assert fields["obs[1]"][1:4] == ["float32[2]", "0", number(store, 1, np.min)]
    assert fields["obs[1]"][5] == "1,004"
    assert fields["obs[0]"][7] == fields["obs[1]"][7] == "5"  # NaN in one, infinity in the other
    assert fields["reward"][2] == "25"
    assert fields["when"][2] == "100"
    assert "arm.pos" in fields
    missing = {line[0]: line[1] for line in page.tables["missing"]}
    assert missing == {"reward": "25.0 %", "note": "95.0 %", "when": "100.0 %"}
    images = [attrs["alt"] for tag, attrs in page.tags if tag == "img" and attrs.get("width")]
    assert len(images) == 5 * 6


def number(store: StreamStore, component: int, reduce: Any) -> str:
    values = store.read_rows(slice(None))["obs"][:, component].astype(float)
    return f"{reduce(values[np.isfinite(values)]):.6g}"


def test_the_data_of_the_page_is_that_of_the_store(tmp_path: Path) -> None:
    store = filled(tmp_path / "run", 3)
    data = json.loads(page_of(store, tmp_path / "run.html").data)
    names = [field["name"] for field in data["fields"]]
    place = names.index("obs")
    field, part = data["fields"][place], data["parts"][1]
    assert (part["start"], part["stop"], part["pixels"]) == (20, 40, 20)
    assert part["steps"] == list(range(20, 40))
    assert field["series"] == ["obs[0]", "obs[1]"]
    low, high = field["ranges"][1]["low"], field["ranges"][1]["high"]
    (shown,) = part["series"][place][1]  # one row per pixel: low and high are equal
    values = [None if word == 65535 else low + word / 65534 * (high - low) for word in words(shown)]
    stored = store.read_rows(slice(20, 40))["obs"][:, 1].astype(float)
    assert values[0] is None
    assert values[1:] == pytest.approx(stored[1:], abs=(high - low) / 60000)
    assert max(range(1, 20), key=lambda row: values[row] or 0) == 10  # the spike


def test_spikes_stay_visible_in_many_rows(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "run", fields={"x": "float32"}) as store:
        column = np.zeros(100_000, np.float32)
        column[54_321] = 9
        store.extend({"x": column})
        data = json.loads(page_of(store, tmp_path / "run.html").data)
    whole = data["whole"]
    low, high = (words(text) for text in whole["series"][0][0])
    assert len(high) == whole["pixels"] < 1000
    assert [pixel for pixel, word in enumerate(high) if word] == [
        54_321 * whole["pixels"] // 100_000
    ]
    assert not any(low)


def test_the_page_is_small_and_loads_nothing(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "run", fields=FIELDS) as store:
        fill(store, 130, 30)
        size = write_page(ViewModel(store), tmp_path / "run.html")
    text = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert size == (tmp_path / "run.html").stat().st_size < 2_000_000
    page = Page(text)
    assert len(page.tables["segments"]) == 101
    assert "The last 100 of 130" in text
    for _tag, attributes in page.tags:
        assert not (attributes.get("src") or "data:").startswith(("http", "//", "/"))
        assert (attributes.get("href") or "#").startswith("#")
    assert "default-src 'none'" in text


def test_text_of_the_store_is_escaped(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "run", fields={EVIL: "float32", "<b>": "string"}) as store:
        store.extend({EVIL: [1.0, None], "<b>": [EVIL, EVIL]})
        page = page_of(store, tmp_path / f"{'<i>'}.html")
    text = (tmp_path / "<i>.html").read_text(encoding="utf-8")
    assert [tag for tag, attributes in page.tags if "onerror" in attributes] == []
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert json.loads(page.data)["fields"][0]["name"].startswith("</script><img")


@pytest.mark.parametrize(
    ("fields", "rows"),
    [
        ({"x": "float32"}, {}),
        ({"x": "string"}, {"x": ["a", None]}),
        ({"x": "float32"}, {"x": [np.nan, np.inf, -np.inf, None]}),
        ({"x": "float64"}, {"x": [-1.7e308, 1.7e308]}),
        ({"x": "uint64"}, {"x": np.array([0, 2**64 - 1], np.uint64)}),
        ({"x": "float32[]"}, {"x": [[], None, list(range(10**5))]}),
        ({"x": "packed uint8[None,2,3]"}, {"x": [np.zeros((0, 2, 3), np.uint8), None]}),
        ({f"field {i}": "int8" for i in range(1500)}, {"field 7": [1, 2]}),
    ],
    ids=["no-rows", "text", "odd", "huge", "uint64", "long", "no-image", "many"],
)
def test_odd_stores_have_a_page(tmp_path: Path, fields: Any, rows: Any) -> None:
    with StreamStore(tmp_path / "run", fields=fields) as store:
        if rows:
            store.extend({name: rows.get(name, [None] * 2) for name in fields})
        data = json.loads(page_of(store, tmp_path / "run.html").data)
    assert len(data["parts"]) == bool(rows)


def test_a_page_of_a_bounded_store_begins_with_its_first_row(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "run", fields=FIELDS) as store:
        fill(store, 5)
        store.drop_before(45)
        page = page_of(store, tmp_path / "run.html")
    assert page.tables["segments"][1][:3] == ["2", "45", "15"]
    assert json.loads(page.data)["whole"]["start"] == 45


def test_the_command_writes_the_page_or_leaves_the_file(tmp_path: Path) -> None:
    filled(tmp_path / "run", 2).close()
    out = tmp_path / "out.html"
    assert "out.html" in cli("view", tmp_path / "run", "--html", out)
    before = out.read_bytes()
    error = cli("view", tmp_path / "run", "--html", out, "--by", "note", code=3)
    assert "expected an int or bool field" in error
    assert out.read_bytes() == before
    assert "--html FILE" in cli("view", tmp_path / "run", code=2)
    assert "no such store" in cli("view", tmp_path / "none", "--html", out, code=3)
    assert "directory" in cli("view", tmp_path / "run", "--html", tmp_path, code=3)

    assert "exclude" in cli("view", tmp_path / "run", "--html", out, "--rerun", code=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.html", "run"]


def test_a_page_of_a_group_is_refused_with_the_names_of_its_stores(tmp_path: Path) -> None:
    group = StoreGroup(tmp_path / "runs", fields={"x": "int8"})
    assert "no store yet" in cli("view", tmp_path / "runs", "--html", tmp_path / "a", code=2)
    group.writer("first").close()
    assert "first" in cli("view", tmp_path / "runs", "--html", tmp_path / "a", code=2)


# --- in a browser ---


def test_chromium_draws_the_page(tmp_path: Path) -> None:
    write_page(ViewModel(filled(tmp_path / "run", 5)), tmp_path / "run.html")
    dom = dump_dom(tmp_path / "run.html", tmp_path / "profile", "#row=63")
    assert "segment 3: rows 60 to 79; at row 63, step 63" in dom
    paths = re.findall(r'<path d="([^"]*)"[^>]*data-series="([^"]*)"', dom)
    drawn = {series: path for path, series in paths}
    assert set(drawn) == {
        "episode", "obs[0]", "obs[1]", "reward", "done", "lidar", "list", "arm.grip", "arm.pos",
    }  # fmt: skip
    # The reward is missing in every fourth row: five gaps, so as many runs begin.
    assert drawn["reward"].count("M") == 5
    assert drawn["obs[1]"].count("M") == 1
    points = re.findall(r"([\d.]+) ([\d.]+)", drawn["obs[1]"])
    top = min(points, key=lambda point: float(point[1]))
    assert float(top[0]) == 10.5  # the spike, in the middle of pixel 10
    assert dom.count('class="cursor"') == 8  # one for each chart
    assert dom.count('class="chosen"') == 1
    hidden = re.findall(r'<figure data-place="(\d)" hidden', dom)
    assert set(hidden) == set("0124")


def test_chromium_runs_no_text_of_the_store(tmp_path: Path) -> None:
    evil = (
        "</script><script>document.title='run'</script><img src=x onerror=\"document.title='i'\">"
    )
    with StreamStore(tmp_path / "run", fields={evil: "float32", "note": "string"}) as store:
        store.extend({evil: [1.0, 2.0], "note": [evil, evil]})
        write_page(ViewModel(store), tmp_path / "run.html")
    dom = dump_dom(tmp_path / "run.html", tmp_path / "profile", "#step=1")
    assert f"<title>{tmp_path}/run</title>" in dom
    assert "at row 1, step 1" in dom
    assert dom.count("<script") == 2


# --- plots ---


@pytest.fixture
def pyplot() -> Any:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    # Other tests in this process draw as well: those of the documents leave their figures open.
    plt.close("all")
    yield plt
    plt.close("all")


@pytest.mark.usefixtures("pyplot")
def test_a_plot_has_the_values_and_gaps_of_the_store(tmp_path: Path) -> None:
    store = filled(tmp_path / "run", 2)
    axes = store.plot(["reward", "obs", "arm.pos"], slice(20, 40))
    assert [axis.get_ylabel() for axis in axes] == ["reward", "obs", "arm.pos"]
    line = axes[0].lines[0]
    assert line.get_xdata().tolist() == list(range(20, 40))
    rows = store.read_rows(slice(20, 40))
    expected = np.where(rows["_mask"]["reward"], rows["reward"], np.nan)
    assert np.array_equal(line.get_ydata(), expected, equal_nan=True)
    labels = [text.get_text() for text in axes[1].get_legend().get_texts()]
    assert labels == ["[0]", "[1]"]
    axes[0].figure.savefig(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000
    assert len(store.plot()) == len(ViewModel(store).numeric)


@pytest.mark.usefixtures("pyplot")
def test_a_plot_of_many_rows_keeps_spikes() -> None:
    store = StreamStore(fields={"$x": "float32"})
    column = np.zeros(50_000, np.float32)
    column[12_345] = 7
    store.extend({"$x": column})
    (axis,) = store.plot("$x")
    (band,) = axis.collections
    assert band.get_paths()[0].vertices[:, 1].max() == 7
    axis.figure.canvas.draw()


def test_plots_of_wrong_arguments_are_refused(tmp_path: Path, pyplot: Any) -> None:
    store = filled(tmp_path / "run", 1)
    with pytest.raises(ValueError, match="'note': expected a numeric field, found string"):
        store.plot("note")
    with pytest.raises(ValueError, match="unknown field 'nope'"):
        store.plot(["nope"])
    with pytest.raises(ValueError, match="fields is empty"):
        store.plot([])
    with pytest.raises(TypeError, match="slice"):
        store.plot("reward", 7)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="step 1"):
        store.plot("reward", slice(0, 9, 2))
    with pytest.raises(ValueError, match="no numeric fields"):
        StreamStore(fields={"x": "string"}).plot()
    assert len(StreamStore(fields={"x": "int8"}).plot()) == 1  # no rows
    assert len(pyplot.get_fignums()) == 1


# --- notebooks ---


def test_a_store_is_a_table_in_a_notebook(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "a<b", fields={"<i>": "string", "x": "float32"}) as store:
        assert "0 rows" in store._repr_html_()
        store.extend({"<i>": [EVIL, EVIL], "x": [1.0, 2.5]})
        text = store._repr_html_()
        assert "a&lt;b" in text
        assert "2 rows" in text
        assert "<td" in text
        assert "2.5" in text
        assert "<i>" not in text
        assert "<img" not in text
        assert "\x1b" not in text
        assert "…" in StreamStore(fields={f"f{i}": "int8" for i in range(99)})._repr_html_()
    assert "closed" in store._repr_html_()
    assert "no fields" in StreamStore()._repr_html_()


def test_a_group_is_a_table_in_a_notebook(tmp_path: Path) -> None:
    group = StoreGroup(tmp_path / "runs", fields={"x": "int8"})
    with group.writer("first & last") as store:
        store.extend({"x": [1, 2, 3]})
    group.refresh()
    text = group._repr_html_()
    assert "first &amp; last" in text
    assert "3 rows" in text
