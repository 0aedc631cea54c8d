"""docs/guide/command-line.md has every command and option, and its examples work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("typer")

from typer.testing import CliRunner

import command_page
from stream_store._cli import exit_codes
from stream_store._cli.app import app

PAGE = command_page.PAGE


def sections() -> dict[str, str]:
    """The text of each section by its heading, without backticks."""
    text = PAGE.read_text(encoding="utf-8")
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)[1:]
    return {name.strip("`"): body for name, body in zip(parts[::2], parts[1::2], strict=True)}


def test_the_page_is_current() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert command_page.page_text(text) == text, "run scripts/command_page.py"


def test_every_section_of_a_command_is_that_of_a_command() -> None:
    named = set(re.findall(r"^## `(.+)`$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert named == set(command_page.commands())


def test_a_changed_option_or_a_new_command_makes_the_page_stale() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert command_page.page_text(text.replace("| `--yes` |", "| `--sure` |")) == text
    begin = text.index("## `drop`")
    without = text[:begin] + text[text.index("## `retain`") :]
    again = command_page.page_text(without)
    assert "## `drop`\n\nDrop all rows before ROW, for good.\n" in again
    assert again.index("## `drop`") < again.index(command_page.AFTER)


def test_every_command_has_an_example() -> None:
    for name in command_page.commands():
        assert f"\nstream-store {name} " in sections()[name], name


def test_exit_codes_are_those_of_the_command() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", sections()["Exit codes"], re.M)}
    values = {code for name, code in vars(exit_codes).items() if name.isupper()}
    assert listed == values | {0}


def test_examples_run_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first to the last, on the store that the Python block makes."""
    pytest.importorskip("pyarrow")
    pytest.importorskip("obstore")
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(block, {})
    lines = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines()
    examples = [re.split(r" +#", line)[0].split()[1:] for line in lines]
    assert len(examples) >= 20
    for words in examples:
        if {"--every", "--follow"} & set(words) or "completion" in words[0]:
            continue  # these end with Ctrl-C, or change the settings of the user
        arguments = [word.replace("s3://bucket", f"file://{tmp_path}") for word in words]
        done = CliRunner().invoke(app, arguments, prog_name="stream-store")
        assert done.exit_code == 0, f"{words}: {done.output}"
        assert done.stdout
    assert (tmp_path / "my_run.parquet").is_file()
