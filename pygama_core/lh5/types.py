"""The in-memory LH5 objects: what every tier hands to the next.

Rows are always the first axis. ``attrs`` holds what is stored as HDF5 attributes besides ``datatype``
(``units`` and ``description`` above all).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from pygama_core.errors import LH5Error
from pygama_core.lh5.rows import expand_ranges

Attrs: TypeAlias = dict[str, str | int | float | bool]
Column: TypeAlias = "Array | VectorOfVectors | EncodedArray | Table"
LH5Object: TypeAlias = "Array | VectorOfVectors | EncodedArray | Table | Struct | Scalar | Histogram | View"


@dataclass(eq=False)
class Scalar:
    """One number, bool or string; ``element`` is the LH5 type if the value does not tell (symbol, enum)."""

    value: Any
    attrs: Attrs = field(default_factory=dict)
    element: str = ""


@dataclass(eq=False)
class Array:
    """Numbers, bools or bytes of shape (n_rows, ...).

    ``datatype`` is the stored one where it says more than the values do: elements that are enums or detector ids,
    arrays whose inner shape is part of their type, maps (``array<2>``). Empty means that the writer derives it.
    """

    values: np.ndarray
    attrs: Attrs = field(default_factory=dict)
    datatype: str = ""

    def __len__(self) -> int:
        return len(self.values)

    @property
    def dtype(self) -> np.dtype:
        """NumPy type of the values."""
        return self.values.dtype

    @property
    def enum(self) -> dict[str, int]:
        """Names and values of an enum array; empty for others."""
        from pygama_core.lh5.datatypes import enum_members

        return enum_members(self.datatype)

    def rows(self, selection: slice | np.ndarray) -> Array:
        """Return the selected rows: a slice gives a view, an index array or mask a copy."""
        return Array(self.values[selection], self.attrs, self.datatype)


@dataclass(eq=False)
class VectorOfVectors:
    """Ragged rows: row i is ``flattened_data[cumulative_length[i-1]:cumulative_length[i]]`` (0 for i = 0)."""

    flattened_data: np.ndarray | VectorOfVectors
    cumulative_length: np.ndarray  # (n_rows,) int64 end offsets
    attrs: Attrs = field(default_factory=dict)
    element: str = ""  # LH5 type of the elements where NumPy's does not tell: an enum, detectorid, symbol

    def __post_init__(self) -> None:
        self.cumulative_length = np.ascontiguousarray(self.cumulative_length, dtype=np.int64)
        last = int(self.cumulative_length[-1]) if len(self.cumulative_length) else 0
        if last > len(self.flattened_data):
            raise LH5Error(
                f"vector of vectors: last offset is {last} but there are {len(self.flattened_data)} flattened rows; "
                f"the object is truncated"
            )

    def __len__(self) -> int:
        return len(self.cumulative_length)

    @property
    def starts(self) -> np.ndarray:
        """First flattened index of each row, (n_rows,) int64."""
        starts = np.zeros(len(self), np.int64)
        starts[1:] = self.cumulative_length[:-1]
        return starts

    @property
    def lengths(self) -> np.ndarray:
        """Number of elements in each row, (n_rows,) int64."""
        lengths: np.ndarray = self.cumulative_length - self.starts
        return lengths

    def __getitem__(self, row: int) -> Any:
        """Return row ``row`` as a view of the flattened data."""
        end = int(self.cumulative_length[row])
        start = end - int(self.lengths[row])
        if isinstance(self.flattened_data, VectorOfVectors):
            return self.flattened_data.rows(slice(start, end))
        return self.flattened_data[start:end]

    def rows(self, selection: slice | np.ndarray) -> VectorOfVectors:
        """Return the selected rows as a new object."""
        starts, ends = self.starts[selection], self.cumulative_length[selection]
        lengths = ends - starts
        new_ends = np.cumsum(lengths, dtype=np.int64)
        flat = self.flattened_data
        index: slice | np.ndarray
        if isinstance(selection, slice) and selection.step in (None, 1):
            index = slice(int(starts[0]), int(ends[-1])) if len(starts) else slice(0, 0)
        else:
            index = expand_ranges(starts, lengths)
        picked = flat.rows(index) if isinstance(flat, VectorOfVectors) else flat[index]
        return VectorOfVectors(picked, new_ends, self.attrs, self.element)

    @property
    def dtype(self) -> np.dtype:
        """NumPy type of the innermost elements."""
        return self.flattened_data.dtype

    @classmethod
    def from_rows(cls, rows: list[Any], dtype: Any, attrs: Attrs | None = None) -> VectorOfVectors:
        """Build from a list of 1-d sequences."""
        ends = np.cumsum([len(row) for row in rows], dtype=np.int64)
        flat = np.concatenate([np.asarray(row, dtype) for row in rows]) if rows else np.empty(0, dtype)
        return cls(flat, ends, attrs or {})


@dataclass(eq=False)
class EncodedArray:
    """Rows of integers as a waveform codec stores them; :func:`pygama_core.lh5.codecs.decode` restores them."""

    encoded_data: VectorOfVectors  # uint8
    decoded_size: int | np.ndarray  # samples per row: one number, or (n_rows,) int64 for ragged rows
    codec: Attrs  # "codec" and its parameters
    dtype: np.dtype | None = None  # of the samples, where it was recorded
    attrs: Attrs = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.encoded_data)

    @property
    def lengths(self) -> np.ndarray:
        """Number of samples in each row, (n_rows,) int64."""
        if isinstance(self.decoded_size, int):
            return np.full(len(self), self.decoded_size, np.int64)
        return self.decoded_size

    def rows(self, selection: slice | np.ndarray) -> EncodedArray:
        """Return the selected rows, still encoded."""
        size = self.decoded_size if isinstance(self.decoded_size, int) else self.decoded_size[selection]
        return EncodedArray(self.encoded_data.rows(selection), size, self.codec, self.dtype, self.attrs)


@dataclass(frozen=True)
class Axis:
    """One axis of a histogram: edges at ``first + k * step``, or listed."""

    edges: np.ndarray | tuple[float, float, float]  # (n_bins + 1,), or first, last, step
    closed_left: bool = True
    attrs: Attrs = field(default_factory=dict)  # units and more, stored with the edges

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        if isinstance(self.edges, tuple):
            first, last, step = self.edges
            return round((last - first) / step)
        return len(self.edges) - 1

    @property
    def bin_edges(self) -> np.ndarray:
        """All edges, (n_bins + 1,)."""
        if isinstance(self.edges, tuple):
            return np.linspace(self.edges[0], self.edges[1], self.n_bins + 1)
        return self.edges


@dataclass(eq=False)
class Histogram:
    """Counts, or a density, on one or more axes; without under- and overflow."""

    weights: np.ndarray  # (n_bins of axis 1, n_bins of axis 2, ...)
    axes: tuple[Axis, ...]
    is_density: bool = False
    attrs: Attrs = field(default_factory=dict)

    def __post_init__(self) -> None:
        expected = tuple(axis.n_bins for axis in self.axes)
        if self.weights.shape != expected:
            raise LH5Error(f"histogram: weights are {self.weights.shape}, the axes have {expected} bins")


@dataclass(eq=False)
class View:
    """Some rows of another object: row numbers, or half-open ranges, both increasing. Julia has no views."""

    target: str  # name of the object
    entries: np.ndarray  # (n,) row numbers or (n, 2) ranges, int64
    file: str = ""  # file of the target if it is another
    attrs: Attrs = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.entries = np.asarray(self.entries, np.int64)
        flat = self.entries.reshape(-1)
        is_ranges = self.entries.ndim == 2
        if self.entries.ndim > 2 or (is_ranges and self.entries.shape[1] != 2):
            raise LH5Error(f"view: entries of shape {self.entries.shape}; need (n,) rows or (n, 2) ranges")
        steps = np.diff(flat)
        # ranges may touch: the end of one is the start of the next
        if np.any(steps[::2] <= 0) or np.any(steps[1::2] < (0 if is_ranges else 1)) or np.any(flat < 0):
            raise LH5Error("view: entries must be increasing, and 0 or more")


@dataclass(eq=False)
class Struct:
    """Named members of any kind, without common rows."""

    members: dict[str, LH5Object]
    attrs: Attrs = field(default_factory=dict)

    def __getitem__(self, name: str) -> LH5Object:
        return self.members[name]


@dataclass(eq=False, repr=False)
class Table(Mapping[str, Column]):
    """Columns with the same number of rows; a waveform table is one whose columns are t0, dt and values."""

    columns: dict[str, Column]
    attrs: Attrs = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {name: n_rows(column) for name, column in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise LH5Error(f"table: columns have different numbers of rows: {lengths}; all must be equal")

    def __repr__(self) -> str:
        return "\n".join([f"Table of {self.n_rows} rows", *self._lines("  ")])

    def _lines(self, indent: str) -> Iterator[str]:
        for name, column in self.columns.items():
            units = f" [{column.attrs['units']}]" if "units" in column.attrs else ""
            if isinstance(column, Table):
                yield f"{indent}{name}:"
                yield from column._lines(indent + "  ")
            else:
                shape = "".join(f" x {n}" for n in column.values.shape[1:]) if isinstance(column, Array) else ""
                kind = "" if isinstance(column, Array) else f"{type(column).__name__} of "
                yield f"{indent}{name}{units}: {kind}{column.dtype}{shape}"

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        """Return the number of columns, as for any mapping; see :attr:`n_rows`."""
        return len(self.columns)

    @property
    def n_rows(self) -> int:
        """Number of rows; 0 for a table without columns."""
        return n_rows(next(iter(self.columns.values()))) if self.columns else 0

    @property
    def is_waveform(self) -> bool:
        """Whether this is a waveform table."""
        return set(self.columns) == {"t0", "dt", "values"}

    def rows(self, selection: slice | np.ndarray) -> Table:
        """Return the selected rows of every column."""
        return Table({name: column.rows(selection) for name, column in self.columns.items()}, self.attrs)

    def array(self, name: str) -> np.ndarray:
        """Return a plain column's values; raise LH5Error if it is missing or not a plain array."""
        column = self.columns.get(name)
        if not isinstance(column, Array):
            found = "missing" if column is None else type(column).__name__
            raise LH5Error(f"table: column {name!r} is {found}, need an array; columns: {', '.join(sorted(self))}")
        return column.values


def n_rows(column: Column) -> int:
    """Return a column's number of rows."""
    return column.n_rows if isinstance(column, Table) else len(column)


def concatenate(objects: list[Any]) -> Any:
    """Join columns, tables or structs row-wise; see :func:`pygama_core.lh5.joining.join`."""
    from pygama_core.lh5.joining import join

    return join(objects)
