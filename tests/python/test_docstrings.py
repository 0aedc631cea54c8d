"""help() is accurate: every public name has a signature, a docstring and an example that runs.

Examples may use `np`, `stream_store`, `StoreGroup`, `StreamStore`, `WindowSampler`, `Priorities`
and the torch datasets without importing them. Each docstring's examples run in an empty directory
of their own.
"""

from __future__ import annotations

import doctest
import inspect
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import stream_store
import stream_store.features
import stream_store.gym
import stream_store.learning
import stream_store.ray
import stream_store.sb3
import stream_store.torch
import stream_store.values
from stream_store import Priorities, StoreGroup, StreamStore, WindowSampler
from stream_store.sampler import PrefetchedBatches
from stream_store.torch import WindowDataset, WindowIterableDataset

NAMES: dict[str, Any] = {
    "np": np,
    "stream_store": stream_store,
    "StoreGroup": StoreGroup,
    "StreamStore": StreamStore,
    "WindowSampler": WindowSampler,
    "Priorities": Priorities,
    "WindowDataset": WindowDataset,
    "WindowBatchSampler": stream_store.torch.WindowBatchSampler,
    "DrawnWindowDataset": stream_store.torch.DrawnWindowDataset,
    "WindowIterableDataset": WindowIterableDataset,
    "gymnasium": gymnasium,
    "RecordToStore": stream_store.gym.RecordToStore,
    "RecordVectorToStore": stream_store.gym.RecordVectorToStore,
}
MODULES = (
    *(stream_store, stream_store.features, stream_store.learning),
    *(stream_store.values, stream_store.gym, stream_store.torch, stream_store.ray),
    stream_store.sb3,
)

#: Methods of Python's protocols that help() must describe. The example of their class may use them.
PROTOCOLS = {"__getitem__", "__iter__", "__len__"}


def is_ours(member: Any) -> bool:
    """Whether a member is defined by this package, not inherited from torch or Python."""
    owner = getattr(member, "__objclass__", None)
    module = getattr(owner or member, "__module__", "") or ""
    return module.startswith("stream_store")


def public_names() -> Iterator[tuple[str, Any]]:
    """Qualified name and object of every public class, function, method and property."""
    classes = {"stream_store.sampler.PrefetchedBatches": PrefetchedBatches}
    for module in MODULES:
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value):
                classes[f"{module.__name__}.{name}"] = value
            elif callable(value) and typing.get_origin(value) is None:
                yield f"{module.__name__}.{name}", value
    for path, cls in classes.items():
        yield path, cls
        if issubclass(cls, Exception):
            continue
        for name in dir(cls):
            member = inspect.getattr_static(cls, name)
            if name.startswith("_") and not (name in PROTOCOLS and is_ours(member)):
                continue
            if inspect.ismemberdescriptor(member):  # of a dataclass, which lists its attributes
                continue
            if (
                isinstance(member, property)
                or is_ours(member)
                or inspect.ismethoddescriptor(member)
            ):
                owners = [base for base in cls.__mro__ if name in vars(base)]
                if owners[0].__module__.startswith("stream_store"):
                    yield f"{path}.{name}", member


PUBLIC = dict(public_names())
METHODS = {
    path: member
    for path, member in PUBLIC.items()
    if not inspect.isclass(member) and callable(member)
}


def text_of(member: Any) -> str:
    return inspect.cleandoc(getattr(member, "__doc__", None) or "")


def section_of(text: str, title: str) -> list[str]:
    """The lines of one section of a docstring in Google's style, without their indentation."""
    match = re.search(rf"^{title}:\n((?:    .*\n|\n)*(?:    .*)?)", text, re.MULTILINE)
    return [] if match is None else [line[4:] for line in match[1].splitlines()]


def entries_of(text: str, title: str) -> list[str]:
    """The first lines of a section's entries; what continues one is indented more."""
    return [line for line in section_of(text, title) if line and not line.startswith(" ")]


@pytest.mark.parametrize("path", PUBLIC)
def test_every_public_name_is_documented(path: str) -> None:
    text = text_of(PUBLIC[path])
    assert re.match(r"[A-Z`\"].*[.:]", text, re.DOTALL), text


@pytest.mark.parametrize(
    "path",
    [
        path
        for path, member in PUBLIC.items()
        if (inspect.isclass(member) or callable(member))
        and path.rpartition(".")[2] not in PROTOCOLS
    ],
)
def test_every_public_callable_has_an_example(path: str) -> None:
    assert ">>> " in "\n".join(section_of(text_of(PUBLIC[path]), "Examples"))


@pytest.mark.parametrize("cls", [StreamStore, WindowDataset, stream_store.MemmapBuffer])
def test_reading_by_index_has_an_example(cls: type) -> None:
    assert ">>> " in text_of(inspect.getattr_static(cls, "__getitem__"))


@pytest.mark.parametrize("path", METHODS)
def test_every_public_callable_has_a_signature(path: str) -> None:
    parameters = list(inspect.signature(METHODS[path]).parameters.values())
    for parameter in parameters:
        assert parameter.name not in {"args", "kwargs", "arguments"} or (
            parameter.kind is parameter.VAR_KEYWORD and "kwargs:" in text_of(METHODS[path])
        )


@pytest.mark.parametrize("path", METHODS)
def test_every_argument_is_described(path: str) -> None:
    """The text also has the types where a signature has none, as those of functions in C++."""
    text = text_of(METHODS[path])
    names = [name for name in inspect.signature(METHODS[path]).parameters if name != "self"]
    if names:
        assert [entry.partition(":")[0] for entry in entries_of(text, "Args")] == names


@pytest.mark.parametrize("path", PUBLIC)
def test_every_entry_is_about_one_thing(path: str) -> None:
    text = text_of(PUBLIC[path])
    for entry in entries_of(text, "Raises"):
        assert re.match(r"(io\.)?[A-Z]\w+: ", entry), entry
    for entry in entries_of(text, "Attributes") + entries_of(text, "Args"):
        assert re.match(r"\w+: ", entry), entry
    described = "\n".join(section_of(text, "Raises"))
    assert not re.search(r"[.;] [A-Z]\w+(Error|Operation): ", described), described


def with_ray(path: str) -> Any:
    """A parameter. The examples of stream_store.ray use the Ray of all tests."""
    if not path.startswith("stream_store.ray."):
        return path
    return pytest.param(path, marks=pytest.mark.xdist_group("ray"))


@pytest.mark.parametrize(
    "path", [with_ray(path) for path in PUBLIC if ">>>" in text_of(PUBLIC[path])]
)
def test_examples_give_what_they_say(
    path: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if path.startswith("stream_store.ray."):
        request.getfixturevalue("ray_cluster")
    monkeypatch.chdir(tmp_path)
    examples = doctest.DocTestParser().get_doctest(
        text_of(PUBLIC[path]), dict(NAMES), path, None, None
    )
    reports: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(examples, out=reports.append)
    assert runner.failures == 0, "".join(reports)


def test_help_shows_no_constructor_of_the_core() -> None:
    shown = inspect.getdoc(StreamStore.__init__) or ""
    assert "descriptors" not in shown
    assert "__init__(self" not in shown


def test_a_docstring_does_not_slow_down_reads_by_index() -> None:
    """A subclass calls the slot of the core directly only while the attribute is a slot wrapper."""

    class Derived(StreamStore):
        pass

    kind = type(object.__repr__)  # wrapper_descriptor
    assert isinstance(Derived.__getitem__, kind)
    store = Derived(fields={"reward": "int64"})
    store.append_step({"reward": 7})
    assert store[0]["values"] == 7
