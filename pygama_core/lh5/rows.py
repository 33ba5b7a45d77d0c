"""Which rows: slices, row numbers, masks and ranges brought to one of two forms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from pygama_core.errors import LH5Error

Rows: TypeAlias = "slice | np.ndarray | Sequence[int] | None"
Selection: TypeAlias = "slice | np.ndarray"  # slice(start, stop) with 0 <= start <= stop, or (n,) int64 row numbers


def select(rows: Rows, total: int, where: str) -> Selection:
    """Bring a row selection to ``slice(start, stop)`` or (n,) int64 row numbers in the order wanted.

    Parameters
    ----------
    rows
        None for all; a slice as for a list; row numbers in any order, with duplicates; a boolean mask of ``total``
        rows; or (n, 2) half-open ranges of rows
    total
        number of rows there are
    where
        names the object in errors

    Raises
    ------
    LH5Error
        for a mask of another length, rows that are not there, and numbers that are not integers
    """
    if rows is None:
        return slice(0, total)
    if isinstance(rows, slice):
        start, stop, step = rows.indices(total)
        return slice(start, max(start, stop)) if step == 1 else np.arange(start, stop, step)
    index = np.asarray(rows)
    if index.dtype == bool and index.ndim == 1:
        if len(index) != total:
            raise LH5Error(f"{where}: mask of {len(index)} rows for {total} rows")
        return _as_slice(np.flatnonzero(index))
    if index.size == 0:
        return slice(0, 0)
    if index.dtype.kind not in "iu" or not (index.ndim == 1 or (index.ndim == 2 and index.shape[1] == 2)):
        raise LH5Error(
            f"{where}: rows of {index.dtype} {index.shape}; need a slice, row numbers, a mask or (n, 2) ranges"
        )
    index = index.astype(np.int64)
    if index.ndim == 2:
        index = expand_ranges(index[:, 0], index[:, 1] - index[:, 0], where)
    if len(index) and (index.min() < 0 or index.max() >= total):
        raise LH5Error(f"{where}: row numbers {index.min()} … {index.max()} outside 0 … {total - 1}")
    return _as_slice(index)


def _as_slice(index: np.ndarray) -> Selection:
    if not len(index):
        return slice(0, 0)
    first, last = int(index[0]), int(index[-1])
    is_run = last - first + 1 == len(index) and bool(np.all(np.diff(index) == 1))
    return slice(first, last + 1) if is_run else index


def expand_ranges(starts: np.ndarray, lengths: np.ndarray, where: str = "ranges") -> np.ndarray:
    """Return the row numbers of ranges one after another; raise LH5Error for a negative length."""
    if len(lengths) and lengths.min() < 0:
        raise LH5Error(f"{where}: a range of rows ends before it starts")
    ends = np.cumsum(lengths, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    rows: np.ndarray = np.arange(total, dtype=np.int64) + np.repeat(starts - (ends - lengths), lengths)
    return rows


def n_selected(selection: Selection) -> int:
    """Return the number of rows selected."""
    return selection.stop - selection.start if isinstance(selection, slice) else len(selection)


def compose(outer: Selection, inner: Selection) -> Selection:
    """Return the rows ``inner`` of the rows ``outer``."""
    if isinstance(outer, slice) and isinstance(inner, slice):
        return slice(outer.start + inner.start, outer.start + inner.stop)
    if isinstance(outer, slice):
        shifted: np.ndarray = inner + outer.start
        return shifted
    return _as_slice(outer[inner])
