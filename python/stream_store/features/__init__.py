"""Features: declarations of fields, and their conversion back to `datasets` features.

forms.py, strings.py, numpy_dtypes.py, spaces.py, foreign.py
                                   one feature, in any form -> `datasets` JSON and Arrow type
nodes.py, dtypes.py                such JSON -> item type and shape of a flat field
arrow_types.py, value_formats.py, notation.py
                                   Arrow types as trees, format strings and text
feature_types.py                   features <-> Arrow types
declare.py, parse.py, names.py     a whole declaration -> list of FieldSpec
spec.py, defaults.py               FieldSpec, one field as other packages see it
restore.py                         list of FieldSpec -> `datasets` features

Needs only NumPy; `datasets` is imported by functions that return its objects.
"""

from __future__ import annotations

from .defaults import default_feature_json
from .feature_types import FromJson
from .forms import Nested, Packed
from .parse import parse_fields
from .restore import build_features, difference, features_json, same_features
from .spec import FieldSpec

__all__ = [
    "FieldSpec",
    "FromJson",
    "Nested",
    "Packed",
    "build_features",
    "default_feature_json",
    "difference",
    "features_json",
    "parse_fields",
    "same_features",
]
