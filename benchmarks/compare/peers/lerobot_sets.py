"""lerobot: its own writer, frame by frame, and its own reader.

scripts/setup.sh installs it without its dependencies in .venv/lerobot (STREAMSTORE_LEROBOT names
another folder), beside a PyTorch that its torchvision was not compiled for. The operator that
torchvision then lacks is declared here, and never called.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from . import TASK

sys.path.append(os.environ.get("STREAMSTORE_LEROBOT", str(Path(sys.prefix) / "lerobot")))
os.environ["HF_HUB_OFFLINE"] = "1"
warnings.simplefilter("ignore")
_operators = torch.library.Library("torchvision", "DEF")
_operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import datasets
from lerobot.datasets.lerobot_dataset import LeRobotDataset

datasets.disable_progress_bars()

CANNOT: dict[str, str] = {}
NAME = "local/compared"
FEATURES = {
    "observation.state": {"dtype": "float32", "shape": (8,), "names": None},
    "action": {"dtype": "float32", "shape": (7,), "names": None},
}


class LeRobot:
    def __init__(self, directory: Path, columns: dict[str, NDArray[Any]], fps: int) -> None:
        self.directory, self.columns, self.fps, self.count = directory, columns, fps, 0

    def export(self) -> None:
        self.count += 1
        self.set = self.directory / f"set-{self.count}"
        made = LeRobotDataset.create(
            NAME, fps=self.fps, root=self.set, features=FEATURES, use_videos=False
        )
        episode = self.columns["episode_index"]
        for row in range(len(episode)):
            frame = {name: self.columns[name][row] for name in FEATURES}
            made.add_frame({**frame, "task": TASK})
            if row + 1 == len(episode) or episode[row + 1] != episode[row]:
                made.save_episode()
        made.finalize()

    def read(self) -> dict[str, NDArray[Any]]:
        """Read all rows one by one, as a DataLoader does."""
        opened = LeRobotDataset(NAME, root=self.set)
        rows = [opened[i] for i in range(len(opened))]
        names = ("episode_index", *FEATURES)
        return {name: torch.stack([row[name] for row in rows]).numpy() for name in names}
