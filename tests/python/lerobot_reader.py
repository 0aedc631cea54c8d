"""Opens data sets with the `lerobot` package and saves their values.

    python lerobot_reader.py ROOT OUT [ROOT OUT …]

Writes the values of all frames into OUT.npz, and facts of the metadata into OUT.json. The package
is installed without its dependencies (scripts/setup.sh), beside a PyTorch that its torchvision was
not compiled for; the operators that torchvision then lacks are declared here, and never called.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

_LIBRARIES: list[torch.library.Library] = []  # declarations end with their object


def declare_operators() -> None:
    """Let torchvision be imported without its compiled part."""
    if not _LIBRARIES:
        _LIBRARIES.append(torch.library.Library("torchvision", "DEF"))
        _LIBRARIES[0].define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def read(root: Path) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
    """All frames, and facts, as the library gives them."""
    declare_operators()
    warnings.simplefilter("ignore")
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    dataset = LeRobotDataset("local/test", root=root)
    frames = [dataset[i] for i in range(len(dataset))]
    values = {
        name: np.array([frame[name] for frame in frames])
        if isinstance(frames[0][name], str)
        else torch.stack([frame[name] for frame in frames]).numpy()
        for name in frames[0]
    }
    meta = dataset.meta
    facts = {
        "fps": dataset.fps,
        "frames": dataset.num_frames,
        "episodes": dataset.num_episodes,
        "features": {name: one["dtype"] for name, one in dataset.features.items()},
        "tasks": {str(text): int(row.task_index) for text, row in meta.tasks.iterrows()},
        "robot_type": meta.robot_type,
        "rows": [dict(row) for row in meta.episodes],
        "stats": {
            name: {key: np.asarray(value).tolist() for key, value in one.items()}
            for name, one in meta.stats.items()
        },
    }
    return values, facts


def windows(root: Path) -> list[int]:
    """Shapes of a sample with neighbours in time, which checks the times against the rate."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    rate = json.loads((root / "meta" / "info.json").read_text())["fps"]
    dataset = LeRobotDataset(
        "local/test", root=root, delta_timestamps={"action": [-1 / rate, 0, 1 / rate]}
    )
    return list(dataset[1]["action"].shape)


def save(root: Path, out: Path) -> None:
    """Read a data set, and write its values."""
    values, facts = read(root)
    if "action" in values:
        facts["window"] = windows(root)
    np.savez(out.with_suffix(".npz"), **values)
    out.with_suffix(".json").write_text(json.dumps(facts))


if __name__ == "__main__":
    for where, target in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        save(Path(where), Path(target))
