"""The batches of a capsule "arrow_array_stream" as objects of pyarrow.

`pyarrow.RecordBatchReader` refuses batches with an offset or with missing rows, which the Arrow
specification allows. They are imported as struct arrays here, which may have both.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

from .optional import require

_NAME = b"arrow_array_stream"
_SCHEMA_BYTES = 72  # sizes of the structs of the C data interface
_ARRAY_BYTES = 80
_RELEASE = 64  # place of the callback `release` in an array; null at the end of a stream

_CALL = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_RELEASE_CALL = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_TEXT = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)


class _Stream(ctypes.Structure):
    _fields_ = (
        ("get_schema", _CALL),
        ("get_next", _CALL),
        ("get_last_error", _TEXT),
        ("release", ctypes.c_void_p),
        ("private_data", ctypes.c_void_p),
    )


class CapsuleBatches:
    """The schema of a capsule, and an iterator over its batches.

    The stream is moved out of the capsule, so it cannot be read again. It must be one that
    `describe` of schemas.py accepts.
    """

    def __init__(self, capsule: object) -> None:
        pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
        pointer_of.restype, pointer_of.argtypes = (
            ctypes.c_void_p,
            (ctypes.py_object, ctypes.c_char_p),
        )
        theirs = _Stream.from_address(pointer_of(capsule, _NAME))
        self._stream = _Stream.from_buffer_copy(theirs)
        self._address = ctypes.addressof(self._stream)
        theirs.release = None  # the stream was moved here
        memory = ctypes.create_string_buffer(_SCHEMA_BYTES)
        self._call("get_schema", memory)
        pyarrow = require("pyarrow", "the inspection of columns")
        self.schema = pyarrow.Schema._import_from_c(ctypes.addressof(memory))

    # The default is a reference of its own: when the interpreter ends, modules are gone before some
    # objects are.
    def __del__(self, release: Any = _RELEASE_CALL) -> None:
        stream = getattr(self, "_stream", None)
        if stream is not None and stream.release:
            release(stream.release)(self._address)

    def _call(self, name: str, memory: Any) -> None:
        code = getattr(self._stream, name)(self._address, ctypes.addressof(memory))
        if code:
            reason = self._stream.get_last_error(self._address) or b"no message"
            text = f"the Arrow stream failed: {reason.decode(errors='replace')} (error {code})"
            raise ValueError(text)

    def __iter__(self) -> Iterator[Any]:
        pyarrow = require("pyarrow", "the inspection of columns")
        kind = pyarrow.struct(list(self.schema))
        while True:
            memory = ctypes.create_string_buffer(_ARRAY_BYTES)
            self._call("get_next", memory)
            if not ctypes.c_void_p.from_buffer(memory, _RELEASE).value:
                return
            rows = pyarrow.Array._import_from_c(ctypes.addressof(memory), kind)
            columns = rows.flatten()  # a missing row is a row of missing values
            yield pyarrow.RecordBatch.from_arrays(columns, schema=self.schema)
