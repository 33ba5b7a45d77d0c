"""From values per hit to values per event: pure functions on flat arrays.

"Hit order" is by event, then by the channel's place in its group, then by time: the order of gathered lists, and the
one that decides between equals.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.errors import EventError
from pygama_core.hit.elementwise import Operand
from pygama_core.lh5.types import VectorOfVectors


def segment_reduce(ufunc: np.ufunc, values: np.ndarray, lengths: np.ndarray, empty: Any, dtype: Any) -> np.ndarray:
    """Reduce consecutive segments of ``values``.

    Parameters
    ----------
    ufunc : such as np.add
    values : (n,) of all segments, one after another
    lengths : (n_segments,) elements of each
    empty : result of a segment without elements
    dtype : of the computation and the result

    Returns
    -------
    results : (n_segments,) dtype
    """
    results = np.full(len(lengths), empty, dtype)
    filled = lengths > 0
    starts = np.cumsum(lengths) - lengths
    if filled.any():
        results[filled] = ufunc.reduceat(values.astype(dtype, copy=False), starts[filled])
    return results


def truth(values: np.ndarray) -> np.ndarray:
    """Return values as flags; NaN, the sign of a missing result, is False."""
    return values if values.dtype == bool else (values != 0) & (values == values)


def sum_type(dtype: np.dtype) -> np.dtype:
    """Return the dtype of a sum: floats keep theirs, integers and flags become 64 bit wide."""
    if dtype.kind == "f":
        return dtype
    return np.dtype(np.uint64 if dtype.kind == "u" else np.int64)


def sum_hits(values: np.ndarray, lengths: np.ndarray, initial: Any) -> np.ndarray:
    """Return initial + the sum of each event's values; a NaN spoils its event.

    Floats are added in float64, whatever they are stored as.
    """
    dtype = sum_type(values.dtype)
    work = np.float64 if dtype.kind == "f" else dtype
    total = segment_reduce(np.add, values, lengths, 0, work).astype(dtype, copy=False)
    start = 0 if initial is None else initial
    summed: np.ndarray = total + np.asarray(start, fill_type(dtype, start))
    return summed


def any_hit(values: np.ndarray, lengths: np.ndarray, initial: Any) -> np.ndarray:
    """Return whether ``initial`` (False) or any hit is true."""
    found = segment_reduce(np.logical_or, truth(values), lengths, False, bool)
    return found | bool(initial)


def all_hits(values: np.ndarray, lengths: np.ndarray, initial: Any) -> np.ndarray:
    """Return whether ``initial`` (True) and all hits are true."""
    found = segment_reduce(np.logical_and, truth(values), lengths, True, bool)
    return found & (initial is None or bool(initial))


def extreme_hit(key: np.ndarray, event: np.ndarray, n_events: int, *, last: bool) -> np.ndarray:
    """Find each event's hit with the smallest (largest) key; the earlier in hit order of equals.

    Parameters
    ----------
    key : (n_hits,) in hit order; a hit with a NaN cannot be found
    event : (n_hits,) ascending event numbers

    Returns
    -------
    place : (n_events,) number of the hit among ``key``, or -1
    """
    candidates = np.flatnonzero(key == key)
    place = np.full(n_events, -1)
    lengths = np.bincount(event[candidates], minlength=n_events)
    starts = (np.cumsum(lengths) - lengths)[lengths > 0]
    if len(starts):
        found = (np.maximum if last else np.minimum).reduceat(key[candidates], starts)
        matches = np.flatnonzero(key[candidates] == np.repeat(found, lengths[lengths > 0]))
        place[event[candidates][matches[::-1]]] = candidates[matches[::-1]]  # the earliest is written last
    return place


def sort_hits(key: np.ndarray, event: np.ndarray, *, descending: bool = False) -> np.ndarray:
    """Return the order by key within each event, stable; NaN comes last either way.

    Events with the same number of hits are sorted together, as the rows of one array.

    Parameters
    ----------
    key : (n_hits,)
    event : (n_hits,) ascending event numbers
    """
    if descending:
        key = -(key.astype(np.int64) if key.dtype.kind in "bu" else key)
    order = np.arange(len(key))
    starts = np.flatnonzero(np.diff(event, prepend=-1))
    lengths = np.diff(starts, append=len(key))
    for length in np.unique(lengths[lengths > 1]):
        rows = starts[lengths == length][:, np.newaxis] + np.arange(length)
        order[rows] = np.take_along_axis(rows, np.argsort(key[rows], axis=1, kind="stable"), axis=1)
    return order


def fill_type(dtype: np.dtype, initial: Any) -> np.dtype:
    """Return ``dtype`` if it can hold ``initial``, else float64."""
    value = np.asarray(initial)
    if dtype.kind == "f":
        return dtype
    if dtype.kind == "b" or value.dtype.kind == "b":
        return dtype if value.dtype.kind == dtype.kind else np.dtype(np.float64)
    if value.dtype.kind == "f" and (not np.isfinite(value) or value != np.trunc(value)):
        return np.dtype(np.float64)
    limits = np.iinfo(dtype)
    return dtype if limits.min <= value <= limits.max else np.dtype(np.float64)


def place_values(values: Operand, place: np.ndarray, initial: Any) -> Operand:
    """Return ``values[place]``, with ``initial``, or an empty row of a ragged column, where ``place`` is -1."""
    if isinstance(values, VectorOfVectors):
        ends = values.cumulative_length
        with_empty = VectorOfVectors(values.flattened_data, np.append(ends, ends[-1] if len(ends) else 0))
        return with_empty.rows(np.where(place < 0, len(ends), place))
    found = place >= 0
    result = np.full((len(place), *values.shape[1:]), initial, fill_type(values.dtype, initial))
    result[found] = values[place[found]]
    return result


def reduce_rows(values: Operand, how: str) -> np.ndarray:
    """Reduce the innermost axis of every row to one value: sum, count, any, all, min or max.

    Of no elements, the sum and count are 0, any is False, all is True, min and max are NaN; so integers become float.
    """
    if isinstance(values, VectorOfVectors):
        flat, lengths = values.flattened_data, values.lengths
        if isinstance(flat, VectorOfVectors):
            return reduce_rows(VectorOfVectors(reduce_rows(flat, how), values.cumulative_length), _outer(how))
        used = flat[: int(lengths.sum())]
    else:
        lengths = np.full(len(values), int(np.prod(values.shape[1:], dtype=int)))
        used = values.ravel()
    if how == "count":
        return lengths.astype(np.int64)
    if how == "sum":
        return sum_hits(used, lengths, 0)
    if how in ("any", "all"):
        return any_hit(used, lengths, False) if how == "any" else all_hits(used, lengths, True)
    dtype = used.dtype if used.dtype.kind == "f" else np.dtype(np.float64)
    return segment_reduce(np.minimum if how == "min" else np.maximum, used, lengths, np.nan, dtype)


def _outer(how: str) -> str:
    return "sum" if how == "count" else how


def cast_values(values: Operand, dtype: np.dtype, where: str) -> Operand:
    """Convert to a dtype.

    Raises
    ------
    EventError : if a value does not fit: a NaN or a number outside the range of an integer
    """
    if isinstance(values, VectorOfVectors):
        flat = cast_values(values.flattened_data, dtype, where)
        return VectorOfVectors(flat, values.cumulative_length)
    if dtype.kind in "iu" and values.dtype.kind in "iuf" and values.size:
        limits = np.iinfo(dtype)
        bad = ~((values >= limits.min) & (values <= limits.max))
        if bad.any():
            raise EventError(
                f"{where}.dtype: {int(bad.sum())} of {values.size} values do not fit {dtype}, the first is "
                f"{values[bad][0]}; set 'initial' to a number that fits, or choose another dtype"
            )
    return values.astype(dtype, copy=False)
