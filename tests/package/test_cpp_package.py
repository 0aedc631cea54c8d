"""The C++ library as another project meets it: installed, found, linked; added as a folder."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from package_helpers import ROOT, run

EXAMPLES = ROOT / "examples"
HEADERS = sorted((ROOT / "include" / "stream_store").glob("*.h"))
COMPILERS = ["g++-11", "g++-12", "clang++-14"]
VERSION = re.findall(
    r"VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", (ROOT / "include/stream_store/version.h").read_text()
)


def configure(source: Path, build: Path, *options: str) -> str:
    return run("cmake", "-G", "Ninja", "-S", source, "-B", build, *options)


# --- the installed files ---


def test_every_public_header_is_installed(static_prefix: Path) -> None:
    installed = (static_prefix / "include" / "stream_store").glob("*.h")
    assert sorted(path.name for path in installed) == [path.name for path in HEADERS]


def test_find_package_refuses_another_minor_version(static_prefix: Path, tmp_path: Path) -> None:
    other = f"{VERSION[0]}.{int(VERSION[1]) + 1}"
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.25)\nproject(mine LANGUAGES CXX)\n"
        f"find_package(StreamStore {other})\n"
        "if(StreamStore_FOUND)\n  message(FATAL_ERROR found)\nendif()\n"
        f"find_package(StreamStore {VERSION[0]}.{VERSION[1]} REQUIRED)\n"
        'message(STATUS "version ${StreamStore_VERSION}")\n'
    )
    out = configure(tmp_path, tmp_path / "build", f"-DCMAKE_PREFIX_PATH={static_prefix}")
    assert f"version {'.'.join(VERSION)}\n" in out


def test_shared_library_exports_the_public_names_alone(shared_prefix: Path) -> None:
    names = run("nm", "-DC", "--defined-only", shared_prefix / "lib" / "libstream_store.so")
    ours = [line.split(" ", 2)[2] for line in names.splitlines() if "stream_store::" in line]
    functions = [name for name in ours if not re.match(r"(vtable|typeinfo)", name)]
    assert any(name.startswith("stream_store::Reader::ReadWindows(") for name in functions)
    inside = [name for name in functions if re.match(r"(\w+ )?stream_store::internal::", name)]
    assert inside == []


def test_shared_library_names_its_minor_version(shared_prefix: Path) -> None:
    out = run("readelf", "-d", shared_prefix / "lib" / "libstream_store.so")
    assert f"Library soname: [libstream_store.so.{VERSION[0]}.{VERSION[1]}]" in out


# --- using it ---


@pytest.mark.parametrize("kind", ["static", "shared"])
def test_find_package_gives_a_program_that_runs(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    prefix = request.getfixturevalue(f"{kind}_prefix")
    moved = tmp_path / "moved"  # an installed tree works where it was moved to
    shutil.copytree(prefix, moved, symlinks=True)
    build = tmp_path / "build"
    configure(EXAMPLES / "cpp_learner", build, f"-DCMAKE_PREFIX_PATH={moved}")
    run("cmake", "--build", build)
    done = subprocess.run([build / "cpp_learner"], check=False, text=True, capture_output=True)
    assert done.stderr == "usage: cpp_learner <store> [field] [seconds]\n"
    linked = "libstream_store.so" in run("ldd", build / "cpp_learner")
    assert linked == (kind == "shared")


@pytest.mark.parametrize("kind", ["static", "shared"])
def test_pkg_config_gives_the_flags(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if shutil.which("pkg-config") is None:
        pytest.skip("pkg-config is missing (Debian and Ubuntu: apt-get install pkg-config)")
    prefix = request.getfixturevalue(f"{kind}_prefix")
    where = {"PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")}
    assert run("pkg-config", "--modversion", "stream_store", **where).strip() == ".".join(VERSION)
    flags = run("pkg-config", "--cflags", "--libs", "stream_store", **where).split()
    program = tmp_path / "quickstart"
    source = EXAMPLES / "cpp_quickstart" / "main.cc"
    run("g++", "-std=c++20", source, *flags, f"-Wl,-rpath,{prefix}/lib", "-o", program)
    out = run(program, cwd=tmp_path)
    assert out == "1000 rows; step of value 4000: 800; obs of row 100: 50.5\n"


@pytest.mark.parametrize("way", ["add_subdirectory", "FetchContent"])
def test_as_a_part_of_another_project_it_brings_the_library_alone(way: str, tmp_path: Path) -> None:
    take = {
        "add_subdirectory": f"add_subdirectory({ROOT} stream_store)",
        "FetchContent": "include(FetchContent)\n"
        f"FetchContent_Declare(stream_store SOURCE_DIR {ROOT})\n"
        "FetchContent_MakeAvailable(stream_store)",
    }[way]
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.25)\nproject(mine LANGUAGES CXX)\n"
        f'set(flags "${{CMAKE_CXX_FLAGS_RELEASE}}")\n{take}\n'
        f"add_executable(mine {EXAMPLES}/cpp_quickstart/main.cc)\n"
        "target_link_libraries(mine PRIVATE StreamStore::stream_store)\n"
        'message(STATUS "flags: ${flags}=${CMAKE_CXX_FLAGS_RELEASE}")\n'
    )
    build = tmp_path / "build"
    out = configure(tmp_path, build)
    before, after = re.findall(r"flags: (-.*)=(-.*)$", out, re.M)[0]
    assert before == after
    targets = run("ninja", "-C", build, "-t", "targets", "all")
    built = set(re.findall(r"^([\w.]+): ", targets, re.M))
    assert {"mine", "stream_store"} <= built
    assert not {name for name in built if re.search(r"test|bench|cpp_|_core", name)}
    prefix = tmp_path / "prefix"
    run("cmake", "--install", build, "--prefix", prefix)
    assert not prefix.exists(), "a project that takes us in is not made to install us"


@pytest.mark.parametrize("compiler", COMPILERS)
def test_public_headers_compile_alone(compiler: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is missing (Debian: apt-get install {compiler})")
    for header in HEADERS:
        unit = tmp_path / f"{header.stem}.cc"
        unit.write_text(f'#include "stream_store/{header.name}"\n' * 2)
        flags = ["-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
        run(compiler, *flags, f"-I{ROOT / 'include'}", unit)
