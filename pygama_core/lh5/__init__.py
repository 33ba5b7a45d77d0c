"""LH5 files: HDF5 whose objects carry a ``datatype`` attribute.

>>> from pygama_core import lh5
>>> table = lh5.read("run-tier_hit.lh5", "ch1104000/hit", columns=["timestamp"])  # doctest: +SKIP
"""

from pygama_core.lh5.iteration import Block, blocks, iterate
from pygama_core.lh5.load import load
from pygama_core.lh5.reader import Reader, exists, ls, n_rows, read
from pygama_core.lh5.types import (
    Array,
    Axis,
    Column,
    EncodedArray,
    Histogram,
    LH5Object,
    Scalar,
    Struct,
    Table,
    VectorOfVectors,
    View,
    concatenate,
)
from pygama_core.lh5.writer import Writer

__all__ = [
    "Array",
    "Axis",
    "Block",
    "Column",
    "EncodedArray",
    "Histogram",
    "LH5Object",
    "Reader",
    "Scalar",
    "Struct",
    "Table",
    "VectorOfVectors",
    "View",
    "Writer",
    "blocks",
    "concatenate",
    "exists",
    "iterate",
    "load",
    "ls",
    "n_rows",
    "read",
]
