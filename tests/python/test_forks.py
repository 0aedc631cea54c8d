"""Forks while another thread is inside a call that has released the GIL.

The child has a copy of the data that the call was changing, but not the thread that would finish
it. Nothing in the child may wait for that thread.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from model_process import run

# `forked_during(call, check)` forks while another thread is in `call`, and runs `check` in the
# child. The interpreter switches threads only where one releases the GIL, so the first to run
# after the other thread began is this one, inside that thread's call.
FORKS = """
import contextlib, threading, traceback
import pytest

TOO_LATE = 77

sys.setswitchinterval(1000)

def forked_during(call, check):
    done = []
    thread = threading.Thread(target=lambda: done.append(call()))
    thread.start()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(PATIENCE - 60)  # ends a process that hangs
            status = TOO_LATE if done else check() or 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    thread.join()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == TOO_LATE:
        print("the call was over before the fork")
        sys.exit()
    assert status == 0
    return done[0]

def sampled_store():
    store = StreamStore(fields={"episode": "int64"})
    store.extend({"episode": np.arange(2_000_000) // 8})
    return store

def late_if_chosen(sampler, batches):
    # The call may have chosen its batch already, and be reading it: as late as if it were over.
    if sampler.state_dict()["batches"] > batches:
        os._exit(TOO_LATE)

def same(batch, other):
    return all(np.array_equal(batch[key], other[key]) for key in ("episode", "_step"))
"""


def run_with_forks(script: str, *arguments: object) -> None:
    """Run the script until each fork came in time: on a busy machine the call may end first."""
    for _ in range(50):
        if "over before the fork" not in run(FORKS + script, *arguments):
            return
    pytest.fail("no fork came while the other thread was in its call")


def test_a_child_closes_a_prefetch_in_which_another_thread_waits() -> None:
    run_with_forks("""
store = sampled_store()
options = dict(unit="row", segment_by="episode", batch_size=64, seed=3)
sampler = stream_store.WindowSampler(store, 4, **options)
batches = sampler.prefetch(2)

def child():
    with pytest.raises(RuntimeError, match="fork"):
        next(batches)
    batches.close()
    again = stream_store.WindowSampler(store, 4, **options)
    with sampler.prefetch(2) as ahead:
        for batch, _ in zip(ahead, range(3)):
            assert same(batch, again.sample())

first = forked_during(lambda: next(batches), child)
assert same(first, stream_store.WindowSampler(store, 4, **options).sample())
""")  # fmt: skip


def test_a_child_goes_on_with_an_epoch_that_another_thread_began() -> None:
    run_with_forks("""
store = sampled_store()
options = dict(unit="row", segment_by="episode", batch_size=1000, seed=3, replacement=False)
sampler = stream_store.WindowSampler(store, 4, **options)

def first_batch():
    return next(iter(stream_store.WindowSampler(store, 4, **options)))

def child():
    late_if_chosen(sampler, 0)
    assert same(next(iter(sampler)), first_batch())

assert same(forked_during(lambda: next(iter(sampler)), child), first_batch())

# In the middle of an epoch, after rows were appended.
rest = iter(sampler)
next(rest)
state = sampler.state_dict()
second = stream_store.WindowSampler(store, 4, **options)
second.load_state_dict(state)
follower = next(iter(second))
store.extend({"episode": np.arange(2_000_000, 3_000_000) // 8})

def child():
    late_if_chosen(sampler, state["batches"])
    assert sampler.state_dict() == state
    assert same(next(rest), follower)

assert same(forked_during(lambda: next(rest), child), follower)
""")  # fmt: skip


def test_a_child_closes_a_store_to_which_another_thread_appends(tmp_path: Path) -> None:
    run_with_forks("""
values = np.arange(4_000_000)
for path in (None, sys.argv[1]):
    store = StreamStore(path, fields={"a": "int64", "b": "int64"})
    store.extend({"a": [1], "b": [2]})

    def child():
        with pytest.raises(io.UnsupportedOperation, match="fork"):
            store.append_step({"a": 3})
        assert store.row(0)["b"] == 2
        store.close()
        assert store.closed

    assert forked_during(lambda: store.extend({"a": values, "b": values}), child) == 4_000_000
    assert store.num_rows == 4_000_001
    store.close()
""", tmp_path / "run")  # fmt: skip


def test_a_grandchild_does_not_take_a_new_thread_for_a_lost_one() -> None:
    run_with_forks("""
store = sampled_store()
sampler = stream_store.WindowSampler(store, 3_000_000, unit="row")  # has no start: wait() waits

def grandchild():
    assert sampler.wait(0) is False
    found = []
    thread = threading.Thread(target=lambda: found.append(sampler.wait(0)))
    thread.start()
    thread.join()
    assert found == [False]

def child():
    def fork_again():
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                grandchild()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
        done.append(True)
    done = []
    thread = threading.Thread(target=fork_again)  # may get the same thread id as the lost one
    thread.start()
    thread.join()
    assert done

assert forked_during(lambda: sampler.wait(2), child) is False
""")  # fmt: skip
