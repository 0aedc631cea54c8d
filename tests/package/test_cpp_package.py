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


def test_shared_library_without_arrow_has_neither_its_code_nor_its_header(
    shared_prefix: Path, without_arrow_prefix: Path
) -> None:
    def arrow_names(prefix: Path) -> set[str]:
        names = run("nm", "-DC", "--defined-only", prefix / "lib" / "libstream_store.so")
        return set(re.findall(r"stream_store::(ExportArrow|ImportArrow)\(", names))

    assert arrow_names(shared_prefix) == {"ExportArrow", "ImportArrow"}
    assert arrow_names(without_arrow_prefix) == set()
    installed = (without_arrow_prefix / "include" / "stream_store").glob("*.h")
    assert {path.name for path in HEADERS} - {path.name for path in installed} == {"arrow.h"}


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


@pytest.mark.parametrize("kind", ["static", "shared", "without_arrow"])
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


def test_a_program_without_arrow_includes_everything_but_its_header(
    without_arrow_prefix: Path, tmp_path: Path
) -> None:
    (tmp_path / "main.cc").write_text(
        '#include "stream_store/stream_store.h"\n'
        "int main() { return stream_store::StreamStore::Temporary().declared(); }\n"
    )
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.25)\nproject(mine LANGUAGES CXX)\n"
        "find_package(StreamStore REQUIRED)\nadd_executable(mine main.cc)\n"
        "target_link_libraries(mine PRIVATE StreamStore::stream_store)\n"
    )
    build = tmp_path / "build"
    configure(tmp_path, build, f"-DCMAKE_PREFIX_PATH={without_arrow_prefix}")
    run("cmake", "--build", build)
    run(build / "mine")
    (tmp_path / "arrow.cc").write_text('#include "stream_store/arrow.h"\n')
    flags = ["-std=c++20", "-fsyntax-only", f"-I{ROOT}/include", "-DSTREAM_STORE_WITHOUT_ARROW"]
    done = subprocess.run(
        ["g++", *flags, tmp_path / "arrow.cc"], check=False, text=True, capture_output=True
    )
    assert "built with STREAMSTORE_WITH_ARROW=OFF" in done.stderr


def test_types_that_are_no_items_say_how_to_pass_them(tmp_path: Path) -> None:
    wanted = {
        "std::vector<bool>(3)": "std::vector<std::uint8_t>",
        "static_cast<double*>(nullptr)": "std::span(pointer, count)",
        "std::chrono::seconds(1)": "value.count() in the unit of the field",
        "std::optional<int>(1)": "leave a missing std::optional out of the call",
        "nullptr": "Leave a missing field out of the call.",
        "std::vector<std::string>(3)": "The elements of this range do not convert to items.",
        'L"wide"': "Text is stored as UTF-8",
        "1.0L": "convert a long double to double",
        "Dense<double, 3, 3, false, 3>()": "This Eigen matrix is column-major",
        "Dense<double, -1, -1, false, 3>()": "This Eigen matrix is column-major",
        "Dense<double, 2, 3, true, 5>()": "may have gaps between its coefficients",
        "Dense<std::string, 3, 1, false, 3>()": "The coefficients do not convert to items.",
        "Expression()": "has no memory of its own. Pass value.eval().",
    }
    source = """
#include <chrono>
#include <optional>
#include <string>
#include <vector>
#include "stream_store/field_write.h"
template <class Item, int kRows, int kCols, bool kRowMajor, int kStride>
struct Dense {
  using Scalar = Item;
  using PlainObject = Dense<Item, kRows, kCols, kRowMajor, kRowMajor ? kCols : kRows>;
  enum { RowsAtCompileTime = kRows, ColsAtCompileTime = kCols, IsRowMajor = kRowMajor };
  enum { InnerStrideAtCompileTime = 1, OuterStrideAtCompileTime = kStride };
  const Item* data() const;
  long size() const;
};
struct Expression {
  using Scalar = double;
  enum { RowsAtCompileTime = 3, ColsAtCompileTime = 1, IsRowMajor = 0 };
};
"""
    for number, value in enumerate(wanted):
        source += f"auto write{number}() {{ return stream_store::FieldWrite(0, {value}); }}\n"
    (tmp_path / "main.cc").write_text(source)
    flags = ["-std=c++20", "-fsyntax-only", f"-I{ROOT}/include"]
    done = subprocess.run(
        ["g++", *flags, tmp_path / "main.cc"], check=False, text=True, capture_output=True
    )
    errors = re.findall(r"error: static assertion failed: (.*)", done.stderr)
    assert {text for text in wanted.values() if not any(text in error for error in errors)} == set()
    assert len(re.findall(r"error:", done.stderr)) == len(errors)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_public_headers_compile_alone(compiler: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is missing (Debian: apt-get install {compiler})")
    for header in HEADERS:
        unit = tmp_path / f"{header.stem}.cc"
        unit.write_text(f'#include "stream_store/{header.name}"\n' * 2)
        flags = ["-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
        run(compiler, *flags, f"-I{ROOT / 'include'}", unit)
