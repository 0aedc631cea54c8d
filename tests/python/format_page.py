"""The page docs/format.md and the reader at its end, which tests compare with stores."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "format.md"


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def page_reader() -> dict[str, Any]:
    """The names defined by the reader at the end of the page."""
    names: dict[str, Any] = {"__name__": "page_reader"}
    exec(compile(python_blocks()[-1], str(PAGE), "exec"), names)  # the page is ours
    return names
