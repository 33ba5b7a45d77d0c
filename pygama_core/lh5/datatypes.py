"""The ``datatype`` attribute: which string stands for which object. Source: LEGEND data format specification."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from pygama_core.errors import LH5Error

COMPOSITE = re.compile(r"(?P<kind>struct|table)\{(?P<fields>.*)\}")
VECTOR_OF_VECTORS = re.compile(r"array<1>\{array<1>\{.+\}\}")
ENCODED = re.compile(r"array<1>\{encoded_array<1>\{.+\}\}|array_of_encoded_(equalsized_)?arrays<1,1>\{.+\}")
ARRAY = re.compile(r"(array|fixedsize_array)<\d+>\{[^{}]+(\{[^{}]*\})?\}|array_of_equalsized_arrays<\d+,\d+>\{[^{}]+\}")
SCALARS = ("real", "bool", "complex", "string", "symbol")


def element_type(dtype: np.dtype) -> str:
    """Return the element name of a NumPy dtype; raise LH5Error for a dtype that LH5 has no name for."""
    names = {"b": "bool", "i": "real", "u": "real", "f": "real", "c": "complex", "S": "string", "O": "string"}
    if dtype.kind not in names:
        raise LH5Error(f"dtype {dtype} has no LH5 element type; use numbers, bool or fixed-length bytes")
    return names[dtype.kind]


def array_datatype(dtype: np.dtype, ndim: int) -> str:
    """Return the datatype of an array whose first axis counts rows."""
    element = element_type(dtype)
    return f"array<1>{{{element}}}" if ndim == 1 else f"array_of_equalsized_arrays<1,{ndim - 1}>{{{element}}}"


def composite_datatype(kind: str, fields: Iterable[str]) -> str:
    """Return ``table{a,b}`` or ``struct{a,b}`` with sorted field names; raise LH5Error for a name LH5 cannot hold.

    The Python reference takes a dot for nesting and then refuses the whole object.
    """
    names = sorted(fields)
    for name in names:
        if not name or set(name) & set(",{}/. "):
            raise LH5Error(
                f"field name {name!r}: empty or with a comma, brace, slash, dot or blank; LH5 cannot store it"
            )
    return f"{kind}{{{','.join(names)}}}"


def is_scalar(datatype: str) -> bool:
    """Whether the datatype names a scalar."""
    return datatype in SCALARS or datatype.startswith("enum{")
