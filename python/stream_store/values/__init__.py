"""Values: Python objects to what a store keeps, and back.

encoding.py   encode(): which rules a value falls under
arrays.py     any object as an array
numeric.py, temporal.py, decimals.py, texts.py   the rules of each kind of field
decoding.py   decode(), decode_words()
floats.py     float16 and float32 inside a float64, NaN payloads kept

The fast paths are in C++; this is for every value that they do not know. Nothing here knows of
stores, and nothing keeps state.
"""

from __future__ import annotations

from .decoding import decode, decode_words
from .encoding import convert_array, encode

__all__ = ["convert_array", "decode", "decode_words", "encode"]
