"""Message definitions of ROS 1 and ROS 2, as the schemas of MCAP files hold them.

The text of a schema is the definition of its message, followed by those of all messages that it
refers to, each after a line of equal signs and a line ``MSG: package/Name``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: dtype of each primitive type; strings have none.
PRIMITIVES: dict[str, str | None] = {
    "bool": "bool",
    "int8": "int8",
    "uint8": "uint8",
    "int16": "int16",
    "uint16": "uint16",
    "int32": "int32",
    "uint32": "uint32",
    "int64": "int64",
    "uint64": "uint64",
    "float32": "float32",
    "float64": "float64",
    "string": None,
}
_ALIASES = {1: {"byte": "int8", "char": "uint8"}, 2: {"byte": "uint8", "char": "uint8"}}
_TIMES = {
    1: {
        "time": "uint32 secs\nuint32 nsecs",
        "duration": "int32 secs\nint32 nsecs",
        "std_msgs/Header": "uint32 seq\ntime stamp\nstring frame_id",
    },
    2: {
        "builtin_interfaces/Time": "int32 sec\nuint32 nanosec",
        "builtin_interfaces/Duration": "int32 sec\nuint32 nanosec",
    },
}
_SEPARATOR = re.compile(r"^={3,}\s*$", re.MULTILINE)
_LINE = re.compile(r"(?P<type>\S+)\s+(?P<name>[A-Za-z]\w*)\s*(?P<constant>=)?")
_TYPE = re.compile(
    r"(?P<base>[A-Za-z][\w/]*)(?:<=\d+)?(?P<array>\[(?:(?P<most><=)?(?P<size>\d+))?\])?"
)
_MAX_DEPTH = 30  # of messages in messages; ROS has no recursive ones


@dataclass(frozen=True)
class Member:
    """A field of a message.

    Attributes:
        name: its name.
        kind: the name of a primitive type, or a message.
        size: None for a single value, 0 for a sequence of any length, else the length of an array.
    """

    name: str
    kind: str | Message
    size: int | None


@dataclass(frozen=True)
class Message:
    """A message type.

    Attributes:
        name: package and name.
        members: its fields, in order.
    """

    name: str
    members: tuple[Member, ...]


def has_values(kind: str | Message) -> bool:
    """Whether a type has any value; the messages of signals have none."""
    return isinstance(kind, str) or any(has_values(one.kind) for one in kind.members)


def parse_definition(name: str, text: str, ros: int) -> Message:
    """Parse the text of a schema.

    Args:
        name: name of the schema, such as ``sensor_msgs/msg/Image``.
        text: the text.
        ros: 1 or 2; the names of times and the meaning of ``byte`` differ.

    Raises:
        ValueError: the text is not a definition, or refers to a message that it does not define.

    Examples:
        >>> from stream_store._convert.mcap.definitions import parse_definition
        >>> message = parse_definition("demo/msg/Pose", "float64[3] xyz\\nstring frame", 2)
        >>> [(one.name, one.kind, one.size) for one in message.members]
        [('xyz', 'float64', 3), ('frame', 'string', None)]
    """
    texts = dict(_TIMES[ros])
    root, *others = _SEPARATOR.split(text)
    for part in others:
        head, _, body = part.strip().partition("\n")
        if not head.startswith("MSG:"):
            raise ValueError(f"schema {name!r}: expected a line 'MSG: …', found {head[:60]!r}")
        texts[_short(head[4:].strip())] = body
    return _Parser(name, texts, ros).message(_short(name), root, 0)


def _short(name: str) -> str:
    """``package/Name``, for ``package/msg/Name`` too."""
    parts = name.split("/")
    return f"{parts[0]}/{parts[-1]}" if len(parts) > 1 else name


class _Parser:
    """Resolves the types of one schema."""

    def __init__(self, schema: str, texts: dict[str, str], ros: int) -> None:
        self.schema = schema
        self.texts = texts
        self.ros = ros
        self.known: dict[str, Message] = {}

    def message(self, name: str, text: str, depth: int) -> Message:
        if depth > _MAX_DEPTH:
            raise ValueError(
                f"schema {self.schema!r}: messages are nested more than {_MAX_DEPTH} levels deep"
            )
        members = []
        for line in text.splitlines():
            stripped = line.strip()
            if not stripped or stripped.startswith("#"):
                continue
            match = _LINE.match(stripped)
            if match is None:
                raise ValueError(
                    f"schema {self.schema!r}: expected 'type name', found {stripped[:60]!r}"
                )
            if match["constant"] is None:
                members.append(self.member(match["type"], match["name"], name, depth))
        return Message(name, tuple(members))

    def member(self, type_text: str, name: str, owner: str, depth: int) -> Member:
        match = _TYPE.fullmatch(type_text)
        if match is None:
            raise ValueError(f"schema {self.schema!r}: field {name!r} has the type {type_text!r}")
        size = None
        if match["array"]:
            size = int(match["size"]) if match["size"] and not match["most"] else 0
            if match["size"] == "0" and not match["most"]:
                raise ValueError(f"schema {self.schema!r}: field {name!r} is an array of no items")
        base = _ALIASES[self.ros].get(match["base"], match["base"])
        if base in PRIMITIVES:
            return Member(name, base, size)
        return Member(name, self.reference(base, owner, name, depth), size)

    def reference(self, base: str, owner: str, field: str, depth: int) -> Message:
        full = _short(base)
        if "/" not in full:
            package = owner.partition("/")[0]
            full = "std_msgs/Header" if base == "Header" else f"{package}/{base}"
        if base in self.texts:  # `time` and `duration` of ROS 1
            full = base
        if full not in self.known:
            if full not in self.texts:
                raise ValueError(
                    f"schema {self.schema!r}: field {field!r} has the type {base!r}, "
                    "which the schema does not define"
                )
            self.known[full] = self.message(full, self.texts[full], depth + 1)
        return self.known[full]
