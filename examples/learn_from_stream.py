"""Train a model on a store while another process records into it.

    python examples/learn_from_stream.py [--updates 3000] [--steps 60000] [--out learn-output]

1. A second process (this file with --record) runs Gymnasium's pendulum with a scripted, noisy
   policy, step by step. It records a few episodes to hold out, then further episodes for training.
2. Meanwhile a GRU learns from windows of 17 rows, drawn from all rows that are stored at the
   moment. It predicts the next observation from the observations and actions before it.
3. The error on the held-out episodes is compared with the error of repeating the last observation.
   The curve is saved as learning.png. The program fails unless the model's final error is at most
   half of the other.

Needs PyTorch (pip install torch) and the extra `demo`: pip install 'stream-store[demo]'.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import nn

from stream_store import StreamStore, WindowSampler

FIELDS = {"episode": "int64", "obs": "float32[3]", "action": "float32[1]", "end": "bool"}
LENGTH = 17  # rows per window: 16 inputs, and the next observation for each
HELD_OUT = 10  # episodes


# --- the recorder ---


def policy(obs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Push in the direction of the swing, or at random in half of the steps."""
    push = 2.0 * np.sign(obs[2]) if rng.random() < 0.5 else rng.uniform(-2, 2)
    return np.array([push], np.float32)


def record_episode(store: StreamStore, env: gymnasium.Env[Any, Any], number: int) -> int:
    """Append one episode, one row per step: the observation and the action taken after it."""
    rng = np.random.default_rng(number)
    obs, _ = env.reset(seed=number)
    steps = 0
    while True:
        action = policy(obs, rng)
        store.append_step({"episode": number, "obs": obs, "action": action, "end": False})
        obs, _, terminated, truncated, _ = env.step(action)
        steps += 1
        if terminated or truncated:
            store.append_step({"episode": number, "obs": obs, "end": True})
            return steps


def record(out: Path, steps: int) -> None:
    env = gymnasium.make("Pendulum-v1")
    with StreamStore(out / "held_out", "x", fields=FIELDS) as store:
        for number in range(HELD_OUT):
            record_episode(store, env, number)
    with StreamStore(out / "stream", "x", fields=FIELDS) as store:
        number = HELD_OUT
        while steps > 0:
            steps -= record_episode(store, env, number)
            number += 1


# --- the learner ---


class Predictor(nn.Module):
    """Predicts each next observation from the observations and actions before it."""

    def __init__(self, hidden: int = 64) -> None:
        super().__init__()
        self.gru = nn.GRU(4, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 3)
        self.register_buffer("scale", torch.tensor([1.0, 1.0, 8.0]))

    def forward(self, obs: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        hidden, _ = self.gru(torch.cat([obs / self.scale, action], dim=-1))
        return obs + self.head(hidden) * self.scale


def tensors(batch: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return observations, actions and next observations of a batch, without a copy."""
    obs, action = torch.from_numpy(batch["obs"]), torch.from_numpy(batch["action"])
    return obs[:, :-1], action[:, :-1], obs[:, 1:]


def sampler_of(store: StreamStore, **arguments: Any) -> WindowSampler:
    return WindowSampler(
        store, LENGTH, unit="row", segment_by="episode", fields=["obs", "action"], **arguments
    )


@torch.no_grad()
def errors(model: Predictor, held_out: StreamStore) -> tuple[float, float]:
    """Return the mean squared errors on held-out windows: of the model, of repeating."""
    ours = last = count = 0.0
    for batch in sampler_of(held_out, replacement=False, batch_size=256):
        obs, action, following = tensors(batch)
        scale = model.scale
        ours += float(((model(obs, action) - following) / scale).square().sum())
        last += float(((obs - following) / scale).square().sum())
        count += following.numel()
    return ours / count, last / count


def learn(out: Path, updates: int) -> list[tuple[int, int, float]]:
    """Train on the live stream. Return (updates, stored rows, error ratio) at intervals."""
    torch.manual_seed(0)
    torch.set_num_threads(1)  # leaves the other core to the recorder
    model = Predictor()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    stream = StreamStore(out / "stream", "r", wait=60)
    held_out = StreamStore(out / "held_out", "r")
    sampler = sampler_of(stream, batch_size=64)
    if not sampler.wait(60):
        raise SystemExit("no window was recorded within a minute")
    curve = []
    began = time.perf_counter()
    with sampler.prefetch(2) as batches:
        for update in range(updates + 1):
            if update % max(updates // 20, 1) == 0 or update == updates:
                ours, last = errors(model, held_out)
                curve.append((update, stream.num_rows, ours / last))
                print(
                    f"{update:6} updates, {stream.num_rows:7} rows: {ours / last:.3f}", flush=True
                )
            obs, action, following = tensors(next(batches))
            loss = ((model(obs, action) - following) / model.scale).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    print(f"{updates / (time.perf_counter() - began):.0f} updates per second")
    return curve


def draw(curve: list[tuple[int, int, float]], path: Path) -> None:
    import matplotlib  # noqa: PLC0415

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    updates, rows, ratio = zip(*curve, strict=True)
    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    axis.plot(updates, ratio, label="error ÷ error of repeating")
    axis.axhline(0.5, color="gray", linestyle=":", label="half")
    axis.set(xlabel="updates", yscale="log", title="Next observation, held-out episodes")
    axis.legend(loc="upper right")
    other = axis.twinx()
    other.plot(updates, rows, color="tab:orange")
    other.set_ylabel("rows recorded meanwhile", color="tab:orange")
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--updates", type=int, default=3000)
    parser.add_argument("--steps", type=int, default=60_000, help="steps to record")
    parser.add_argument("--out", type=Path, default=Path("learn-output"))
    parser.add_argument("--record", action="store_true", help="run as the recorder")
    arguments = parser.parse_args()
    if arguments.record:
        record(arguments.out, arguments.steps)
        return
    for name in ("stream", "held_out"):
        shutil.rmtree(arguments.out / name, ignore_errors=True)
    arguments.out.mkdir(exist_ok=True)
    command = [sys.executable, __file__, "--record", "--out", str(arguments.out)]
    with subprocess.Popen([*command, "--steps", str(arguments.steps)]) as recorder:
        try:
            curve = learn(arguments.out, arguments.updates)
        finally:
            recorder.terminate()  # the store loses no appended row by this
    draw(curve, arguments.out / "learning.png")
    ratio = curve[-1][2]
    print(f"error at the end: {ratio:.3f} of the error of repeating the last observation")
    if ratio > 0.5:
        raise SystemExit("expected at most half")


if __name__ == "__main__":
    main()
