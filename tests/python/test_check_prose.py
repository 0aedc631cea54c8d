"""The prose check finds each phrase in comments, docstrings and documents, and ignores code."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import check_prose

EXAMPLES = {
    "behind (say: after, beyond)": "the records behind it",
    "anew (say: again, recreated)": "the file is made anew",
    "nobody, somebody, whoever": "nobody has the store open",
    "for ever (say: forever, permanently)": "this waits for ever",
    "is none, is no (use a verb)": "its row is none of the store",
    "tell for report": "the next append tells it",
    "belong into (say: valid)": "a float does not belong into this field",
    "what for a noun": "what was appended is kept",
    "come around, take turns": "the numbers come around",
    "house words": "a guest of the house",
}


def phrases_in(root: Path, name: str, text: str) -> list[str]:
    """The findings in one file, as ``line: phrase``."""
    (root / name).write_text(text, encoding="utf-8")
    found = [place for _, places in check_prose.check(root, [name]).values() for place in places]
    return [place.removeprefix(f"{name}:").rsplit(": ", 1)[0] for place in found]


def test_every_phrase_has_an_example_here() -> None:
    assert EXAMPLES.keys() == check_prose.PHRASES.keys()


@pytest.mark.parametrize(("phrase", "example"), EXAMPLES.items())
def test_phrase_is_found_in_each_kind_of_text(tmp_path: Path, phrase: str, example: str) -> None:
    assert phrases_in(tmp_path, "a.cc", f"int a;\n  // So {example}.\n") == [f"2: {phrase}"]
    assert phrases_in(tmp_path, "b.h", f"int a;  ///< So {example}.\n") == [f"1: {phrase}"]
    assert phrases_in(tmp_path, "c.py", f"a = 1  # So {example}.\n") == [f"1: {phrase}"]
    docstring = f'def f():\n    """Work.\n\n    So {example}.\n    """\n'
    assert phrases_in(tmp_path, "d.py", docstring) == [f"4: {phrase}"]
    assert phrases_in(tmp_path, "e.md", f"# Title\n\nSo {example}.\n") == [f"3: {phrase}"]


@pytest.mark.parametrize("example", EXAMPLES.values())
def test_code_and_literals_are_ignored(tmp_path: Path, example: str) -> None:
    assert phrases_in(tmp_path, "a.cc", f'Throw("So {example}.");\n') == []
    assert phrases_in(tmp_path, "b.py", f'raise ValueError("So {example}.")\n') == []
    assert (
        phrases_in(tmp_path, "c.md", f"```text\nSo {example}.\n```\n\nand `So {example}.`\n") == []
    )


@pytest.mark.parametrize(
    "text",
    [
        "behind the scenes",
        "there is no lock",
        "the value is no longer than 8 bytes",
        "for everything",
        "what is it?",
    ],
)
def test_ordinary_english_is_accepted(tmp_path: Path, text: str) -> None:
    assert phrases_in(tmp_path, "a.cc", f"// So {text}\n") == []


@pytest.mark.parametrize(("phrases", "status"), [(1, 0), (2, 1)])
def test_more_than_ten_phrases_in_a_thousand_lines_fail(
    tmp_path: Path, phrases: int, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    lines = ["// It is made anew."] * phrases + ["// Plain text."] * (100 - phrases)
    (tmp_path / "a.cc").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["check_prose.py", str(tmp_path)])
    assert check_prose.main() == status
