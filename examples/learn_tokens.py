"""Train a transformer on a stream as one flat sequence of values.

    python examples/learn_tokens.py [--updates 1500]

The stream has the rows of a cart-pole, with fields of different kinds. The model reads windows of
64 values. It gets each value as a number, and from the store the field of the value, its place
within the field, and the number of steps before the end of the window. It predicts each value from
the values before it. Windows start anywhere. The model has no padding, no rows and no schema.

The error on held-out windows is compared with the error of repeating the value at the same place
one step before. The program fails unless the model's final error is at most half of the other.
Needs PyTorch and Gymnasium: pip install torch 'stream-store[gym]'.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import nn

from stream_store import StreamStore, WindowSampler

WIDTH = 64
COLUMNS = ["number", "types", "offset", "step"]
ROW = 6  # values per step
FIELDS = {"obs": "float32[4]", "action": "int64", "episode": "int32"}
SCALE = torch.tensor([[1.0, 1.0, 0.1, 1.0], [1.0, 1, 1, 1], [1000.0, 1, 1, 1]])  # by field, place


def record(store: StreamStore, steps: int, seed: int) -> None:
    """Record a cart-pole that is balanced by a policy with occasional random actions."""
    env = gymnasium.make("CartPole-v1")
    rng = np.random.default_rng(seed)
    obs, _ = env.reset(seed=seed)
    episode = 0
    for _ in range(steps):
        action = int(obs[2] + 0.5 * obs[3] > 0) if rng.random() < 0.8 else int(rng.integers(2))
        store.append_step({"obs": obs, "action": action, "episode": episode})
        obs, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            obs, _ = env.reset()
            episode += 1


class FlatTransformer(nn.Module):
    """Causal attention over values, with embeddings of their field, offset and age."""

    def __init__(self, fields: int, size: int = 64) -> None:
        super().__init__()
        self.number = nn.Linear(1, size)
        self.field = nn.Embedding(fields, size)
        self.offset = nn.Embedding(8, size)
        self.age = nn.Embedding(WIDTH, size)
        self.asked = nn.Linear(2 * size, size)  # field and offset of the value to predict
        layer = nn.TransformerEncoderLayer(size, 4, 2 * size, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(size, 1)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(WIDTH - 1))

    def forward(self, numbers: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        field, offset = self.field(batch["types"]), self.offset(batch["offset"])
        age = self.age(batch["step"][:, -1:] - batch["step"])
        known = self.number(numbers[..., None]) + field + offset + age
        asked = self.asked(torch.cat([field, offset], dim=-1))
        hidden = self.layers(known[:, :-1] + asked[:, 1:], mask=self.mask, is_causal=True)
        return self.head(hidden)[..., 0]


def tensors(batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Return scaled numbers and the columns of a batch; no value is decoded by hand."""
    columns = {name: torch.from_numpy(batch[name]) for name in COLUMNS}
    return columns["number"] / SCALE[columns["types"], columns["offset"]], columns


@torch.no_grad()
def errors(model: FlatTransformer, store: StreamStore) -> tuple[float, float]:
    """Return mean squared errors of observations: of the model, of repeating."""
    ours, before = [], []
    sampler = WindowSampler(store, WIDTH, columns=COLUMNS, batch_size=128, seed=1)
    for _ in range(2):
        numbers, columns = tensors(sampler.sample())
        wanted = (columns["types"] == 0)[:, ROW:]
        predicted = model(numbers, columns)[:, ROW - 1 :]
        ours.append((predicted - numbers[:, ROW:])[wanted].square().mean())
        before.append((numbers[:, :-ROW] - numbers[:, ROW:])[wanted].square().mean())
    return float(torch.stack(ours).mean()), float(torch.stack(before).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--updates", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=20_000)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(
        1
    )  # the tensors are small, and more threads would only wait for each other
    with tempfile.TemporaryDirectory() as directory:
        train = StreamStore(Path(directory) / "train", fields=FIELDS)
        held_out = StreamStore(fields=FIELDS)
        record(train, arguments.steps, seed=0)
        record(held_out, 2000, seed=1)
        model = FlatTransformer(len(train.fields))
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, arguments.updates + 1)
        sampler = WindowSampler(train, WIDTH, columns=COLUMNS, batch_size=32)
        ratio = 1.0
        for update, batch in zip(range(arguments.updates + 1), sampler.prefetch(2), strict=False):
            if update % max(arguments.updates // 10, 1) == 0:
                ours, before = errors(model, held_out)
                ratio = ours / before
                print(f"{update:6} updates: {ratio:.3f}", flush=True)
            numbers, columns = tensors(batch)
            wanted = (columns["types"] < 2)[:, 1:]  # episode numbers are not predicted
            loss = (model(numbers, columns) - numbers[:, 1:])[wanted].square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        train.close()
    print(f"error at the end: {ratio:.3f} of the error of repeating the value one step before")
    if ratio > 0.5:
        raise SystemExit("expected at most half")


if __name__ == "__main__":
    main()
