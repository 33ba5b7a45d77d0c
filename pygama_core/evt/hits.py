"""All hits of a cycle as flat columns in the order of the time coincidence map."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import numpy as np

from pygama_core.errors import EventError
from pygama_core.evt.tcm import Tcm
from pygama_core.lh5.types import Array, EncodedArray, Table, VectorOfVectors, concatenate

HitColumn: TypeAlias = "Array | VectorOfVectors"


class HitSource(Protocol):
    """Where hit columns come from."""

    def read(self, tier: str, key: int, columns: frozenset[str]) -> Table:
        """Return those of the columns that the channel's table has; no columns if there is no such table."""

    def template(self, name: str, found: Mapping[int, HitColumn]) -> HitColumn | None:
        """Return a column without rows that says the kind and dtype of ``tier.column`` in the whole output.

        ``found`` are the channels' columns of this cycle, perhaps none. None: no cycle has such a column.
        """


@dataclass(eq=False)
class Hits:
    """Flat hit columns of one cycle.

    Parameters
    ----------
    tcm : the hits and events
    source : of the columns
    needs : tier -> table key -> columns that will be asked for; a channel is read once
    first_index : number of the first hit in the whole output, where several cycles follow each other
    """

    tcm: Tcm
    source: HitSource
    needs: Mapping[str, Mapping[int, set[str]]]
    first_index: int = 0
    missing: dict[tuple[str, int], set[str]] = field(default_factory=dict)  # (tier, key) -> absent columns
    unknown: set[str] = field(default_factory=set)  # columns that no channel of any cycle has
    _tables: dict[tuple[str, int], Table] = field(default_factory=dict)
    _columns: dict[str, tuple[HitColumn, np.ndarray]] = field(default_factory=dict)

    @cached_property
    def event(self) -> np.ndarray:
        """Event number of each hit, (n_hits,) int64."""
        ends = self.tcm.cumulative_length
        return np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))

    @cached_property
    def positions(self) -> dict[int, np.ndarray]:
        """Table key -> flat numbers of that channel's hits, ascending."""
        order = np.argsort(self.tcm.table_key, kind="stable")
        keys, starts = np.unique(self.tcm.table_key[order], return_index=True)
        return dict(zip(keys.tolist(), np.split(order, starts[1:]), strict=False))

    def column(self, name: str) -> tuple[HitColumn, np.ndarray]:
        """Return a column of all hits and which hits have it.

        Parameters
        ----------
        name : ``tier.column``, or ``tcm.table_key``, ``tcm.row_in_table``, ``tcm.index``

        Returns
        -------
        column : n_hits rows; zero or empty where a hit does not have it
        present : (n_hits,) bool

        Raises
        ------
        EventError : if the time coincidence map points beyond a channel's rows, or channels disagree in the kind
        """
        if name not in self._columns:
            tier, _, column = name.partition(".")
            self._columns[name] = self._special(column) if tier == "tcm" else self._scatter(tier, column)
        return self._columns[name]

    def _special(self, column: str) -> tuple[HitColumn, np.ndarray]:
        index = np.arange(self.first_index, self.first_index + self.tcm.n_hits)
        values = {"table_key": self.tcm.table_key, "row_in_table": self.tcm.row_in_table, "index": index}[column]
        return Array(values), np.ones(len(values), bool)

    def _scatter(self, tier: str, column: str) -> tuple[HitColumn, np.ndarray]:
        parts: dict[int, HitColumn] = {}
        for key, columns in self.needs.get(tier, {}).items():
            if column not in columns or key not in self.positions:
                continue
            found = self._table(tier, key).columns.get(column)
            if found is None:
                self.missing.setdefault((tier, key), set()).add(column)
            elif isinstance(found, Table):
                raise EventError(f"{tier}.{column}: a table in channel {key}; name one of its columns")
            elif isinstance(found, EncodedArray):
                raise EventError(f"{tier}.{column}: encoded waveforms in channel {key}; read them decoded")
            else:
                parts[key] = found
        template = self.source.template(f"{tier}.{column}", parts)
        if template is None:
            self.unknown.add(f"{tier}.{column}")
            template = Array(np.empty(0, np.int8))  # a type that every operator accepts
        if not parts:
            return _absent(template, self.tcm.n_hits), np.zeros(self.tcm.n_hits, bool)
        rows = {key: self._rows(tier, key, len(part)) for key, part in parts.items()}
        present = np.zeros(self.tcm.n_hits, bool)
        present[np.concatenate([self.positions[key] for key in parts])] = True
        kinds = {type(part) for part in [*parts.values(), template]}
        if len(kinds) > 1:
            raise EventError(f"{tier}.{column}: plain in some channels, ragged in others; they cannot be combined")
        if isinstance(template, VectorOfVectors):
            ragged = _cast(self._scatter_ragged(parts, rows), _flat_dtype(template))
            return VectorOfVectors(ragged.flattened_data, ragged.cumulative_length, template.attrs), present
        return self._scatter_plain(f"{tier}.{column}", parts, rows, template), present

    def _table(self, tier: str, key: int) -> Table:
        if (tier, key) not in self._tables:
            self._tables[tier, key] = self.source.read(tier, key, frozenset(self.needs[tier][key]))
        return self._tables[tier, key]

    def _rows(self, tier: str, key: int, n_rows: int) -> np.ndarray:
        rows: np.ndarray = self.tcm.row_in_table[self.positions[key]]
        if len(rows) and (rows.max() >= n_rows or rows.min() < 0):
            raise EventError(
                f"{tier}: channel {key} has {n_rows} rows, but the time coincidence map points at row {rows.max()}; "
                f"the files do not belong together, remake the {tier} tier"
            )
        return rows

    def _scatter_plain(
        self, name: str, parts: Mapping[int, HitColumn], rows: Mapping[int, np.ndarray], template: Array
    ) -> Array:
        values = np.zeros((self.tcm.n_hits, *template.values.shape[1:]), template.values.dtype)
        for key, part in parts.items():
            found = np.asarray(part.values) if isinstance(part, Array) else np.empty(0)
            if found.shape[1:] != values.shape[1:] or not np.can_cast(found.dtype, values.dtype, "same_kind"):
                raise EventError(
                    f"{name}: channel {key} has {found.dtype} {found.shape[1:]}, the first channels {values.dtype} "
                    f"{values.shape[1:]}; one event field needs one type"
                )
            values[self.positions[key]] = found[rows[key]]
        return Array(values, template.attrs)

    def _scatter_ragged(self, parts: Mapping[int, HitColumn], rows: Mapping[int, np.ndarray]) -> VectorOfVectors:
        picked = concatenate([part.rows(rows[key]) for key, part in parts.items()])
        order = np.concatenate([self.positions[key] for key in parts])
        ends = picked.cumulative_length
        empty_row = np.append(ends, ends[-1] if len(ends) else 0)
        with_empty = VectorOfVectors(picked.flattened_data, empty_row, picked.attrs)
        selection = np.full(self.tcm.n_hits, len(picked))
        selection[order] = np.arange(len(order))
        return with_empty.rows(selection)


