"""Read 64 windows of 4 frames of 84 x 84 bytes, out of 20,000 frames."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import least

TASK, UNIT, SIZED, FILLED = "64 windows of 4 frames of 84 x 84 bytes", "µs", False, False
FRAMES, WINDOWS, LENGTH, SHAPE = 20_000, 64, 4, (84, 84)


def chunks() -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (1000, *SHAPE), np.uint8)] * (FRAMES // 1000)


def stream_store(directory: Path) -> Any:
    from stream_store import StreamStore

    store = StreamStore(directory / "store", fields={"frame": "packed uint8[84,84]"})
    for chunk in chunks():
        store.extend({"frame": chunk})
    return lambda starts: store.read_rows(starts, LENGTH)


def memmap_rows(directory: Path) -> Any:
    frames = np.memmap(directory / "frames", np.uint8, "w+", shape=(FRAMES, *SHAPE))
    for i, chunk in enumerate(chunks()):
        frames[i * 1000 : (i + 1) * 1000] = chunk

    def read(starts: NDArray[np.int64]) -> Any:
        """Copy each window into one array, which is faster here than an index array."""
        out = np.empty((WINDOWS, LENGTH, *SHAPE), np.uint8)
        copy_windows(frames, starts, out)
        return out

    return read


def torchrl_buffer(directory: Path) -> Any:
    os.environ.setdefault("RL_LOGGING_LEVEL", "ERROR")
    import torch
    from tensordict import TensorDict
    from torchrl.data import LazyMemmapStorage, ReplayBuffer

    torch.set_num_threads(1)
    storage = LazyMemmapStorage(FRAMES, scratch_dir=directory / "storage")
    buffer = ReplayBuffer(storage=storage, batch_size=WINDOWS)
    for chunk in chunks():
        buffer.extend(TensorDict({"frame": torch.from_numpy(chunk)}, batch_size=[1000]))
    return lambda starts: storage.get(torch.as_tensor(flat(starts)))


def cpprb_buffer(directory: Path) -> Any:
    import cpprb

    buffer = cpprb.ReplayBuffer(FRAMES, {"frame": {"shape": SHAPE, "dtype": np.uint8}})
    for chunk in chunks():
        buffer.add(frame=chunk)
    return lambda starts: buffer._encode_sample(flat(starts))


def h5py_file(directory: Path) -> Any:
    import h5py

    file = h5py.File(directory / "frames.h5", "w")
    frames = file.create_dataset("frame", (FRAMES, *SHAPE), np.uint8, chunks=(16, *SHAPE))
    for i, chunk in enumerate(chunks()):
        frames[i * 1000 : (i + 1) * 1000] = chunk
    return lambda starts: np.stack([frames[start : start + LENGTH] for start in starts])


def copy_windows(
    frames: NDArray[np.uint8], starts: NDArray[np.int64], out: NDArray[np.uint8]
) -> None:
    for place, start in zip(out, starts, strict=True):
        place[:] = frames[start : start + LENGTH]


def flat(starts: NDArray[np.int64]) -> NDArray[np.int64]:
    return (starts[:, None] + np.arange(LENGTH)).reshape(-1)


def time_windows(read: Callable[[NDArray[np.int64]], object]) -> float:
    """Measure the microseconds per batch."""
    batches = np.random.default_rng(1).integers(0, FRAMES - LENGTH, (40, WINDOWS))

    def work() -> None:
        for starts in batches:
            read(starts)

    return least(work, 7, len(batches))


def ask(name: str, directory: Path) -> dict[str, Any]:
    makers = (stream_store, memmap_rows, torchrl_buffer, cpprb_buffer, h5py_file)
    maker = {maker.__name__: maker for maker in makers}.get(name)
    if maker is None:
        return {"cannot": "was not measured"}
    return {"figure": time_windows(maker(directory))}
