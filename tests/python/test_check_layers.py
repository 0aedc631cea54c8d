"""The layer check finds each kind of violation, at its exact place, and none in a valid tree."""

from __future__ import annotations

from pathlib import Path

import pytest

import check_layers


def make_tree(root: Path, files: dict[str, str]) -> list[str]:
    """Write a small repository that lists its C++ files and return the findings as text."""
    listed = "\n".join(name for name in files if name.endswith((".cc", ".h")))
    (root / "CMakeLists.txt").write_text(listed, encoding="utf-8")
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return [str(finding) for finding in check_layers.check_tree(root)]


def test_valid_tree_has_no_findings(tmp_path: Path) -> None:
    findings = make_tree(
        tmp_path,
        {
            "include/stream_store/a.h": "#include <span>\n",
            "include/stream_store/b.h": '#include "stream_store/a.h"\n',
            "src/base/file.h": "#include <fcntl.h>\n",
            "src/store/store.cc": '#include "base/file.h"\n#include "stream_store/b.h"\n',
            "python/convert/rows.h": '#include "stream_store/a.h"\n',
            "python/bindings/bind.cc": '#include <nanobind/nanobind.h>\n#include "convert/rows.h"',
            "python/stream_store/__init__.py": "import numpy\nimport os\nfrom . import x\n",
        },
    )
    assert findings == []


@pytest.mark.parametrize(
    ("path", "include", "message"),
    [
        (
            "src/base/a.cc",
            "format/record.h",
            "base includes format/record.h; it may include base, stream_store only",
        ),
        (
            "src/format/a.cc",
            "storage/writer.h",
            "format includes storage/writer.h; it may include base, format, stream_store only",
        ),
        (
            "src/arrow/a.cc",
            "convert/store.h",
            "arrow includes convert/store.h; it may include arrow, base, format, storage, store, "
            "stream_store only",
        ),
        (
            "include/stream_store/a.h",
            "base/file.h",
            "stream_store includes base/file.h; it may include stream_store only",
        ),
        (
            "python/bindings/a.cc",
            "store/reader.h",
            "bindings includes store/reader.h; it may include bindings, convert, stream_store only",
        ),
        (
            "python/convert/a.cc",
            "bindings/module.h",
            "convert includes bindings/module.h; it may include convert, stream_store only",
        ),
    ],
)
def test_include_against_the_direction_is_found(
    tmp_path: Path, path: str, include: str, message: str
) -> None:
    findings = make_tree(tmp_path, {path: f'// why\n#include "{include}"\n'})
    assert findings == [f"{path}:2: {message}"]


def test_angle_brackets_do_not_hide_an_include(tmp_path: Path) -> None:
    findings = make_tree(tmp_path, {"src/base/a.h": "#include <store/reader.h>\n"})
    assert findings == [
        "src/base/a.h:1: base includes store/reader.h; it may include base, stream_store only"
    ]


def test_include_without_its_folder_is_found(tmp_path: Path) -> None:
    findings = make_tree(tmp_path, {"src/base/a.cc": '#include "a.h"\n', "src/base/a.h": ""})
    assert findings == ['src/base/a.cc:1: write "a.h" with its folder, as in "base/a.h"']


def test_system_header_outside_base_is_found(tmp_path: Path) -> None:
    findings = make_tree(tmp_path, {"src/storage/a.cc": "#include <sys/mman.h>\n"})
    assert findings == [
        "src/storage/a.cc:1: storage includes sys/mman.h; system headers stay in src/base"
    ]


def test_file_that_no_list_names_is_found(tmp_path: Path) -> None:
    findings = make_tree(
        tmp_path, {"src/base/CMakeLists.txt": "a.cc)", "src/base/a.cc": "", "src/base/b.cc": ""}
    )
    assert findings == ["src/base/b.cc:1: not listed in src/base/CMakeLists.txt"]


