"""Run an event configuration on the hits of one cycle: columnar over all channels and events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pygama_core.errors import ConfigError, EventError
from pygama_core.evt import aggregate
from pygama_core.evt.calls import FunctionCall
from pygama_core.evt.config import EventConfig, EventOperation, event_field, tier_of
from pygama_core.evt.hits import Hits
from pygama_core.expression import Expression
from pygama_core.hit.elementwise import Operand, as_column, evaluate, operand
from pygama_core.lh5.types import Array, Column, Table, VectorOfVectors


@dataclass(frozen=True, eq=False)
class _Selection:
    """Some hits, in hit order."""

    hits: np.ndarray  # (n,) flat hit numbers
    event: np.ndarray  # (n,) their event numbers, ascending
    rank: np.ndarray  # (n,) place of their channel in the group

    def where(self, mask: np.ndarray) -> _Selection:
        """Return the hits that pass."""
        if mask.all():
            return self
        return _Selection(self.hits[mask], self.event[mask], self.rank[mask])

    def lengths(self, n_events: int) -> np.ndarray:
        """Number of hits in each event, (n_events,)."""
        return np.bincount(self.event, minlength=n_events)


def build_events(config: EventConfig, hits: Hits) -> Table:
    """Compute the event table of one cycle.

    Parameters
    ----------
    config : of :func:`~pygama_core.evt.config.parse_event_config`
    hits : the cycle's hits; what they lack is recorded in ``hits.missing``

    Returns
    -------
    events : one row per event of the time coincidence map; ``a___b`` is column b of the nested table a

    Raises
    ------
    EventError, ConfigError : if values cannot be combined; the text names the operation
    """
    fields: dict[str, Column] = {}
    selections: dict[tuple[tuple[int, ...], tuple[int, ...]], _Selection] = {}
    for operation in config.operations:
        group = (operation.channels, operation.excluded)
        if group not in selections:
            selections[group] = select_channels(hits, *group)
        fields[operation.name] = _run(operation, hits, fields, selections[group])
    return nest({name: fields[name] for name in config.outputs})


def select_channels(hits: Hits, channels: tuple[int, ...], excluded: tuple[int, ...]) -> _Selection:
    """Return the hits of some channels in hit order."""
    rank = np.full(hits.tcm.n_hits, -1)
    for place, key in enumerate(channels):
        if key in hits.positions and key not in excluded:
            rank[hits.positions[key]] = place
    chosen = np.flatnonzero(rank >= 0)
    chosen = chosen[aggregate.sort_hits(rank[chosen], hits.event[chosen])]
    return _Selection(chosen, hits.event[chosen], rank[chosen])


def nest(fields: Mapping[str, Column]) -> Table:
    """Make nested tables of names with ``___``.

    Raises
    ------
    ConfigError : if a name is both a column and a table
    """
    columns: dict[str, Column] = {}
    inner: dict[str, dict[str, Column]] = {}
    for name, column in fields.items():
        head, separator, rest = name.partition("___")
        if separator:
            inner.setdefault(head, {})[rest] = column
        else:
            columns[head] = column
    for head, members in inner.items():
        if head in columns:
            raise ConfigError(f"outputs: {head!r} is a column, and a table with {', '.join(members)}; rename one")
        columns[head] = nest(members)
    return Table(columns)


def _run(operation: EventOperation, hits: Hits, fields: Mapping[str, Column], group: _Selection) -> Column:
    if isinstance(operation.expression, FunctionCall):
        return _call(operation, operation.expression, hits, fields)
    if operation.mode is None:
        values = _event_values(operation, hits.tcm.n_events, fields)
    else:
        values = _aggregate(operation, hits, fields, group)
    if operation.dtype is not None:
        values = aggregate.cast_values(values, operation.dtype, operation.where)
    return as_column(values, {**_source_attrs(operation, hits, fields), **operation.attrs})


def _source_attrs(operation: EventOperation, hits: Hits, fields: Mapping[str, Column]) -> dict[str, Any]:
    """Return units, bit names and so on of a single column that the operation passes on."""
    name = operation.expression.text.strip()
    if operation.mode in ("any", "all") or operation.reduce in ("count", "any", "all"):
        return {}
    if name in operation.parameters or not isinstance(operation.expression, Expression):
        return {}
    if operation.expression.names != {name}:
        return {}
    source = fields[event_field(name)] if tier_of(name) == "evt" else hits.column(name)[0]
    return dict(source.attrs)


def _call(operation: EventOperation, call: FunctionCall, hits: Hits, fields: Mapping[str, Column]) -> Column:
    keys = tuple(key for key in operation.channels if key not in operation.excluded)
    column = call(hits, keys, {keyword: fields[event_field(name)] for keyword, name in call.fields.items()})
    n_rows = column.n_rows if isinstance(column, Table) else len(column)
    if n_rows != hits.tcm.n_events:
        raise EventError(f"{operation.where}: {call.text!r} gave {n_rows} rows for {hits.tcm.n_events} events")
    return replace(column, attrs={**column.attrs, **operation.attrs})


def _event_values(operation: EventOperation, n_events: int, fields: Mapping[str, Column]) -> Operand:
    """Evaluate an operation without a mode, on event fields only."""
    assert isinstance(operation.expression, Expression)
    values = _evaluate_events(operation, operation.expression, n_events, fields)
    if operation.reduce is not None:
        values = aggregate.reduce_rows(values, operation.reduce)
    if operation.query is None:
        return values
    passes = _flags(_evaluate_events(operation, operation.query, n_events, fields), operation)
    place = np.where(passes, np.arange(n_events), -1)
    return aggregate.place_values(values, place, np.nan if operation.initial is None else operation.initial)


def _evaluate_events(
    operation: EventOperation, expression: Expression, n_events: int, fields: Mapping[str, Column]
) -> Operand:
    names = expression.names - set(operation.parameters)
    rows = {name: operand(fields[event_field(name)], name, operation.where) for name in names}
    return evaluate(expression, rows, operation.parameters, n_events, operation.where)


def _evaluate_hits(
    operation: EventOperation, expression: Expression, hits: Hits, fields: Mapping[str, Column], chosen: _Selection
) -> Operand:
    """Evaluate an expression at the chosen hits; event fields are repeated for each hit of the event."""
    rows: dict[str, Operand] = {}
    for name in expression.names - set(operation.parameters):
        if tier_of(name) == "evt":
            field = fields[event_field(name)]
            rows[name] = operand(field.rows(chosen.event), name, operation.where)
        else:
            rows[name] = operand(hits.column(name)[0].rows(chosen.hits), name, operation.where)
    values = evaluate(expression, rows, operation.parameters, len(chosen.hits), operation.where)
    if hits.unknown.isdisjoint(rows) or isinstance(values, VectorOfVectors) or values.dtype.kind == "b":
        return values
    return values.astype(np.float64)  # nothing is known of the column but that it has no values


def _flags(values: Operand, operation: EventOperation) -> np.ndarray:
    if isinstance(values, VectorOfVectors) or values.ndim != 1:
        raise ConfigError(
            f"{operation.where}.query: gives several values for each hit or event, expected one flag; "
            f"use a column with one value per row"
        )
    return aggregate.truth(values)


def _one_each(values: Operand, operation: EventOperation) -> np.ndarray:
    if isinstance(values, VectorOfVectors) or values.ndim != 1:
        raise ConfigError(
            f"{operation.where}: gives several values for each hit, {operation.mode} needs one; "
            f"add 'reduce': one of sum, count, any, all, min, max"
        )
    return values


def _with_columns(operation: EventOperation, hits: Hits, group: _Selection) -> _Selection:
    """Leave out hits of channels that lack a column which the operation needs; ``hits.missing`` names them."""
    for name in sorted(operation.hit_names):
        group = group.where(hits.column(name)[1][group.hits])
    return group


def _aggregate(operation: EventOperation, hits: Hits, fields: Mapping[str, Column], group: _Selection) -> Operand:
    assert isinstance(operation.expression, Expression)
    chosen = _with_columns(operation, hits, group)
    passes = np.ones(len(chosen.hits), bool)
    if operation.query is not None:
        passes = _flags(_evaluate_hits(operation, operation.query, hits, fields, chosen), operation)
    if operation.mode != "all":
        chosen = chosen.where(passes)
    values = _evaluate_hits(operation, operation.expression, hits, fields, chosen)
    if operation.reduce is not None:
        values = aggregate.reduce_rows(values, operation.reduce)
    lengths = chosen.lengths(hits.tcm.n_events)
    match operation.mode:
        case "sum":
            return aggregate.sum_hits(_one_each(values, operation), lengths, operation.initial)
        case "any":
            return aggregate.any_hit(_one_each(values, operation), lengths, operation.initial)
        case "all":
            flags = aggregate.truth(_one_each(values, operation)) & passes
            return aggregate.all_hits(flags, lengths, operation.initial)
        case "gather":
            return _gather(operation, hits, fields, values, chosen)
        case "first_at" | "last_at":
            return _at_extreme(operation, hits, fields, values, chosen)
    return _keep_at(operation, hits, fields, values, chosen)


def _gather(
    operation: EventOperation, hits: Hits, fields: Mapping[str, Column], values: Operand, chosen: _Selection
) -> VectorOfVectors:
    if operation.sort_field:
        key = _plain_key(operation, operation.sort_field, hits, fields, chosen)
        order = aggregate.sort_hits(key, chosen.event, descending=operation.sort_descending)
        values = values.rows(order) if isinstance(values, VectorOfVectors) else values[order]
    return VectorOfVectors(values, np.cumsum(chosen.lengths(hits.tcm.n_events)))


def _plain_key(
    operation: EventOperation, name: str, hits: Hits, fields: Mapping[str, Column], chosen: _Selection
) -> np.ndarray:
    """Return the column to compare hits by."""
    expression = Expression(name, where=operation.where)
    return _one_each(_evaluate_hits(operation, expression, hits, fields, chosen), operation)


def _at_extreme(
    operation: EventOperation, hits: Hits, fields: Mapping[str, Column], values: Operand, chosen: _Selection
) -> Operand:
    key = _plain_key(operation, operation.mode_field, hits, fields, chosen)
    place = aggregate.extreme_hit(key, chosen.event, hits.tcm.n_events, last=operation.mode == "last_at")
    return aggregate.place_values(values, place, np.nan if operation.initial is None else operation.initial)


def _keep_at(
    operation: EventOperation, hits: Hits, fields: Mapping[str, Column], values: Operand, chosen: _Selection
) -> Operand:
    """Evaluate at the hits that an event field points to, by table key or by tcm index."""
    pointer = fields[event_field(operation.mode_field)]
    if isinstance(pointer, VectorOfVectors) and not isinstance(pointer.flattened_data, VectorOfVectors):
        ends = pointer.cumulative_length
        wanted = pointer.flattened_data[: int(ends[-1]) if len(ends) else 0]
        event = np.repeat(np.arange(len(ends)), pointer.lengths)
    elif isinstance(pointer, Array) and pointer.values.ndim == 1:
        wanted, event = pointer.values, np.arange(len(pointer))
    else:
        raise ConfigError(f"{operation.where}: {operation.mode_field} is neither one value nor one list per event")
    is_number = np.isfinite(wanted) & (wanted >= 0)
    target = np.where(is_number, wanted, -1).astype(np.int64)
    find = _find_channel if operation.mode == "keep_at_ch" else _find_index
    place = find(operation, hits, target, event, chosen)
    result = aggregate.place_values(values, place, _kept_initial(values, operation.initial))
    return VectorOfVectors(result, pointer.cumulative_length) if isinstance(pointer, VectorOfVectors) else result


def _kept_initial(values: Operand, initial: Any) -> Any:
    """Return the fill value: NaN for floats; -1 and False for integers and flags, so that row numbers stay integers."""
    if initial is not None or isinstance(values, VectorOfVectors) or values.dtype.kind == "f":
        return np.nan if initial is None else initial
    return False if values.dtype.kind == "b" else -1


def _find_channel(
    operation: EventOperation, hits: Hits, target: np.ndarray, event: np.ndarray, chosen: _Selection
) -> np.ndarray:
    """Return the first chosen hit of channel ``target`` in ``event``, or -1."""
    keys = np.array(operation.channels, np.int64)
    if not len(keys) or not len(chosen.hits):
        return np.full(len(target), -1)
    by_key = np.argsort(keys)
    nearest = np.minimum(np.searchsorted(keys[by_key], target), len(keys) - 1)
    rank = by_key[nearest]
    code = chosen.event * len(keys) + chosen.rank  # ascending: that is hit order
    wanted = event * len(keys) + rank
    place = np.minimum(np.searchsorted(code, wanted), len(code) - 1)
    return np.where((keys[rank] == target) & (code[place] == wanted), place, -1)


def _find_index(
    operation: EventOperation, hits: Hits, target: np.ndarray, event: np.ndarray, chosen: _Selection
) -> np.ndarray:
    """Return the place of hit number ``target`` among the chosen hits, or -1.

    Raises
    ------
    EventError : if a number is no hit of that event: then the field holds something else than tcm.index
    """
    number = np.where(target < 0, -1, target - hits.first_index)
    asked = target >= 0
    inside = asked & (number >= 0) & (number < hits.tcm.n_hits)
    foreign = asked & ~inside
    foreign[inside] = hits.event[number[inside]] != event[inside]
    if foreign.any():
        raise EventError(
            f"{operation.where}: {operation.mode_field} holds {int(target[foreign][0])}, which is no hit of event "
            f"{int(event[foreign][0])}; keep_at_idx needs values of tcm.index, with initial -1 or NaN for no hit"
        )
    place_of = np.full(hits.tcm.n_hits + 1, -1)  # the last one stands for no hit
    place_of[chosen.hits] = np.arange(len(chosen.hits))
    found: np.ndarray = place_of[np.where(inside, number, -1)]
    return found
