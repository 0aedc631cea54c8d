"""URLs of remote stores: what a user writes is taken literally."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

SCHEMES = ("s3", "gs", "az", "file")


def split_url(url: str) -> tuple[str, str]:
    """The scheme, and what follows it without slashes at the end.

    Nothing is decoded: `%20` are three characters of a name. In a `file://` URL, `?` and `#` are
    characters of the path, too; other URLs may not have them.

    Raises:
        ValueError: it is not the URL of a remote store; the message says why.
    """
    scheme, found, rest = url.partition("://")
    if not found or scheme not in SCHEMES:
        raise ValueError(
            f"{url!r}: a remote store is a URL that begins with s3://, gs://, az:// or file://"
        )
    for character in rest:
        if ord(character) < 32 or ord(character) == 127:
            raise ValueError(f"{url!r}: a URL cannot have the character {character!r}")
        if scheme != "file" and character in "?#":
            raise ValueError(
                f"{url!r}: {character!r} has no meaning in the URL of a remote store; options "
                "belong in storage_options"
            )
    place = rest.rstrip("/")
    if scheme == "file" and (
        not rest.startswith("/") or os.path.normpath(place) in {"/", "//", "."}
    ):
        raise ValueError(
            f"{url!r}: expected file:// and the absolute path of a directory that is not /, such "
            "as file:///data/a"
        )
    if scheme != "file" and (not place or place.startswith("/")):
        raise ValueError(f"{url!r}: expected the name of a bucket after {scheme}://")
    return scheme, place


def encoded_url(url: str) -> str:
    """The URL with all special characters encoded, as obstore takes it."""
    scheme, place = split_url(url)
    return f"{scheme}://{quote(place)}"


def directory_of(url: str) -> Path | None:
    """The directory of a `file://` URL; None for another one."""
    scheme, place = split_url(url)
    return Path(place) if scheme == "file" else None
