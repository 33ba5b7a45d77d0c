"""Order and run the operations of a hit configuration on a dsp table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from pygama_core.errors import ConfigError
from pygama_core.hit.config import HitConfig, Operation
from pygama_core.hit.elementwise import as_column, evaluate, operand
from pygama_core.lh5.types import Array, Column, Table


@dataclass(frozen=True, eq=False)
class HitPlan:
    """What to read, what to compute in which order, and what to keep, for one dsp table."""

    config: HitConfig
    order: tuple[Operation, ...]
    reads: tuple[str, ...]
    outputs: tuple[str, ...]
    skipped: Mapping[str, str]  # optional operation, or aggregation bit -> why it is absent

    @property
    def nan_parameters(self) -> list[str]:
        """``operation.parameter`` of each parameter that is NaN."""
        return [f"{operation.name}.{name}" for operation in self.order for name in operation.nan_parameters]


def plan_hit(config: HitConfig, columns: Iterable[str], table: str) -> HitPlan:
    """Resolve a configuration on a table with these columns.

    A name in an expression means, in this order: a parameter, the operation of that name (unless it is the
    operation itself), the input column.

    Parameters
    ----------
    config : of :func:`~pygama_core.hit.config.parse_hit_config`
    columns : names of the table's columns
    table : its name, for messages

    Raises
    ------
    ConfigError : if a name is neither operation nor column, if operations need each other, or an output is unknown
    """
    available = tuple(columns)
    kept, skipped = _drop_optional(config, frozenset(available), table)
    order = tuple(kept[name] for name in _sort(kept, config.where))
    bits = {bit for names in config.aggregations.values() for bit in names}
    for bit in sorted(bits - set(kept) - set(available)):
        if bit not in skipped:
            raise ConfigError(f"{config.where}: {table}: aggregation names {bit!r}, which is no operation or column")
    results = [*kept, *config.aggregations]
    if config.outputs is None:
        outputs = tuple(dict.fromkeys([*available, *results]))
        return HitPlan(config, order, available, outputs, skipped)
    outputs = tuple(name for name in config.outputs if name not in skipped)
    for name in outputs:
        if name not in results and name not in available:
            known = ", ".join(sorted({*results, *available}))
            raise ConfigError(f"{config.where}: outputs: {table} has no {name!r}; results and columns are: {known}")
    needed = {name for op in order for name in op.inputs if name not in kept or name == op.name}
    needed |= (set(outputs) | bits) - set(results) - set(skipped)
    return HitPlan(config, order, tuple(name for name in available if name in needed), outputs, skipped)


def _drop_optional(
    config: HitConfig, columns: frozenset[str], table: str
) -> tuple[dict[str, Operation], dict[str, str]]:
    """Leave out optional operations with absent inputs, and whatever optional depends on them."""
    kept, skipped = dict(config.operations), dict[str, str]()
    changed = True
    while changed:
        changed = False
        for operation in list(kept.values()):
            absent = sorted(_absent_inputs(operation, kept, columns))
            if not absent:
                continue
            if not operation.optional:
                raise ConfigError(
                    f"{operation.where}: {table}: {absent[0]!r} in {operation.expression.text!r} is no parameter, "
                    f"operation or column; columns: {', '.join(sorted(columns))}. Correct the name, or set "
                    f"'optional: true' to leave the operation out where the column is absent"
                )
            skipped[operation.name] = f"{absent[0]} is absent"
            del kept[operation.name]
            changed = True
    return kept, skipped


def _absent_inputs(operation: Operation, kept: Mapping[str, Operation], columns: frozenset[str]) -> set[str]:
    others = set(kept) - {operation.name}
    return {name for name in operation.inputs if name not in others and name not in columns}


def _sort(operations: Mapping[str, Operation], where: str) -> list[str]:
    """Return the names so that each operation comes after those it needs, otherwise in written order."""
    order: list[str] = []
    done: set[str] = set()
    for first in operations:
        path = [first]
        while path:
            name = path[-1]
            waiting = [n for n in operations if n in operations[name].inputs and n not in done and n != name]
            if name in done or not waiting:
                path.pop()
                if name not in done:
                    done.add(name)
                    order.append(name)
                continue
            if waiting[0] in path:
                cycle = " -> ".join([*path[path.index(waiting[0]) :], waiting[0]])
                raise ConfigError(f"{where}: operations need each other in a circle: {cycle}; break the circle")
            path.append(waiting[0])
    return order


def run_hit(plan: HitPlan, inputs: Mapping[str, Column], n_rows: int, table: str) -> Table:
    """Compute a hit table.

    Parameters
    ----------
    plan : of :func:`plan_hit`
    inputs : the columns ``plan.reads``, each of n_rows rows
    table : name of the dsp table, for messages
    """
    columns = dict(inputs)
    for operation in plan.order:
        columns[operation.name] = _run(operation, columns, n_rows, f"{operation.where}: {table}")
    for name, bits in plan.config.aggregations.items():
        columns[name] = pack_bits(columns, bits, n_rows, f"{plan.config.where}: aggregations.{name}: {table}")
    return Table({name: columns[name] for name in plan.outputs})


def _run(operation: Operation, columns: Mapping[str, Column], n_rows: int, where: str) -> Column:
    rows = {name: operand(columns[name], name, where) for name in operation.inputs}
    values = evaluate(operation.expression, rows, operation.parameters, n_rows, where)
    attrs = dict(operation.attrs)
    source = operation.expression.text.strip()
    if source in rows:  # a renamed column keeps its units
        attrs = {**columns[source].attrs, **attrs}
    return as_column(values, attrs)


def pack_bits(columns: Mapping[str, Column], bits: tuple[str, ...], n_rows: int, where: str) -> Array:
    """Pack flags into one unsigned integer per row; bit i is column ``bits[i]``, 0 where that column is absent.

    Raises
    ------
    ConfigError : if a column is not one flag per row
    """
    n_bytes = next(n for n in (1, 2, 4, 8) if 8 * n >= len(bits))
    packed = np.zeros(n_rows, f"<u{n_bytes}")
    for i, name in enumerate(bits):
        if name not in columns:
            continue
        column = columns[name]
        if not isinstance(column, Array) or column.values.ndim != 1 or column.values.dtype.kind not in "biu":
            found = f"{column.values.dtype} {column.values.shape}" if isinstance(column, Array) else "ragged"
            raise ConfigError(f"{where}: {name!r} is {found}, expected one bool per row")
        packed |= (column.values != 0).astype(packed.dtype) << packed.dtype.type(i)
    return Array(packed, {"bit_names": ",".join(bits)})
