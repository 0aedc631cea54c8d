"""Features: what a field may be declared as, and how that is given back.

declare.py, strings.py, numpy_dtypes.py  one feature, however written, as `datasets` JSON
nodes.py, dtypes.py                      what such JSON means: item type and shape, or a refusal
parse.py, names.py                       a whole declaration -> list of FieldSpec
spec.py                                  FieldSpec, one field as everybody else sees it
restore.py                               list of FieldSpec -> `datasets` features

Needs NumPy alone; `datasets` only where objects of it are asked for.
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
