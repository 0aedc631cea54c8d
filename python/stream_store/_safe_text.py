"""Text that is safe to show: names and values without control characters."""

from __future__ import annotations

_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def safe(text: str, *, lines: bool = False) -> str:
    """Text in which control and invisible characters are escaped.

    A terminal would obey them, and those that change the direction of writing could make one value
    look like another. With `lines`, line breaks and tabs are kept.
    """
    if text.isascii() and text.isprintable():
        return text
    import unicodedata  # here, because few texts need it

    kept = "\n\t" if lines else ""
    return "".join(
        character
        if character in kept or unicodedata.category(character) not in _UNSAFE
        else character.encode("unicode_escape").decode()
        for character in text
    )
