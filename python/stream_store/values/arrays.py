"""Objects of any library as NumPy arrays without loss, and the errors for invalid values.

NumPy's own conversion of lists is not used, because it turns ``[2**63, -1]`` into floats. Lists
become object arrays of the same items, which numeric.py and temporal.py then convert one by one;
lists of equal arrays are stacked.
"""

from __future__ import annotations

import array
import reprlib
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from stream_store.features import FieldSpec

MAX_DEPTH = 32  # of lists inside each other

_BYTES = (str, bytes, bytearray)
_Result = TypeVar("_Result")
_REPR = reprlib.Repr()
_REPR.maxother = _REPR.maxstring = _REPR.maxlong = 60


# --- errors ---


def short(value: object) -> str:
    """A value as text of at most one line."""
    if isinstance(value, np.ndarray):
        dtype = "" if value.dtype == object else f" and dtype {value.dtype}"
        return f"an array of shape {value.shape}{dtype}"
    if isinstance(value, np.generic):
        return f"{value!s:.60} ({type(value).__name__})"
    try:
        text = _REPR.repr(value)
    except ValueError:  # an int of thousands of digits
        text = "a huge value"
    return text if isinstance(value, (int, float)) else f"{text} ({type(value).__name__})"


def wrong_value(spec: FieldSpec, expected: str, value: object) -> ValueError:
    """The error for an object of the right type that is not a valid value of the field."""
    return ValueError(
        f"field {spec.name!r} ({spec.text}): expected {expected}, found {short(value)}"
    )


def wrong_type(spec: FieldSpec, expected: str, value: object) -> TypeError:
    """The error for an object of a type that the field does not take."""
    return TypeError(
        f"field {spec.name!r} ({spec.text}): expected {expected}, found {short(value)}"
    )


def wrong_item(spec: FieldSpec, expected: str, array: np.ndarray[Any, Any], bad: Any) -> ValueError:
    """The error for an array, naming its first item where the mask `bad` is true."""
    flat = np.ravel(array)
    place = int(np.argmax(np.ravel(bad)))
    where = f" at {place} of {flat.size}" if flat.size > 1 else ""
    return ValueError(
        f"field {spec.name!r} ({spec.text}): expected {expected}, found {short(flat[place])}{where}"
    )


# --- arrays ---


def as_array(spec: FieldSpec, value: Any, depth: int = 0) -> NDArray[Any]:
    """The value as an array of its own dtype, or of objects where it is a list of scalars.

    Raises:
        ValueError: an item is None or masked, or lists have different lengths.
        TypeError: the conversion to an array failed.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise wrong_value(
            spec, "an array without a mask (fill it first, or leave the field out)", value
        )
    if isinstance(value, np.ndarray):
        if value.dtype != object:
            return np.asarray(value)
        return (
            _from_items(spec, list(value), depth)
            if value.ndim
            else _boxed(spec, value.item(), depth)
        )
    if isinstance(value, np.generic):
        return np.asarray(value)
    if _is_list(value):
        return _from_items(spec, listed(value, f"field {spec.name!r} ({spec.text})"), depth)
    return _boxed(spec, value, depth)


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (*_BYTES, memoryview, array.array))


def _boxed(spec: FieldSpec, value: Any, depth: int) -> NDArray[Any]:
    """An array of another library converted; any other object as the item of an object array."""
    if depth > MAX_DEPTH:
        raise wrong_value(spec, f"at most {MAX_DEPTH} lists inside each other", "deeper ones")
    if _is_list(value):
        return as_array(spec, value, depth + 1)
    foreign = _foreign(spec, value)
    if foreign is not None:
        return as_array(spec, foreign, depth + 1)
    boxed = np.empty((), dtype=object)
    boxed[()] = value
    return boxed


def _foreign(spec: FieldSpec, value: Any) -> NDArray[Any] | None:
    """The NumPy array of another library's array; None if the value is not an array."""
    if isinstance(value, (*_BYTES, int, float, type)):
        return None
    nulls = getattr(value, "null_count", 0)  # pyarrow and polars would turn them into NaN
    if (nulls() if callable(nulls) else nulls) or _has_missing(value):
        raise wrong_value(spec, _without_none(spec), value)
    return foreign_array(value, f"field {spec.name!r} ({spec.text})")


def _has_missing(value: Any) -> bool:
    """Whether an array or Series of pandas has a missing value that NumPy would turn into NaN.

    A NaN of a column of floats is a value. The dtypes that tell them apart have the null NA.
    """
    null = getattr(getattr(value, "dtype", None), "na_value", None)
    return is_missing(null) and hasattr(value, "isna") and bool(np.any(value.isna()))


def is_missing(value: object) -> bool:
    """Whether a value is the null of pandas, without an import of pandas."""
    return type(value).__name__ == "NAType" and type(value).__module__.startswith("pandas.")


def listed(value: Any, place: str) -> list[Any]:
    """The items of any iterable, whose own code may fail.

    Raises:
        ValueError: it failed; the message begins with the place.
    """
    return user_code(lambda: list(value), value, place)


