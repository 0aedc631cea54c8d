"""Create the golden stores of this build's format version, for tests/golden.

    python scripts/make_golden.py

Writes each store to tests/golden/v<version>/<name>/ and its content to `<name>.json`. Run it once
for each new format version. Existing stores are never created again, and every later build must
open them.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from stream_store import StreamStore, _core

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden"


def make_plain(path: Path) -> None:
    """Write rows with missing fields, empty lists or no field, in one append and in several."""
    fields = {"obs": "float32[3]", "tokens": "int64[]", "reward": "float64", "text": "string"}
    with StreamStore(path, fields=fields) as store:
        for step in range(0, 300, 2):
            row: dict[str, Any] = {"obs": [step, -0.0, 0.5], "tokens": list(range(step % 5))}
            if step % 3 == 0:
                row["text"] = "µ" * (step % 4)
            store.append_step(row, step)
            if step % 4 == 0 and "text" not in row:
                store.append([step], ["reward"], [step / 3])
        store.append_step({}, 1000)
        store.extend({"obs": np.ones((100, 3)), "reward": [None, 1.0] * 50})


def make_kinds(path: Path) -> None:
    """Write values of every encoding."""
    ints = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
    fields: dict[str, Any] = {name: name for name in [*ints, "bool", "float16", "float32"]}
    fields |= {
        "date": "date32",
        "time": "time64[us]",
        "stamp": "timestamp[ns]",
        "span": "duration[ms]",
        "small": "decimal128(12, 3)",
        "large": "decimal256(60, 3)",
        "bytes": "binary",
        "matrix": "int16[2,3]",
        "frame": "packed uint8[5,3]",
    }
    with StreamStore(path, fields=fields) as store:
        for n in range(40):
            row: dict[str, Any] = {
                name: getattr(np.iinfo(name), "max" if n % 2 else "min") for name in ints
            }
            row |= {"bool": n % 2 == 0, "float16": n / 8, "float32": np.float32(n / 7)}
            row |= {
                "date": date(2024, 2, 29) + timedelta(days=n),
                "time": np.timedelta64(n, "us"),
                "stamp": datetime(2024, 5, 1, 12, 0, n, tzinfo=timezone.utc).replace(tzinfo=None),
                "span": timedelta(milliseconds=n),
                "small": Decimal(f"-{n}.125"),
                "large": Decimal(10) ** 40 + n,
                "bytes": bytes(range(n)),
                "matrix": np.full((2, 3), -n),
                "frame": np.full((5, 3), n, np.uint8),
            }
            store.append_step(row)


def make_killed(path: Path) -> None:
    """Kill a writer that has synced half of its rows."""
    child = os.fork()
    if child == 0:
        store = StreamStore(path, capacity=1, fields={"count": "int64", "list": "float64[]"})
        for step in range(100):
            store.append_step({"count": step, "list": [step / 2] * (step % 3)})
            if step == 49:
                store.sync()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


MAKERS: dict[str, Callable[[Path], None]] = {
    "plain": make_plain,
    "kinds": make_kinds,
    "killed": make_killed,
}


def plain(value: Any) -> str:
    """Format a decoded value as text that does not depend on the version of NumPy."""
    return repr(value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value)


def describe(store: StreamStore) -> dict[str, Any]:
    """Return the content that every later build must read from the store, for JSON."""
    return {
        "id": store.id,
        "recovery": store.recovery.state,
        "fields": list(store.fields),
        "values": [int(value) for value in store[:]["values"]],
        "index": [[int(word) for word in entry] for entry in store.index_table()],
        "rows": [
            {name: plain(value) for name, value in row.items() if value is not None}
            for row in store.rows()
        ],
    }


def main() -> None:
    """Create the missing stores."""
    folder = GOLDEN / f"v{_core.format_version}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in MAKERS.items():
        if (folder / name).exists():
            print(f"{folder / name} exists and is not changed", file=sys.stderr)
            continue
        make(folder / name)
        (folder / name / "lock").write_bytes(b"")  # it names the last writer
        with StreamStore(folder / name, mode="r") as store:
            facts = describe(store)
        lines = [f"{json.dumps(key)}: {json.dumps(fact)}" for key, fact in facts.items()]
        text = "{\n" + ",\n".join(lines) + "\n}\n"
        (folder / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
