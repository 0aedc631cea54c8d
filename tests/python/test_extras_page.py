"""docs/get-started.md lists every extra for users; scripts/extras_page.py writes the list."""

from __future__ import annotations

import re

import pytest

import extras_page
import requirements


def test_every_extra_is_for_users_or_contributors() -> None:
    extras = set(requirements.read_pyproject()["project"]["optional-dependencies"])
    assert extras == set(extras_page.USES) | extras_page.CONTRIBUTORS
    assert not set(extras_page.USES) & extras_page.CONTRIBUTORS


def test_the_page_has_every_extra_for_users() -> None:
    text = extras_page.PAGE.read_text(encoding="utf-8")
    table = re.search(r"<!-- extras:begin -->\n(.*?)<!-- extras:end -->", text, re.DOTALL)
    assert table is not None
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| \d+ \| [\d.]+ \|$", table[1], re.MULTILINE)
    assert dict(rows) == extras_page.USES


def test_closure_follows_requirements_and_extras() -> None:
    assert extras_page.closure(["numpy"], "none") == {"numpy"}
    cli = extras_page.closure(requirements.list_extra("cli"), "cli")
    assert {"rich", "typer", "pygments"} <= cli
    assert extras_page.installed_bytes("numpy") > 5_000_000


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(extras_page.Missing, match="extra x: expected the package no-such-thing"):
        extras_page.closure(["no-such-thing>=1"], "x")
