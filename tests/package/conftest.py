"""Fixtures of the package tests: one installed library of each kind.

Like the Python tests, a run in which any test was skipped fails with STREAMSTORE_NO_SKIP=1.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from package_helpers import ROOT, run


@pytest.fixture(scope="session")
def static_prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the static library is installed; built with the C++ tests if those are built."""
    preset = "release" if (ROOT / "build" / "release" / "CMakeCache.txt").exists() else "package"
    run("cmake", "--preset", preset)
    run("cmake", "--build", "--preset", preset, "--target", "stream_store", "-j", "2")
    prefix = tmp_path_factory.mktemp("static")
    run("cmake", "--install", f"build/{preset}", "--prefix", prefix)
    return prefix


@pytest.fixture(scope="session")
def shared_prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the shared library is installed."""
    build = ROOT / "build" / "package-shared"
    options = ["-DBUILD_SHARED_LIBS=ON", "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG="]
    options += ["-DSTREAMSTORE_WITH_ARROW=ON"]  # which without_arrow_prefix changes
    run("cmake", "--preset", "package", "-B", build, *options)
    run("cmake", "--build", build, "-j", "2")
    prefix = tmp_path_factory.mktemp("shared")
    run("cmake", "--install", build, "--prefix", prefix)
    return prefix


@pytest.fixture(scope="session")
def without_arrow_prefix(shared_prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the shared library without Arrow is installed.

    Its sources are compiled with the flags of the whole one, so it is linked from the same objects,
    with all symbols defined.
    """
    assert shared_prefix.exists()  # built and installed before its build folder changes
    build = ROOT / "build" / "package-shared"
    flags = "-DCMAKE_SHARED_LINKER_FLAGS=-Wl,--no-undefined"
    run("cmake", "-B", build, "-DSTREAMSTORE_WITH_ARROW=OFF", flags)
    run("cmake", "--build", build, "-j", "2")
    prefix = tmp_path_factory.mktemp("without_arrow")
    run("cmake", "--install", build, "--prefix", prefix)
    return prefix


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turn skipped tests into a failed run where nothing may be skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("STREAMSTORE_NO_SKIP"):
        return
    if reporter.stats.get("skipped") and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
