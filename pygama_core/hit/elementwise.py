"""Evaluate an expression row by row on plain and ragged columns.

Ragged operands must have the same lengths in every row; per-row operands are repeated for each element of the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from pygama_core.errors import ExpressionError
from pygama_core.expression import Expression
from pygama_core.lh5.types import Array, Column, Table, VectorOfVectors

Operand: TypeAlias = "np.ndarray | VectorOfVectors"


def operand(column: Column, name: str, where: str) -> Operand:
    """Return what an expression computes with: a plain column's values, a ragged column itself."""
    if isinstance(column, Array):
        return column.values
    if isinstance(column, VectorOfVectors):
        return column
    if isinstance(column, Table):
        raise ExpressionError(f"{where}: {name!r} is a table of columns; name one of its columns: {', '.join(column)}")
    raise ExpressionError(f"{where}: {name!r} holds encoded waveforms; read it decoded to compute with it")


def evaluate(
    expression: Expression,
    rows: Mapping[str, Operand],
    constants: Mapping[str, Any],
    n_rows: int,
    where: str,
) -> Operand:
    """Evaluate ``expression`` for every row, or for every element if an operand is ragged.

    Parameters
    ----------
    rows : operands with n_rows rows: (n_rows, ...) arrays or ragged
    constants : numbers or arrays that do not depend on the row
    where : configuration file and key, for messages

    Returns
    -------
    (n_rows, ...) array, or a ragged column of the operands' lengths

    Raises
    ------
    ExpressionError : if ragged operands differ in length, or the result has another number of rows
    """
    offsets: list[np.ndarray] = []
    operands = dict(rows)
    while any(isinstance(values, VectorOfVectors) for values in operands.values()):
        ends, operands = _open_rows(operands, where)
        offsets.append(ends)
    n_elements = int(offsets[-1][-1]) if offsets and len(offsets[-1]) else (0 if offsets else n_rows)
    precise = any(isinstance(value, float) for value in constants.values())
    arrays = _match_dimensions({name: _widen(np.asarray(values), precise) for name, values in operands.items()})
    result = np.asarray(expression.evaluate({**arrays, **constants}))
    if result.ndim == 0:
        result = np.full(n_elements, result)
    if len(result) != n_elements:
        raise ExpressionError(f"{where}: result of {len(result)} rows, expected {n_elements}: one for each input row")
    return _close_rows(result, offsets)


def _open_rows(operands: dict[str, Operand], where: str) -> tuple[np.ndarray, dict[str, Operand]]:
    """Go one level down: flatten the ragged operands and repeat the others."""
    ragged = {name: values for name, values in operands.items() if isinstance(values, VectorOfVectors)}
    first, *others = ragged
    ends = ragged[first].cumulative_length
    for other in others:
        if not np.array_equal(ragged[other].cumulative_length, ends):
            row = int(np.flatnonzero(ragged[other].lengths != ragged[first].lengths)[0])
            raise ExpressionError(
                f"{where}: in row {row} {first!r} has {ragged[first].lengths[row]} elements and {other!r} has "
                f"{ragged[other].lengths[row]}; ragged columns in one expression must have equal lengths"
            )
    lengths = ragged[first].lengths
    n_elements = int(ends[-1]) if len(ends) else 0
    opened: dict[str, Operand] = {}
    for name, values in operands.items():
        if isinstance(values, VectorOfVectors):
            flat = values.flattened_data
            opened[name] = flat.rows(slice(0, n_elements)) if isinstance(flat, VectorOfVectors) else flat[:n_elements]
        else:
            opened[name] = np.repeat(values, lengths, axis=0)
    return ends, opened


def _widen(values: np.ndarray, precise: bool) -> np.ndarray:
    """Compute in float64 where a parameter is a float: calibrated energies have more digits than float32 has."""
    return values.astype(np.float64) if precise and values.dtype == np.float32 else values


def _match_dimensions(operands: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Give per-row operands trailing axes of length 1 beside operands with more dimensions."""
    n_dims = max((values.ndim for values in operands.values()), default=1)
    return {name: values.reshape(values.shape + (1,) * (n_dims - values.ndim)) for name, values in operands.items()}


def _close_rows(result: Any, offsets: list[np.ndarray]) -> Operand:
    for ends in reversed(offsets):
        result = VectorOfVectors(result, ends)
    closed: Operand = result
    return closed


def as_column(values: Operand, attrs: Mapping[str, Any]) -> Array | VectorOfVectors:
    """Make a column of evaluated values."""
    if isinstance(values, VectorOfVectors):
        return VectorOfVectors(values.flattened_data, values.cumulative_length, dict(attrs))
    return Array(values, dict(attrs))
