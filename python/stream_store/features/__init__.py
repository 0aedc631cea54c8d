"""Features: declarations of fields, and their conversion back to `datasets` features.

declare.py, strings.py, numpy_dtypes.py  one feature, in any form -> `datasets` JSON
nodes.py, dtypes.py                      such JSON -> item type and shape, or a refusal
parse.py, names.py                       a whole declaration -> list of FieldSpec
spec.py                                  FieldSpec, one field as other packages see it
restore.py                               list of FieldSpec -> `datasets` features

Needs only NumPy; `datasets` is imported by functions that return its objects.
"""

from __future__ import annotations

from .declare import FromJson, Packed
from .nodes import default_feature_json
from .parse import parse_fields
from .restore import build_features, difference, features_json, same_features
from .spec import FieldSpec

__all__ = [
    "FieldSpec",
    "FromJson",
    "Packed",
    "build_features",
    "default_feature_json",
    "difference",
    "features_json",
    "parse_fields",
    "same_features",
]