def column_template(columns: Iterable[HitColumn]) -> HitColumn | None:
    """Return a column without rows whose dtype holds all columns' values; attributes are those of the first."""
    listed = list(columns)
    if not listed:
        return None
    dtype = np.result_type(*(_flat_dtype(column) for column in listed))
    template: HitColumn = _cast(listed[0].rows(slice(0, 0)), dtype)
    return template


def _flat_dtype(column: HitColumn) -> np.dtype:
    if isinstance(column, Array):
        return column.values.dtype
    flat = column.flattened_data
    return _flat_dtype(flat) if isinstance(flat, VectorOfVectors) else flat.dtype


def _cast(column: HitColumn, dtype: np.dtype) -> Any:
    if isinstance(column, Array):
        return Array(column.values.astype(dtype, copy=False), column.attrs)
    flat = column.flattened_data
    cast = _cast(flat, dtype) if isinstance(flat, VectorOfVectors) else flat.astype(dtype, copy=False)
    return VectorOfVectors(cast, column.cumulative_length, column.attrs)


def _absent(template: HitColumn, n_hits: int) -> HitColumn:
    """Return n_hits rows of zeros or of nothing."""
    if isinstance(template, Array):
        return Array(np.zeros((n_hits, *template.values.shape[1:]), template.values.dtype), template.attrs)
    flat = template.flattened_data
    nothing = flat.rows(slice(0, 0)) if isinstance(flat, VectorOfVectors) else flat[:0]
    return VectorOfVectors(nothing, np.zeros(n_hits, np.int64), template.attrs)
