"""The info of one environment, from the infos of a vector environment.

`VectorEnv` merges the info dictionaries of its environments: ``infos[key]`` is an array with a
place for each environment, or again a dictionary, and ``infos["_" + key]`` says which of them
reported it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def info_value(infos: Mapping[str, Any], key: str, env: int) -> Any:
    """The value that one environment reported for a key; None if it reported none."""
    if key not in infos:
        return None
    reported = infos.get(f"_{key}")
    if reported is not None and not reported[env]:
        return None
    value = infos[key]
    if not isinstance(value, Mapping):
        return value[env]
    is_mask = {name for name in value if name.startswith("_") and name[1:] in value}
    return {name: info_value(value, name, env) for name in value if name not in is_mask}
