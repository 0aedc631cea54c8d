"""Ask every store (peer) every question, each in a separate process: part of `make bench`.

    python benchmarks/compare/compare.py [--steps N …] [--peers NAME …] [--questions NAME …]

Prints one JSON object per question and size for run.py, with the seconds that all stores took. The
peers are asked one after the other, in two rounds, except for the largest stores, which are asked
once. The lesser figure counts. A machine that is slow for a while therefore affects all peers
alike. A peer that is not installed is reported as such.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from peers import NAMES as PEERS
from questions import NAMES as QUESTIONS
from questions import peers_of, question
from sizes import COMMON, SIZES

UNSIZED = 200_000  # steps, for questions that do not depend on the size
LARGEST = dict.fromkeys(("hf_datasets", "h5py_file", "lance_table"), COMMON)
MINUTES = 10  # limit for one process

Answers = dict[str, dict[str, Any]]


def ask(
    peer: str, steps: int, questions: list[str], where: Path | None
) -> tuple[Answers, dict[str, float]]:
    """Run one process. Return its answers and seconds by question. A timeout is a refusal."""
    directory = Path(tempfile.mkdtemp(dir=where, prefix="stream-store-compare-"))
    command = [sys.executable, "-W", "ignore", str(HERE / "measure.py")]
    command += [peer, str(steps), str(directory), *questions]
    output, why = "", "no answer"
    try:
        done = subprocess.run(
            command, check=False, text=True, capture_output=True, timeout=MINUTES * 60
        )
        output = done.stdout
        why = (done.stderr.strip().splitlines() or [why])[-1][:120]
    except subprocess.TimeoutExpired as error:
        output = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout or ""
        why = f"no answer in {MINUTES} minutes"
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    answers: Answers = {name: {"cannot": why} for name in questions}
    took = dict.fromkeys(questions, 0.0)
    for line in output.splitlines():
        if line.startswith("ANSWER "):
            answer = json.loads(line.removeprefix("ANSWER "))
            answers[answer.pop("question")] = answer
        elif line.startswith("TOOK "):
            _, name, seconds = line.split()
            took[name] = float(seconds)
    return answers, took


def better(name: str, before: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer with the lesser figure, or the refusal if the question has ALWAYS."""
    missing = float("-inf" if getattr(question(name), "ALWAYS", False) else "inf")
    return min(before, answer, key=lambda one: one.get("figure", missing))


def ask_all(
    peers: list[str], steps: int, questions: list[str], where: Path | None
) -> tuple[dict[str, Answers], dict[str, float]]:
    """Return the best answer of every peer by question and peer, and the seconds by question."""
    best: dict[str, Answers] = {name: {} for name in questions}
    took = dict.fromkeys(questions, 0.0)
    for _ in range(1 if steps > COMMON else 2):
        for peer in peers:
            asked = [name for name in questions if peer in peers_of(name)]
            answers: Answers = {}
            if steps > LARGEST.get(peer, steps):
                refusal = {"cannot": f"was not measured beyond {LARGEST[peer]:,} steps"}
                answers = dict.fromkeys(asked, refusal)
            elif asked:
                answers, seconds = ask(peer, steps, asked, where)
                for name in asked:
                    took[name] += seconds[name]
            for name, answer in answers.items():
                print(f"  {name} {steps:,} {peer}: {answer}", file=sys.stderr, flush=True)
                best[name][peer] = better(name, best[name].get(peer, answer), answer)
    return best, took


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, nargs="*", default=SIZES, help="sizes of the stores")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--questions", nargs="*", default=list(QUESTIONS), choices=list(QUESTIONS))
    parser.add_argument("--directory", type=Path, default=None, help="where to put the stores")
    given = parser.parse_args()
    sized = [name for name in given.questions if question(name).SIZED]
    unsized = [name for name in given.questions if not question(name).SIZED]
    for steps, questions in [(UNSIZED, unsized), *((steps, sized) for steps in given.steps)]:
        if not questions:
            continue
        best, took = ask_all(given.peers, steps, questions, given.directory)
        for name, answers in best.items():
            asked = question(name)
            if not answers:  # no given store is asked this question
                continue
            row = {
                "question": name,
                "task": asked.TASK,
                "unit": asked.UNIT,
                "steps": steps if asked.SIZED else None,
                "seconds": took[name],
                "answers": {PEERS[peer]: answer for peer, answer in answers.items()},
            }
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