def user_code(read: Callable[[], _Result], value: Any, place: str) -> _Result:
    """The result of `read`, which runs the code of a value.

    Raises:
        ValueError: the code failed; the message begins with the place.
    """
    try:
        return read()
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(
            f"{place}: reading the {type(value).__name__} failed: {type(error).__name__}: {error}"
        ) from error


def _without_none(spec: FieldSpec) -> str:
    """The expectation of a list with None inside, with the declaration that accepts it."""
    if not spec.shape or spec.is_bytes:
        return "a value without None (leave the field out instead)"
    item = FieldSpec("", ("",), spec.dtype).text
    kind = "list<" * len(spec.shape) + item + ">" * len(spec.shape)
    return f"a list without None (declare the field 'nested {kind}' to keep None inside lists)"


def foreign_array(value: Any, place: str) -> NDArray[Any] | None:
    """The NumPy array of another library's array or buffer; None if the value is neither.

    Raises:
        TypeError: the conversion failed; the message begins with the place.
    """
    try:
        return _converted(value)
    except MemoryError:
        raise
    except Exception as error:
        raise TypeError(
            f"{place}: converting the {type(value).__name__} to an array failed: "
            f"{type(error).__name__}: {error}"
        ) from error


def _converted(value: Any) -> NDArray[Any] | None:
    if isinstance(value, (memoryview, array.array)):
        return np.asarray(value)
    if type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach"):
        return _from_torch(value)
    if any(hasattr(value, name) for name in ("__array__", "__array_interface__")):
        return np.asarray(value)
    return np.from_dlpack(value) if hasattr(value, "__dlpack__") else None


def _from_torch(tensor: Any) -> NDArray[Any]:
    torch = sys.modules["torch"]
    tensor = tensor.detach()
    if tensor.dtype != torch.bfloat16:
        return np.asarray(tensor)
    return widen_bfloat16(np.asarray(tensor.view(torch.int16)))


def _from_items(spec: FieldSpec, items: list[Any], depth: int) -> NDArray[Any]:
    if any(item is None or is_missing(item) for item in items):
        raise wrong_value(spec, _without_none(spec), items)
    if all(isinstance(item, (*_BYTES, int, float)) for item in items):
        return _objects(items, (len(items),))
    if depth > MAX_DEPTH:
        raise wrong_value(spec, f"at most {MAX_DEPTH} lists inside each other", items)
    parts = [as_array(spec, item, depth + 1) for item in items]
    shapes = {part.shape for part in parts}
    if len(shapes) > 1:
        one, other = sorted(shapes)[:2]
        raise ValueError(
            f"field {spec.name!r} ({spec.text}): expected a regular array, found items of shapes "
            f"{one} and {other} in {short(items)}"
        )
    if len({part.dtype for part in parts}) == 1 and parts[0].dtype != object:
        return np.stack(parts)
    return _objects([item for part in parts for item in part.flat], (len(parts), *parts[0].shape))


def _objects(items: list[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    boxed = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        boxed[place] = item
    return boxed.reshape(shape)


def fit_shape(spec: FieldSpec, values: NDArray[Any]) -> NDArray[Any]:
    """The array flattened in C order, if the field takes its shape.

    A scalar field takes ``()`` and ``(1,)``. A list field takes 1-D arrays, and a scalar as a list
    of one item. An array field takes its own shape, with any first dimension if that varies.
    """
    found, shape = values.shape, spec.shape
    fits = found == shape
    if not shape:
        fits = found in ((), (1,))
    elif spec.is_ragged:
        fits = len(found) == len(shape) and found[1:] == shape[1:]
        fits = fits or found == (0,) or (found == () and len(shape) == 1)
    elif shape == (1,):
        fits = found in ((), (1,))
    if not fits:
        raise ValueError(
            f"field {spec.name!r} ({spec.text}): expected {_shape_text(shape)}, "
            f"found {short(values)}"
        )
    return np.ascontiguousarray(values).reshape(-1)


def _shape_text(shape: tuple[int, ...]) -> str:
    if not shape:
        return "one value, of shape () or (1,)"
    if len(shape) == 1:
        return f"a list of {'any length' if shape[0] < 0 else f'length {shape[0]}'}"
    return f"an array of shape ({', '.join('any' if dim < 0 else str(dim) for dim in shape)})"


def native(values: NDArray[Any]) -> NDArray[Any]:
    """The same values in the machine's byte order. Bytes are swapped, so every NaN is kept."""
    if values.dtype.isnative:
        return values
    return values.byteswap().view(values.dtype.newbyteorder("="))


def reject(spec: FieldSpec, expected: str, values: NDArray[Any]) -> Exception:
    """The error for an array of a dtype that the field does not take; ValueError for text."""
    if values.dtype.kind in "UST":
        return wrong_value(spec, expected, values.flat[0] if values.size else values)
    return wrong_type(spec, expected, values)


def widen_bfloat16(array: NDArray[Any]) -> NDArray[np.float32]:
    """bfloat16, given as the bits, as float32, whose upper half it is. NumPy has no bfloat16."""
    wide = array.view(np.uint16).astype(np.uint32) << 16
    floats: NDArray[np.float32] = wide.view(np.float32)
    return floats
