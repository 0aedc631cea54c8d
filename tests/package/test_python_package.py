"""The Python package as a user gets it: a wheel made from the sdist, in an empty environment."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import package_checks
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
    package_checks.check_sdist(sdist)
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"include/stream_store/store.h", "src/base/file.cc", "cmake/UnityBuild.cmake"} <= names
    assert not {name for name in names if name.startswith((".ci/", ".github/"))}


def test_wheel_holds_the_package_alone(wheel: Path) -> None:
    package_checks.check_files(wheel)
    names = zipfile.ZipFile(wheel).namelist()
    folders = {name.split("/")[0] for name in names}
    assert folders == {"stream_store", next(name for name in folders if ".dist-info" in name)}
    assert "stream_store/py.typed" in names
    assert "stream_store/_core.pyi" in names


def test_wheel_is_small(wheel: Path) -> None:
    package_checks.check_size(wheel)


def test_wheel_needs_nothing_that_a_manylinux_machine_lacks(wheel: Path) -> None:
    assert package_checks.check_platform(wheel).startswith("manylinux_2_")
    package_checks.check_symbols(wheel)


@pytest.fixture
def changed(wheel: Path, tmp_path: Path) -> Callable[[dict[str, bytes | None]], Path]:
    """Writes a copy of the wheel with some files replaced, added, or (None) left out."""

    def write(files: dict[str, bytes | None]) -> Path:
        copy = tmp_path / wheel.name
        with zipfile.ZipFile(wheel) as before, zipfile.ZipFile(copy, "w") as after:
            for name in {*before.namelist(), *files}:
                content = files[name] if name in files else before.read(name)
                if content is not None:
                    after.writestr(name, content)
        return copy

    return write


def test_checks_find_a_wheel_that_is_wrong(
    changed: Callable[[dict[str, bytes | None]], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(package_checks.Problem, match=r"but found not \['stream_store/py.typed'\]"):
        package_checks.check_files(changed({"stream_store/py.typed": None}))
    with pytest.raises(package_checks.Problem, match=r"found also .*notes.txt"):
        package_checks.check_files(changed({"stream_store/notes.txt": b""}))
    with pytest.raises(package_checks.Problem, match="expected one extension"):
        package_checks.check_files(changed({"stream_store/_core.other.so": b""}))
    large = changed({"stream_store/large": random.Random(0).randbytes(2_000_001)})
    with pytest.raises(package_checks.Problem, match="at most 2000000 bytes"):
        package_checks.check_size(large)
    monkeypatch.setattr(package_checks, "GLIBC_LIMIT", (2, 2))
    with pytest.raises(package_checks.Problem, match=r"at most GLIBC_2\.2 but found \['.*@GLIBC_"):
        package_checks.check_symbols(changed({}))


def test_installed_wheel_passes_the_smoke_test(empty: Path, tmp_path: Path) -> None:
    out = run(empty, "-I", Path(__file__).with_name("smoke.py"), cwd=tmp_path)
    assert "all is well" in out
    assert "(32, 64)" in out  # of examples/quickstart.py


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
