"""Arguments of to_minari that become JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .spaces import space_json


def described(space: Any, where: str) -> Any:
    """A space as JSON."""
    try:
        return space_json(space)
    except ValueError as error:
        raise ValueError(f"{where} of to_minari: {error}") from None


def checked_metadata(metadata: Any) -> Mapping[str, Any]:
    """The metadata, of values that JSON has, or sets."""
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise TypeError(f"to_minari: metadata must be a mapping, not {metadata!r:.80}")
    for name, value in metadata.items():
        try:
            json.dumps({name: sorted(value) if isinstance(value, set) else value})
        except (TypeError, ValueError):
            raise TypeError(
                f"to_minari: metadata: {name!r} must be a value that JSON has, or a set of texts, "
                f"not {value!r:.80}"
            ) from None
    return metadata


def spec_json(env_spec: Any) -> str:
    """The JSON of a spec of an environment."""
    if isinstance(env_spec, str):
        return env_spec
    if not hasattr(env_spec, "to_json"):
        raise TypeError(
            f"to_minari: env_spec must be an EnvSpec of Gymnasium or its JSON, not {env_spec!r:.80}"
        )
    return str(env_spec.to_json())
