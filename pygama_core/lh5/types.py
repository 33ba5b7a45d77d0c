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

Attrs: TypeAlias = dict[str, str | int | float | bool]
Column: TypeAlias = "Array | VectorOfVectors | Table"
LH5Object: TypeAlias = "Array | VectorOfVectors | Table | Struct | Scalar"


@dataclass(eq=False)
class Scalar:
    """One number, bool or string."""

    value: Any
    attrs: Attrs = field(default_factory=dict)


@dataclass(eq=False)
class Array:
    """Numbers, bools or bytes of shape (n_rows, ...)."""

    values: np.ndarray
    attrs: Attrs = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, selection: slice | np.ndarray) -> Array:
        """Return the selected rows: a slice gives a view, an index array or mask a copy."""
        return Array(self.values[selection], self.attrs)


@dataclass(eq=False)
class VectorOfVectors:
    """Ragged rows: row i is ``flattened_data[cumulative_length[i-1]:cumulative_length[i]]`` (0 for i = 0)."""

    flattened_data: np.ndarray | VectorOfVectors
    cumulative_length: np.ndarray  # (n_rows,) int64 end offsets
    attrs: Attrs = field(default_factory=dict)

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
        index = np.arange(new_ends[-1] if len(new_ends) else 0) + np.repeat(starts - (new_ends - lengths), lengths)
        flat = self.flattened_data
        picked = flat.rows(index) if isinstance(flat, VectorOfVectors) else flat[index]
        return VectorOfVectors(picked, new_ends, self.attrs)

    @classmethod
    def from_rows(cls, rows: list[Any], dtype: Any, attrs: Attrs | None = None) -> VectorOfVectors:
        """Build from a list of 1-d sequences."""
        ends = np.cumsum([len(row) for row in rows], dtype=np.int64)
        flat = np.concatenate([np.asarray(row, dtype) for row in rows]) if rows else np.empty(0, dtype)
        return cls(flat, ends, attrs or {})


@dataclass(eq=False)
class Struct:
    """Named members of any kind, without common rows."""

    members: dict[str, LH5Object]
    attrs: Attrs = field(default_factory=dict)

    def __getitem__(self, name: str) -> LH5Object:
        return self.members[name]


@dataclass(eq=False)
class Table(Mapping[str, Column]):
    """Columns with the same number of rows; a waveform table is one whose columns are t0, dt and values."""

    columns: dict[str, Column]
    attrs: Attrs = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {name: n_rows(column) for name, column in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise LH5Error(f"table: columns have different numbers of rows: {lengths}; all must be equal")

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


def concatenate(columns: list[Any]) -> Any:
    """Join columns or tables of the same structure row-wise; attributes are those of the first."""
    first = columns[0]
    if isinstance(first, Array):
        return Array(np.concatenate([c.values for c in columns]), first.attrs)
    if isinstance(first, VectorOfVectors):
        return _concatenate_ragged(columns)
    names = list(first)
    for table in columns[1:]:
        if set(table) != set(names):
            raise LH5Error(f"concatenate: tables have different columns: {sorted(set(table) ^ set(names))}")
    return Table({name: concatenate([t[name] for t in columns]) for name in names}, first.attrs)


def _concatenate_ragged(columns: list[VectorOfVectors]) -> VectorOfVectors:
    flats: list[np.ndarray | VectorOfVectors] = []
    ends: list[np.ndarray] = []
    offset = 0
    for column in columns:
        used = int(column.cumulative_length[-1]) if len(column) else 0
        flat = column.flattened_data
        flats.append(flat.rows(slice(0, used)) if isinstance(flat, VectorOfVectors) else flat[:used])
        ends.append(column.cumulative_length + offset)
        offset += used
    flat = concatenate([flat if isinstance(flat, VectorOfVectors) else Array(flat) for flat in flats])
    joined = flat.values if isinstance(flat, Array) else flat
    return VectorOfVectors(joined, np.concatenate(ends), columns[0].attrs)
