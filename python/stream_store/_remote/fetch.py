"""Which packs a replica needs next, and their download."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from stream_store.errors import RemoteError

from .bucket import Bucket
from .manifest import CUT_OFF, Pack, State

_THREADS = 4
#: Bytes that are downloaded ahead, unless a single pack has more.
AHEAD_BYTES = 128 << 20


class MissingPackError(Exception):
    """A pack was deleted: newer manifests name the pack that replaced it."""

    def __init__(self, pack: Pack) -> None:
        super().__init__(pack.name)
        self.pack = pack


class DamagedPackError(RemoteError):
    """A pack is not what its name says."""

    def __init__(self, pack: Pack, text: str, url: str) -> None:
        super().__init__(text, url)
        self.pack = pack


def choose_packs(state: State, at: int, missing: set[str]) -> list[Pack]:
    """The packs that lead from record `at` to the end of the state, in order.

    While small packs were merged, a replica may be at a border that the merged pack does not have.
    Then the small ones are used as long as they exist, so that nothing is downloaded twice.
    """
    live = {pack.first: pack for pack in state.packs}
    small = {}
    for pack in state.retired:
        usable = pack.level < CUT_OFF and pack.name not in missing
        if usable and pack.end <= state.end.record:
            small[pack.first] = pack
    chosen = []
    while at < state.end.record:
        pack = live.get(at) or small.get(at) or _covering(state.packs, at)
        chosen.append(pack)
        at = pack.end
    return chosen


def _covering(packs: Sequence[Pack], at: int) -> Pack:
    low, high = 0, len(packs)
    while low < high:
        middle = (low + high) // 2
        if packs[middle].end > at:
            high = middle
        else:
            low = middle + 1
    return packs[low]


def download(bucket: Bucket, packs: Sequence[Pack]) -> Iterator[tuple[Pack, memoryview]]:
    """The bytes of packs in order, a few of them ahead.

    Raises:
        MissingPackError: a pack is not there.
        DamagedPackError: a pack has another size.
        RemoteError: the object store reported an error.
    """

    def get(pack: Pack) -> memoryview:
        data = bucket.get(pack.name)
        if data is None:
            raise MissingPackError(pack)
        if data.nbytes != pack.bytes:
            url = bucket.url_of(pack.name)
            found = f"expected {pack.bytes} bytes but found {data.nbytes}"
            raise DamagedPackError(pack, f"{url}: {found}", url)
        return data

    left = deque(packs)
    running: deque[tuple[Pack, Future[memoryview]]] = deque()
    ahead = 0
    with ThreadPoolExecutor(_THREADS, "stream-store-download") as pool:
        try:
            while left or running:
                while left and (not running or ahead + left[0].bytes <= AHEAD_BYTES):
                    pack = left.popleft()
                    running.append((pack, pool.submit(get, pack)))
                    ahead += pack.bytes
                pack, answer = running.popleft()
                yield pack, answer.result()
                ahead -= pack.bytes
        finally:
            for _pack, answer in running:
                answer.cancel()
