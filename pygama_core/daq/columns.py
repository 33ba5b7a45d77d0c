"""Declare a DAQ table's columns once: name, type, unit and meaning; attributes and documentation derive from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pygama_core.errors import DecodeError
from pygama_core.lh5.types import Array, Attrs, Scalar, Struct, Table, VectorOfVectors


@dataclass(frozen=True)
class Column:
    """One column: ``dtype`` of its elements, ``shape`` of a row; a ragged column has rows of any length."""

    name: str
    dtype: str
    doc: str
    unit: str = ""
    shape: tuple[int, ...] = ()
    ragged: bool = False

    @property
    def attrs(self) -> Attrs:
        """LH5 attributes of the column."""
        return {"units": self.unit, "description": self.doc} if self.unit else {"description": self.doc}

    def build(self, values: Any) -> Array | VectorOfVectors:
        """Wrap values (n_rows, *shape), or for a ragged column a pair (flat values, end offsets)."""
        if self.ragged:
            flat, ends = values
            return VectorOfVectors(np.ascontiguousarray(flat, self.dtype), ends, self.attrs)
        array = np.asarray(values)
        if array.dtype != np.dtype(self.dtype):
            array = array.astype(self.dtype)
        if array.shape[1:] != self.shape:
            raise DecodeError(f"column {self.name}: rows of shape {array.shape[1:]}, declared {self.shape}")
        return Array(array, self.attrs)

    def empty(self) -> Array | VectorOfVectors:
        """Return the column with no rows."""
        none = np.empty((0, *self.shape), self.dtype)
        return self.build((none, np.empty(0, np.int64)) if self.ragged else none)


@dataclass(frozen=True)
class Record:
    """A named set of columns: the layout of one output table."""

    name: str
    columns: tuple[Column, ...]

    def __getitem__(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise DecodeError(f"record {self.name}: no column {name!r}; columns: {', '.join(c.name for c in self.columns)}")

    def table(self, values: Mapping[str, Any]) -> Table:
        """Build a table from one entry of ``values`` for each declared column, no more and no less."""
        names = [column.name for column in self.columns]
        if set(names) != set(values):
            raise DecodeError(
                f"record {self.name}: columns given and declared differ: {sorted(set(names) ^ set(values))}"
            )
        return Table({column.name: column.build(values[column.name]) for column in self.columns})

    def empty(self) -> Table:
        """Return the table with no rows."""
        return Table({column.name: column.empty() for column in self.columns})

    def struct(self, values: Mapping[str, Any]) -> Struct:
        """Build a struct of one record: scalars, and arrays for the ragged columns."""
        members: dict[str, Any] = {}
        for column in self.columns:
            value = np.asarray(values[column.name], column.dtype)
            members[column.name] = Array(value, column.attrs) if column.ragged else Scalar(value.item(), column.attrs)
        return Struct(members)

    def markdown(self) -> str:
        """Return the reference documentation of the table."""
        rows = [f"| {c.name} | {c.dtype}{' ragged' if c.ragged else ''} | {c.unit} | {c.doc} |" for c in self.columns]
        return "\n".join([f"### {self.name}", "| column | type | unit | meaning |", "|---|---|---|---|", *rows, ""])


def waveform_table(values: np.ndarray, dt: float) -> Table:
    """Return the waveform table of values (n_rows, n_samples) with sampling period ``dt`` [ns], starting at 0 ns."""
    n = len(values)
    return Table(
        {
            "t0": Array(np.zeros(n, np.float32), {"units": "ns", "description": "time of the first sample"}),
            "dt": Array(np.full(n, dt, np.float32), {"units": "ns", "description": "sampling period"}),
            "values": Array(values, {"units": "ADC", "description": "samples as digitised"}),
        }
    )


def with_waveform(table: Table, values: np.ndarray, dt: float) -> Table:
    """Return the table with a column ``waveform`` added."""
    return Table({**table.columns, "waveform": waveform_table(values, dt)}, table.attrs)
