"""The Python package as a user gets it: a wheel made from the sdist, in an empty environment."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from package_helpers import ROOT, run


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", out)
    (file,) = out.iterdir()
    return file


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the unpacked sdist, so that a file that the sdist lacks is noticed."""
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    run(*pip, "-w", folder / "out", source)
    (file,) = (folder / "out").iterdir()
    return file


@pytest.fixture(scope="module")
def empty(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel and its requirements only."""
    folder = tmp_path_factory.mktemp("empty")
    run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", wheel)
    return python


def run_python(python: Path, code: str, cwd: Path) -> str:
    return run(python, "-I", "-c", code, cwd=cwd)


def test_sdist_holds_the_sources_and_no_leftovers(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for needed in ("CMakeLists.txt", "include/stream_store/store.h", "src/base/file.cc", "LICENSE"):
        assert needed in names
    assert not {name for name in names if re.match(r"(build|\.venv|\.ci|.*__pycache__)/", name)}


def test_wheel_holds_the_package_alone(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    folders = {name.split("/")[0] for name in names}
    assert folders == {"stream_store", next(name for name in folders if ".dist-info" in name)}
    assert "stream_store/py.typed" in names
    assert "stream_store/_core.pyi" in names
    assert [name for name in names if name.endswith(".so")] != []


def test_wheel_needs_nothing_that_a_manylinux_machine_lacks(wheel: Path) -> None:
    out = " ".join(run(sys.executable, "-m", "auditwheel", "show", wheel).split())
    assert re.search(r'is consistent with the following platform tag: "manylinux_', out), out


def test_installed_wheel_runs_the_quickstart(empty: Path, tmp_path: Path) -> None:
    out = run(empty, ROOT / "examples" / "quickstart.py", cwd=tmp_path)
    assert "(32, 64)" in out


def test_import_needs_numpy_alone(empty: Path, tmp_path: Path) -> None:
    code = (
        "import json, sys, sysconfig\n"
        "before = set(sys.modules)\n"
        "import stream_store\n"
        "site = sysconfig.get_path('purelib')\n"
        "files = [getattr(m, '__file__', None) or ''\n"
        "         for name, m in sys.modules.items() if name not in before]\n"
        "tops = {f[len(site) + 1:].split('/')[0] for f in files if f.startswith(site)}\n"
        "print(json.dumps(sorted(tops)))"
    )
    assert json.loads(run_python(empty, code, tmp_path)) == ["numpy", "stream_store"]


def test_missing_extension_says_how_to_get_it(tmp_path: Path) -> None:
    numpy = Path(run(sys.executable, "-c", "import numpy; print(numpy.__path__[0])").strip())
    code = (
        f"import sys; sys.path[:0] = [{str(ROOT / 'python')!r}, {str(numpy.parent)!r}]\n"
        "import stream_store"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        cwd=tmp_path,
        check=False,
        text=True,
        capture_output=True,
    )
    message = done.stderr.splitlines()[-1]
    assert message.startswith("ImportError: stream_store: its compiled part, stream_store._core")
    assert "pip install stream-store" in message


def test_stub_is_the_extensions(tmp_path: Path) -> None:
    """The names, arguments and defaults of _core.pyi are exactly those of the module."""
    stubtest = [sys.executable, "-m", "mypy.stubtest", "stream_store._core"]
    allowed = Path(__file__).parent / "stubtest_allowlist.txt"
    options = ["--allowlist", allowed, "--mypy-config-file", ROOT / "pyproject.toml"]
    out = run(*stubtest, *options, cwd=tmp_path)
    assert "Success" in out


LEAKS = """
import sys, numpy as np, stream_store
store = stream_store.StreamStore(fields={"a": "float32[2]", "b": "string", "c": "int64[]"})
for step in range(10):
    store.append_step({"a": [1, 2], "b": "x" * step, "c": list(range(step))})
store.extend({"a": np.ones((5, 2)), "b": ["y"] * 5})
store[:]; store[[1, 2]]; store.windows([0, 3], 4); store.row(3); list(store.rows())
store.read_rows([0, 1], length=2); store.index_table()
snapshot = store.snapshot(3); snapshot[0]; store.recovery; store.id; repr(store); store.features
for wrong in (lambda: store["a"], lambda: store.append([1], ["q"], [0]), lambda: store[99999]):
    try: wrong()
    except Exception: pass
if len(sys.argv) > 1:
    import ctypes; ctypes.pythonapi.Py_IncRef(ctypes.py_object(store))
"""


@pytest.mark.parametrize("leak", [False, True])
def test_nothing_of_the_extension_outlives_the_program(leak: bool, tmp_path: Path) -> None:
    command = [sys.executable, "-c", LEAKS, *(["leak"] if leak else [])]
    out = run(*command, cwd=tmp_path, STREAM_STORE_LEAK_WARNINGS="1")
    assert ("leaked" in out) == leak, out
