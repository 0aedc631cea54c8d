"""PyTorch datasets over stores: windows for `torch.utils.data.DataLoader`.

    >>> from stream_store.torch import WindowDataset, WindowIterableDataset

`WindowDataset` is map-style: it numbers the valid windows. `WindowIterableDataset` draws batches as
`WindowSampler` does. `WindowBatchSampler` draws by priority in the main process, and the workers of
a `DrawnWindowDataset` read the windows. All datasets are pickled as a path, without the data; work
with fork, spawn and forkserver; and give tensors that share memory with the arrays that were read.
Importing `stream_store` imports neither this package nor torch.
"""

from __future__ import annotations

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"stream_store.torch needs PyTorch, which cannot be imported ({error}); install it with "
        "`pip install torch`"
    ) from error

from .datasets import WindowDataset
from .draws import DrawnWindowDataset, WindowBatchSampler
from .iterable import WindowIterableDataset

__all__ = ["DrawnWindowDataset", "WindowBatchSampler", "WindowDataset", "WindowIterableDataset"]
