"""Values: conversion between Python objects and the words that a store keeps.

encode.py    encode(): any value; also the rules of strings, binaries and decimals
decode.py    decode(), decode_words()
numeric.py   the rules of numbers, and float16 and float32 inside a float64
temporal.py  the rules of dates and times
nested.py    leaves, lists, maps and structs inside nested cells that C++ does not convert itself
media.py     features that encode their own values: media, Json, ClassLabel
images.py    images as files from which every pixel comes back
json_text.py the text of Json values
arrays.py    objects of any library as arrays, and the errors for invalid values

C++ converts the common values itself and calls this package for all others. The package has no
state and does not depend on stores.
"""

from __future__ import annotations

from .decode import decode, decode_words
from .encode import convert_array, encode

__all__ = ["convert_array", "decode", "decode_words", "encode"]
