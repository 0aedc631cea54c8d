"""What `import stream_store.ray` imports, and what it says if Ray or Ray Data is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("ray")


def run(code: str) -> str:
    """The output of a program of its own."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=False, text=True, capture_output=True)
    return done.stdout + done.stderr


def test_the_sampler_needs_no_ray_data() -> None:
    code = "import sys, stream_store.ray as r; r.Sampler; print('ray.data' in sys.modules)"
    assert run(code) == "False\n"


@pytest.mark.parametrize(
    ("missing", "use", "said"),
    [
        ("ray", "import stream_store.ray", "stream_store.ray needs Ray,"),
        ("ray.data", "from stream_store.ray import read", "stream_store.ray.read needs Ray Data,"),
        ("ray.data", "from stream_store.ray import write", "stream_store.ray.write needs Ray Data"),
    ],
)
def test_what_is_missing_is_named_with_the_package_to_install(
    missing: str, use: str, said: str
) -> None:
    last = run(f"import sys; sys.modules[{missing!r}] = None; {use}").splitlines()[-1]
    assert last.startswith(f"ImportError: {said}")
    assert last.endswith("install it with `pip install 'stream-store[ray]'`")


def test_names_that_do_not_exist_are_attribute_errors() -> None:
    code = "import stream_store.ray as r; print(dir(r).count('read'), hasattr(r, 'nothing'))"
    assert run(code) == "1 False\n"
