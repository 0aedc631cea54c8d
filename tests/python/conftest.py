"""Settings of all Python tests: Hypothesis profiles, caches, one Ray, a check for skipped tests.

In CI, Hypothesis draws the same examples at every run; elsewhere it draws new ones. With
STREAMSTORE_NO_SKIP=1, a run in which any test was skipped fails. Tests that use Ray share one; they
have the mark `xdist_group("ray")`, so that only one worker of pytest-xdist starts it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# `datasets` reads the place of its cache when it is imported. Keep it out of the user's home.
CACHE = tempfile.mkdtemp(prefix="stream-store-cache-")
os.environ["HF_HOME"] = CACHE
os.environ["SB3_LOGDIR"] = CACHE  # otherwise Stable-Baselines3 leaves a directory for each training
atexit.register(shutil.rmtree, CACHE, ignore_errors=True)

# PyTorch and NumPy compute with one thread, here and in the processes that tests start. Otherwise
# each worker of pytest-xdist, and each of its children, would have a thread for every core, and
# these threads wait for each other in loops.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Programs hold their output back, as they do for users; with this variable they do not.
os.environ.pop("PYTHONUNBUFFERED", None)

settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("deep", deadline=None, max_examples=3000)  # takes hours; run it by hand
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[Any]:
    """A Ray cluster of one node with two CPUs, to which this process is connected."""
    ray = pytest.importorskip("ray")
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")
        # Ray's workers have a low priority by default, so that the other tests would hold them up.
        patch.setenv("RAY_worker_niceness", "0")
        head = {"num_cpus": 2, "object_store_memory": 80 << 20, "include_dashboard": False}
        cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
        ray.init(
            cluster.address, log_to_driver=False, configure_logging=False, logging_level="ERROR"
        )
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield cluster
        ray.shutdown()
        cluster.shutdown()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse to run where pytest-xdist ignores groups, so that each worker would start a Ray."""
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        mark = item.get_closest_marker("xdist_group")
        if mark is not None and not item.nodeid.endswith(f"@{mark.args[0]}"):
            raise pytest.UsageError(
                f"expected {item.nodeid} in the group {mark.args[0]!r}, but pytest-xdist has not "
                "put it there; install the versions of scripts/constraints.txt"
            )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if a test was skipped where none may be."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("STREAMSTORE_NO_SKIP"):
        return
    if reporter.stats.get("skipped") and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of a server for S3, one for all tests of a process."""
    pytest.importorskip("moto")
    from remote_helpers import s3_server

    with s3_server() as (endpoint, _process):
        yield endpoint


@pytest.fixture(params=["memory", "local", "s3"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> object:
    """An empty remote store of each kind."""
    pytest.importorskip("obstore")
    from remote_helpers import Remote, memory, new_bucket, s3_options

    if request.param == "memory":
        return memory()
    if request.param == "local":
        return Remote("local", f"file://{tmp_path}/a remote/store")
    endpoint = request.getfixturevalue("s3_endpoint")
    return Remote("s3", new_bucket(endpoint), s3_options(endpoint))
