#!/usr/bin/env python3
"""Write the options of each command into docs/guide/command-line.md, from the application itself.

usage: command_page.py    (a test checks that the page is current)

The page has a section for each command; the text and the examples in it are written by hand. A
command that has no section gets one, with its help as the text.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import typer

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT / "scripts"), str(ROOT / "python")]

import pages  # noqa: E402 (its folder is on the path from here on)
from stream_store._cli.app import app  # noqa: E402

PAGE = ROOT / "docs" / "guide" / "command-line.md"
AFTER = "## Exit codes\n"  # new sections are put before this heading


def commands() -> dict[str, Any]:
    """The commands of `stream-store` by name, as objects of typer."""
    return dict(typer.main.get_command(app).commands)


def table(name: str, command: Any) -> str:
    """The usage of a command and a table of its arguments and options."""
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [param for param in command.params if param.param_type_name == "option"]
    usage = " ".join(["stream-store", name, *(placeholder(one) for one in arguments)])
    lines = [f"`{usage} [OPTIONS]`", "", "| argument or option | meaning |", "|---|---|"]
    lines += [f"| `{placeholder(one)}` | {meaning(one)} |" for one in arguments]
    for option in options:
        names = ", ".join(f"`{text}`" for text in [*option.opts, *option.secondary_opts])
        lines.append(f"| {names} | {meaning(option)} |")
    return "\n".join(lines)


def placeholder(argument: Any) -> str:
    """The name of an argument as the help shows it."""
    name = (argument.metavar or argument.name or "").upper()
    return name if argument.required else f"[{name}]"


def meaning(param: Any) -> str:
    """The help of an argument or option, with what it does if it is left out."""
    parts = [(param.help or "").replace("|", "\\|")]
    default = param.default
    if getattr(param, "multiple", False):
        parts.append("may be repeated")
    elif default not in (None, False, "") and not callable(default) and not param.required:
        parts.append(f"default: {default}")
    return "; ".join(part for part in parts if part)


def page_text(text: str) -> str:
    """The page with the current options; `text` is the page as it is."""
    for name, command in commands().items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        if begin not in text:
            section = f"## `{name}`\n\n{command.help}\n\n{begin}\n{end}\n\n"
            text = text.replace(AFTER, section + AFTER)
        text = pages.replaced(text, name, table(name, command))
    return text


if __name__ == "__main__":
    PAGE.write_text(page_text(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
