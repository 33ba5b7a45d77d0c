"""The ``datatype`` attribute: which string stands for which object. Source: LEGEND data format specification."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from pygama_core.errors import LH5Error

COMPOSITE = re.compile(r"(?P<kind>struct|table)\{(?P<fields>.*)\}")
VECTOR_OF_VECTORS = re.compile(r"array<1>\{array<\d+>\{.+\}\}")
ENCODED_EQUAL = re.compile(r"array_of_encoded_equalsized_arrays<\d+,\d+>\{.+\}")
ENCODED_RAGGED = re.compile(r"array<1>\{encoded_array<1>\{.+\}\}|array_of_encoded_arrays<1,\d+>\{.+\}")
VIEW = re.compile(r"view\{(entries|slices)\}")
ARRAY = re.compile(
    r"(?P<kind>array|fixedsize_array|array_of_equalsized_arrays)<(?P<rank>\d+|\d+,\d+)>"
    r"\{(?P<element>[a-z]+|enum\{[^{}]*\})\}"
)
ENUM = re.compile(r"enum\{(?P<members>[^{}]*)\}")
SCALARS = ("real", "bool", "complex", "string", "symbol")
HISTOGRAM_FIELDS = frozenset({"binning", "weights", "isdensity"})
# elements that the NumPy type does not tell
SPECIAL_ELEMENTS = ("detectorid", "symbol", "enum")


def element_type(dtype: np.dtype) -> str:
    """Return the element name of a NumPy dtype; raise LH5Error for a dtype that LH5 has no name for."""
    names = {"b": "bool", "i": "real", "u": "real", "f": "real", "c": "complex", "S": "string", "U": "string"}
    if dtype.kind not in names:
        raise LH5Error(f"dtype {dtype} has no LH5 element type; use numbers, bool or fixed-length bytes")
    return names[dtype.kind]


def array_datatype(dtype: np.dtype, ndim: int) -> str:
    """Return the datatype of an array whose first axis counts rows.

    ``array_of_equalsized_arrays<1,2>`` would be the specification's name for rank 3, but the Python reference cannot
    read it; all readers know ``array<3>``.
    """
    element = element_type(dtype)
    return f"array_of_equalsized_arrays<1,1>{{{element}}}" if ndim == 2 else f"array<{ndim}>{{{element}}}"


def kept_datatype(datatype: str, dtype: np.dtype, ndim: int) -> str:
    """Return what a reader keeps of a stored array's datatype: nothing where the writer would derive as good a one."""
    match = ARRAY.fullmatch(datatype)
    if match is None or "," in match["rank"]:
        return ""
    element = match["element"]
    is_plain = not element.startswith(SPECIAL_ELEMENTS)
    is_derived = match["kind"] == "array" and (ndim != 2 or int(match["rank"]) == 1)
    if (is_plain and is_derived) or int(match["rank"]) != ndim:
        return ""
    return "" if datatype == array_datatype(dtype, ndim) else datatype


def checked_datatype(datatype: str, dtype: np.dtype, ndim: int, where: object) -> str:
    """Return the datatype to store; raise LH5Error if one that was asked for does not fit the values."""
    derived = array_datatype(dtype, ndim)
    if not datatype:
        return derived
    match = ARRAY.fullmatch(datatype)
    if match is None or sum(int(n) for n in match["rank"].split(",")) != ndim:
        raise LH5Error(f"{where}: datatype {datatype!r} does not fit an array of rank {ndim}; leave it empty")
    return datatype


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


def fields(datatype: str) -> list[str]:
    """Return the names that a struct or table lists."""
    match = COMPOSITE.fullmatch(datatype)
    return [name.strip() for name in match["fields"].split(",") if name.strip()] if match else []


def is_scalar(datatype: str) -> bool:
    """Whether the datatype names a scalar."""
    return datatype in SCALARS or ENUM.fullmatch(datatype) is not None


def element_of(datatype: str) -> str:
    """Return the innermost element type: ``real`` of ``array<1>{array<1>{real}}``."""
    match = re.search(r"(enum\{[^{}]*\}|[a-z]+)\}*$", datatype)
    return match[1] if match else ""


def special_element(datatype: str) -> str:
    """Return the innermost element type if NumPy's type does not tell it, else nothing."""
    element = element_of(datatype)
    return element if element.startswith(SPECIAL_ELEMENTS) else ""


def enum_members(datatype: str) -> dict[str, int]:
    """Return names and values of the enum in a datatype; empty if there is none."""
    match = ENUM.search(datatype)
    if match is None:
        return {}
    pairs = (member.partition("=") for member in match["members"].split(",") if member)
    try:
        return {name.strip(): int(value) for name, _, value in pairs}
    except ValueError as error:
        raise LH5Error(f"datatype {datatype!r}: an enum is NAME=INTEGER, ...") from error


def enum_datatype(members: dict[str, int]) -> str:
    """Return ``enum{A=0,B=1}``, to be put into ``array<1>{...}``; raise LH5Error for a name LH5 cannot hold."""
    for name in members:
        if not name or set(name) & set(",{}/= "):
            raise LH5Error(f"enum member {name!r}: empty or with a comma, brace, slash, blank or equals sign")
    return f"enum{{{','.join(f'{name}={value}' for name, value in members.items())}}}"
