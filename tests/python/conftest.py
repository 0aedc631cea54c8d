"""What all Python tests share: Hypothesis profiles, a place for caches, nothing skipped unseen.

In CI the examples are the same at every run; elsewhere they are new each time. With
STREAMSTORE_NO_SKIP=1 a run in which any test was skipped fails.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

import pytest
from hypothesis import settings

# `datasets` reads where its cache is when it is imported: not in anybody's home.
CACHE = tempfile.mkdtemp(prefix="stream-store-cache-")
os.environ["HF_HOME"] = CACHE
atexit.register(shutil.rmtree, CACHE, ignore_errors=True)

settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("deep", deadline=None, max_examples=3000)  # by hand: hours
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turn skipped tests into a failed run where nothing may be skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("STREAMSTORE_NO_SKIP"):
        return
    if reporter.stats.get("skipped") and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
