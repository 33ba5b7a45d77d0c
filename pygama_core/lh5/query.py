"""Filter and join tables: by a condition, by position, by key, and along a time coincidence map."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pygama_core.errors import LH5Error
from pygama_core.expression import Expression
from pygama_core.lh5.types import Array, Column, Table, VectorOfVectors, concatenate, n_rows


def column_at(table: Table, name: str) -> Column:
    """Return the column of a dotted name such as ``geds.energy``; raise LH5Error if there is none."""
    column: Any = table
    for part in name.split("."):
        if not isinstance(column, Table) or part not in column:
            known = ", ".join(sorted(column)) if isinstance(column, Table) else f"none in a {type(column).__name__}"
            raise LH5Error(f"no column {name!r}; at {part!r} there are: {known}")
        column = column[part]
    found: Column = column
    return found


def matches(table: Table, condition: Expression) -> np.ndarray:
    """Return where a condition holds.

    Parameters
    ----------
    table : nested tables give dotted names
    condition : an expression of plain columns that is true or false for each row

    Returns
    -------
    mask : (n_rows,) bool

    Raises
    ------
    LH5Error
        if a column is missing or ragged, or the result is not one bool for each row
    """
    values: dict[str, np.ndarray] = {}
    for name in condition.names:
        column = column_at(table, name)
        if not isinstance(column, Array):
            raise LH5Error(f"{condition.where}: {name} is a {type(column).__name__}; a condition needs plain columns")
        values[name] = column.values
    result = np.asarray(condition.evaluate(values))
    if result.dtype != bool or result.shape not in ((), (table.n_rows,)):
        raise LH5Error(
            f"{condition.where}: {condition.text!r} gives {result.dtype} {result.shape}, expected true or false for "
            f"each of {table.n_rows} rows; compare it with something"
        )
    return np.broadcast_to(result, (table.n_rows,))


def select(table: Table, where: str) -> Table:
    """Return the rows of a table for which an expression holds; see :func:`matches`."""
    return table.rows(np.flatnonzero(matches(table, Expression(where, where="where"))))


def join_by_position(tables: Mapping[str, Table]) -> Table:
    """Put tables of the same rows, such as the tiers of one channel, side by side under their names.

    Raises
    ------
    LH5Error
        if the numbers of rows differ
    """
    rows = {name: table.n_rows for name, table in tables.items()}
    if len(set(rows.values())) > 1:
        raise LH5Error(f"join by position: numbers of rows differ: {rows}; the tables are not of the same triggers")
    return Table(dict(tables))


def join_by_key(left: Table, right: Table, on: Sequence[str], how: Literal["inner", "left"] = "inner") -> Table:
    """Add to each row of one table the row of another that has the same key.

    Parameters
    ----------
    left, right : tables; in ``right`` a key occurs once at most
    on : names of the plain columns that make up the key
    how : "inner" drops rows without a partner; "left" keeps them, with NaN (numbers, as float), False, empty text or
        empty vectors

    Returns
    -------
    joined : rows in the order of ``left``; columns of ``left``, then those of ``right`` without the key

    Raises
    ------
    LH5Error
        if a key column is missing or no plain column, a key occurs twice in ``right``, or both have a column
    """
    clash = sorted((set(left) & set(right)) - set(on))
    if clash or not on:
        raise LH5Error(f"join by key {list(on)}: both tables have {', '.join(clash) or 'no key'}; rename or drop one")
    partner = _partners([left.array(name) for name in on], [right.array(name) for name in on])
    found = partner >= 0
    if how == "inner":
        left, partner, found = left.rows(np.flatnonzero(found)), partner[found], np.ones(int(found.sum()), bool)
    added = {name: _taken(right[name], partner, found) for name in right if name not in on}
    return Table({**left.columns, **added}, left.attrs)


def _partners(left: list[np.ndarray], right: list[np.ndarray]) -> np.ndarray:
    """Return for each left key the number of the right row with it, or -1."""
    n_right = len(right[0])
    code = np.zeros(len(left[0]) + n_right, np.int64)
    for mine, other in zip(left, right, strict=True):
        _, inverse = np.unique(np.concatenate([other, mine]), return_inverse=True)
        # codes stay small: they are numbered anew after each column
        _, code = np.unique(code * (int(inverse.max(initial=0)) + 1) + inverse, return_inverse=True)
    rows = np.full(int(code.max(initial=0)) + 1, -1, np.int64)
    rows[code[:n_right]] = np.arange(n_right)
    twice = np.flatnonzero(rows[code[:n_right]] != np.arange(n_right))
    if len(twice):
        key = tuple(column[twice[0]] for column in right)
        raise LH5Error(f"join by key: key {key} occurs more than once in the right table; make it unique")
    return rows[code[n_right:]]


def _taken(column: Column, partner: np.ndarray, found: np.ndarray) -> Column:
    if isinstance(column, Table):
        return Table({name: _taken(inner, partner, found) for name, inner in column.columns.items()}, column.attrs)
    if found.all():
        return column.rows(partner)
    if isinstance(column, VectorOfVectors):
        kept = column.rows(partner[found])
        lengths = np.zeros(len(partner), np.int64)
        lengths[found] = kept.lengths
        return VectorOfVectors(kept.flattened_data, lengths.cumsum(), column.attrs)
    values = _plain(column).values
    dtype = np.dtype(np.float64) if values.dtype.kind in "iu" else values.dtype
    taken = np.full((len(partner), *values.shape[1:]), np.nan if dtype.kind in "fc" else 0, dtype)
    if dtype.kind == "S":
        taken = np.zeros((len(partner), *values.shape[1:]), dtype)
    taken[found] = values[partner[found]]
    return Array(taken, column.attrs)


@dataclass(frozen=True, eq=False)
class EventHits:
    """Hits of events: element k says that row ``row[k]`` of channel ``rawid[k]`` belongs to event ``event[k]``."""

    event: np.ndarray  # (n_hits,) int64, increasing
    rawid: np.ndarray  # (n_hits,) int64
    row: np.ndarray  # (n_hits,) int64

    def of(self, mask: np.ndarray) -> EventHits:
        """Return some of the hits."""
        return EventHits(self.event[mask], self.rawid[mask], self.row[mask])


def hits_of_events(tcm: Table, events: np.ndarray | None = None) -> EventHits:
    """Return the hits of some events, by a time coincidence map.

    Parameters
    ----------
    tcm : table with the ragged columns ``table_key`` and ``row_in_table``
    events : (n,) row numbers in the map, increasing; None: all

    Raises
    ------
    LH5Error
        if the table is no such map
    """
    columns = [tcm.columns.get(name) for name in ("table_key", "row_in_table")]
    keys, rows = columns
    if not isinstance(keys, VectorOfVectors) or not isinstance(rows, VectorOfVectors):
        raise LH5Error(f"no time coincidence map: columns {', '.join(tcm)}, expected ragged table_key and row_in_table")
    index = np.arange(len(keys)) if events is None else np.asarray(events, np.int64)
    keys, rows = keys.rows(index), rows.rows(index)
    if not np.array_equal(keys.cumulative_length, rows.cumulative_length):
        raise LH5Error("time coincidence map: table_key and row_in_table have different lengths; the file is damaged")
    flat = (np.asarray(column.flattened_data).astype(np.int64) for column in (keys, rows))
    return EventHits(np.repeat(index, keys.lengths), *flat)


def group_by_event(hits: Table, event: np.ndarray, events: np.ndarray) -> Table:
    """Turn rows that are hits into ragged rows that are events.

    Parameters
    ----------
    hits : table of (n_hits,) rows
    event : (n_hits,) int64, increasing; the event of each
    events : (n_events,) int64, increasing; the events of the result, with or without hits
    """
    ends = np.searchsorted(event, events, side="right")
    return Table({name: _ragged(column, ends) for name, column in hits.columns.items()}, hits.attrs)


def _ragged(column: Column, ends: np.ndarray) -> Column:
    if isinstance(column, Table):
        return Table({name: _ragged(inner, ends) for name, inner in column.columns.items()}, column.attrs)
    if isinstance(column, VectorOfVectors):
        return VectorOfVectors(VectorOfVectors(column.flattened_data, column.cumulative_length), ends, column.attrs)
    values = _plain(column).values
    if values.ndim > 1:
        return _ragged(as_ragged(_plain(column)), ends)
    return VectorOfVectors(values, ends, column.attrs)


def _plain(column: Column) -> Array:
    if not isinstance(column, Array):
        raise LH5Error(f"a {type(column).__name__} cannot be joined or grouped; decode it first")
    return column


def as_ragged(column: Array) -> VectorOfVectors:
    """Return rows of equal length as ragged rows; axes beyond the second are flattened."""
    length = int(np.prod(column.values.shape[1:], dtype=np.int64))
    ends = np.arange(1, len(column) + 1, dtype=np.int64) * length
    return VectorOfVectors(np.ascontiguousarray(column.values).reshape(-1), ends, column.attrs)


def concatenate_rows(tables: Iterable[Table]) -> Table:
    """Join tables row-wise; waveforms of different length become ragged."""
    parts = list(tables)
    for part in parts[1:]:
        if differing := sorted(set(part) ^ set(parts[0])):
            raise LH5Error(f"not all channels or cycles have the columns {', '.join(differing)}; choose others")
    return Table({name: _joined([part[name] for part in parts]) for name in parts[0]}, parts[0].attrs)


def _joined(columns: list[Column]) -> Column:
    if all(isinstance(column, Table) for column in columns):
        return concatenate_rows(column for column in columns if isinstance(column, Table))
    filled = [column for column in columns if n_rows(column)] or columns[:1]
    arrays = [column for column in filled if isinstance(column, Array)]
    if len(arrays) == len(filled) and len({column.values.shape[1:] for column in arrays}) > 1:
        filled = [as_ragged(column) for column in arrays]
    elif len(arrays) not in (0, len(filled)):
        filled = [column if isinstance(column, VectorOfVectors) else as_ragged(_plain(column)) for column in filled]
    joined: Column = concatenate(filled)
    return joined
