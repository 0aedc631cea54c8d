"""One version: the header's, the package's, the extension's and the installed distribution's."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import stream_store

REPOSITORY = Path(__file__).resolve().parents[2]


def read_header_version() -> str:
    """The version as include/stream_store/version.h spells it."""
    header = (REPOSITORY / "include/stream_store/version.h").read_text(encoding="utf-8")
    parts = re.findall(r"^#define STREAM_STORE_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)$", header, re.M)
    return ".".join(parts)


def test_package_version_is_the_headers() -> None:
    assert stream_store.__version__ == read_header_version()


def test_distribution_version_is_the_headers() -> None:
    assert version("stream-store") == read_header_version()


def test_extension_was_built_from_this_version() -> None:
    from stream_store import _core

    assert _core.__version__ == read_header_version()


def test_changelog_opens_with_this_version() -> None:
    """The first section, or the first one after a section for unreleased changes."""
    text = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    first = re.search(r"^## (?!Unreleased)(\S+)", text, re.M)
    assert first is not None
    assert first[1] == read_header_version()