def test_source_of_a_python_test_that_no_test_names_is_found(tmp_path: Path) -> None:
    folder = "tests/python"
    findings = make_tree(
        tmp_path,
        {f"{folder}/a.cc": "", f"{folder}/b.cc": "", f"{folder}/test_a.py": 'SOURCE = "a.cc"'},
    )
    assert findings == ["tests/python/b.cc:1: no test in tests/python names it"]


def test_include_of_a_missing_file_is_found(tmp_path: Path) -> None:
    findings = make_tree(tmp_path, {"src/base/a.cc": '#include "base/gone.h"\n'})
    assert findings == ["src/base/a.cc:1: includes base/gone.h, which does not exist"]


@pytest.mark.parametrize("layer", ["base", "format"])
def test_low_layers_may_not_include_the_public_classes(tmp_path: Path, layer: str) -> None:
    findings = make_tree(
        tmp_path,
        {
            "include/stream_store/error.h": "",
            "include/stream_store/store.h": "",
            f"src/{layer}/a.cc": "".join(
                f'#include "stream_store/{name}.h"\n' for name in ("error", "store")
            ),
        },
    )
    names = "dtype.h, error.h, export.h, field_write.h, nested.h, schema.h, types.h, version.h"
    include = f"{layer} includes stream_store/store.h"
    assert findings == [
        f"src/{layer}/a.cc:2: {include}; of the public headers it may include {names}"
    ]


def test_layers_of_the_core_may_use_its_assertions(tmp_path: Path) -> None:
    files = {"src/base/assert.h": "", "src/arrow/a.cc": '#include "base/assert.h"\n'}
    assert make_tree(tmp_path, files) == []


@pytest.mark.parametrize("layer", ["convert", "bindings"])
def test_the_extension_may_not_use_the_assertions_of_the_core(tmp_path: Path, layer: str) -> None:
    files = {"src/base/assert.h": "", f"python/{layer}/a.cc": '#include "base/assert.h"\n'}
    (finding,) = make_tree(tmp_path, files)
    assert finding.startswith(f"python/{layer}/a.cc:1: {layer} includes base/assert.h; it may")


def test_private_headers_of_one_name_are_found(tmp_path: Path) -> None:
    files = {"src/base/a.h": "", "src/store/a.h": "", "python/convert/a.h": ""}
    findings = make_tree(tmp_path, files)
    assert findings == ["src/store/a.h:1: has the name of src/base/a.h; use another one"]


def test_include_cycle_is_found_once_with_its_files(tmp_path: Path) -> None:
    findings = make_tree(
        tmp_path,
        {
            "src/base/a.h": '#include "base/b.h"\n',
            "src/base/b.h": '\n#include "base/c.h"\n',
            "src/base/c.h": '\n\n#include "base/a.h"\n',
        },
    )
    cycle = "src/base/a.h -> src/base/b.h -> src/base/c.h -> src/base/a.h"
    assert findings == [f"src/base/c.h:3: include cycle: {cycle}"]


@pytest.mark.parametrize(
    "text",
    [
        "import datasets\n",
        "from pyarrow.lib import Table\n",
        "if True:\n    import datasets\n",
        "try:\n    import torch\nexcept ImportError:\n    torch = None\n",
        "class A:\n    import gymnasium\n",
    ],
)
def test_optional_package_at_module_level_is_found(tmp_path: Path, text: str) -> None:
    findings = make_tree(tmp_path, {"python/stream_store/a.py": text})
    assert len(findings) == 1
    assert findings[0].startswith("python/stream_store/a.py:")
    assert "at module level; `import stream_store` needs only numpy" in findings[0]


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    import datasets\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import datasets\n",
        "from stream_store import errors\n",
    ],
)
def test_import_that_does_not_run_is_allowed(tmp_path: Path, text: str) -> None:
    assert make_tree(tmp_path, {"python/stream_store/a.py": text}) == []


def test_file_over_500_lines_is_found(tmp_path: Path) -> None:
    findings = make_tree(tmp_path, {"src/base/long.h": "\n" * 501, "src/base/full.h": "\n" * 500})
    assert findings == ["src/base/long.h:501: 501 lines; a file has at most 500"]
