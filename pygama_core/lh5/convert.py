"""LH5 objects as NumPy, pandas, awkward, arrow, polars and hist objects; each package is imported when asked for."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from pygama_core.errors import LH5Error
from pygama_core.lh5.types import Array, Attrs, EncodedArray, Histogram, Table, VectorOfVectors


def _package(name: str, purpose: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise LH5Error(
            f"{purpose} needs the package {package}, which is not installed; pip install {package}"
        ) from error


def _decoded(obj: Any) -> Any:
    if isinstance(obj, EncodedArray):
        from pygama_core.lh5 import codecs

        return codecs.decode(obj)
    return obj


def _wrong(obj: Any, target: str) -> LH5Error:
    return LH5Error(f"a {type(obj).__name__} cannot be turned into {target}")


def flat_columns(table: Table, prefix: str = "") -> Iterator[tuple[str, Array | VectorOfVectors]]:
    """Yield names and columns; columns of nested tables are named ``outer_inner``."""
    for name, column in table.items():
        if isinstance(column, Table):
            yield from flat_columns(column, f"{prefix}{name}_")
        else:
            yield f"{prefix}{name}", _decoded(column)


def padded(column: VectorOfVectors, fill: Any = np.nan) -> np.ndarray:
    """Return ragged rows as (n_rows, longest row), short rows filled up; LH5Error for vectors of vectors of vectors."""
    flat = column.flattened_data
    if isinstance(flat, VectorOfVectors):
        raise LH5Error("vectors nested more than once cannot be padded to an array; use to_awkward")
    lengths = column.lengths
    dtype = np.result_type(flat.dtype, type(fill)) if flat.dtype.kind in "biuf" else flat.dtype
    out = np.full((len(column), int(lengths.max()) if len(lengths) else 0), fill, dtype)
    inside = np.arange(out.shape[1]) < lengths[:, np.newaxis]
    first, last = (int(column.starts[0]), int(column.cumulative_length[-1])) if len(column) else (0, 0)
    out[inside] = flat[first:last]
    return out


def to_numpy(obj: Any, fill: Any = np.nan) -> Any:
    """Return an array; for a table a dictionary of arrays. Ragged columns are padded with ``fill``."""
    obj = _decoded(obj)
    if isinstance(obj, Array):
        return obj.values
    if isinstance(obj, VectorOfVectors):
        return padded(obj, fill)
    if isinstance(obj, Table):
        return {name: to_numpy(column, fill) for name, column in flat_columns(obj)}
    if isinstance(obj, Histogram):
        return obj.weights, *(axis.bin_edges for axis in obj.axes)
    raise _wrong(obj, "NumPy arrays")


def to_pandas(obj: Any) -> Any:
    """Return a DataFrame of a table, a Series of a column.

    Text becomes str; rows that are arrays stay arrays, in a column of objects. ``attrs["units"]`` maps columns to
    units.
    """
    pandas = _package("pandas", "to_pandas")
    obj = _decoded(obj)
    if isinstance(obj, Table):
        columns = dict(flat_columns(obj))
        frame = pandas.DataFrame({name: _pandas_values(column) for name, column in columns.items()})
        frame.attrs["units"] = {name: c.attrs["units"] for name, c in columns.items() if "units" in c.attrs}
        return frame
    if isinstance(obj, Array | VectorOfVectors):
        series = pandas.Series(_pandas_values(obj))
        series.attrs.update(obj.attrs)
        return series
    raise _wrong(obj, "a pandas object")


def _pandas_values(column: Array | VectorOfVectors) -> Any:
    if isinstance(column, Array) and column.values.ndim == 1:
        return np.char.decode(column.values, "utf-8") if column.values.dtype.kind == "S" else column.values
    rows = np.empty(len(column), object)
    for i in range(len(column)):
        row = column.values[i] if isinstance(column, Array) else column[i]
        rows[i] = to_awkward(row).to_list() if isinstance(row, VectorOfVectors) else row
    return rows


def to_awkward(obj: Any) -> Any:
    """Return an awkward Array: records of a table, lists of a ragged column; units are a parameter ``units``."""
    awkward = _package("awkward", "to_awkward")
    content = _awkward_content(awkward.contents, awkward.index, _decoded(obj))
    return awkward.Array(content)


def _awkward_content(contents: Any, index: Any, obj: Any) -> Any:
    parameters = {"units": obj.attrs["units"]} if "units" in obj.attrs else None
    if isinstance(obj, Table):
        parts = [_awkward_content(contents, index, _decoded(obj[name])) for name in obj]
        return contents.RecordArray(parts, list(obj), length=obj.n_rows, parameters=parameters)
    if isinstance(obj, VectorOfVectors):
        offsets = index.Index64(np.concatenate([np.zeros(1, np.int64), obj.cumulative_length]))
        flat = obj.flattened_data
        inner = flat if isinstance(flat, VectorOfVectors) else Array(flat)
        return contents.ListOffsetArray(offsets, _awkward_content(contents, index, inner), parameters=parameters)
    if isinstance(obj, Array):
        if obj.values.dtype.kind == "S":
            return _awkward_text(contents, index, obj.values)
        return contents.NumpyArray(np.ascontiguousarray(obj.values), parameters=parameters)
    raise _wrong(obj, "an awkward Array")


def _awkward_text(contents: Any, index: Any, values: np.ndarray) -> Any:
    if values.ndim != 1:
        raise LH5Error(f"text of shape {values.shape} cannot be turned into an awkward Array; need one text per row")
    texts = values.tolist()
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in texts], dtype=np.int64)])
    letters = contents.NumpyArray(np.frombuffer(b"".join(texts), np.uint8), parameters={"__array__": "char"})
    return contents.ListOffsetArray(index.Index64(offsets), letters, parameters={"__array__": "string"})


def to_arrow(table: Table) -> Any:
    """Return a pyarrow Table; a column's attributes are its field's metadata, numbers as JSON."""
    arrow = _package("pyarrow", "to_arrow")
    if not isinstance(table, Table):
        raise _wrong(table, "an arrow Table")
    arrays, fields = [], []
    for name, column in table.items():
        array = _arrow_array(arrow, _decoded(column))
        arrays.append(array)
        fields.append(arrow.field(name, array.type, metadata=_metadata(column.attrs)))
    return arrow.Table.from_arrays(arrays, schema=arrow.schema(fields, metadata=_metadata(table.attrs)))


def _metadata(attrs: Attrs) -> dict[str, str] | None:
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in attrs.items()} or None


def _arrow_array(arrow: Any, obj: Any) -> Any:
    if isinstance(obj, Table):
        parts = {name: _arrow_array(arrow, _decoded(obj[name])) for name in obj}
        fields = [arrow.field(name, part.type, metadata=_metadata(obj[name].attrs)) for name, part in parts.items()]
        return arrow.StructArray.from_arrays(list(parts.values()), fields=fields)
    if isinstance(obj, VectorOfVectors):
        flat = obj.flattened_data
        inner = _arrow_array(arrow, flat if isinstance(flat, VectorOfVectors) else Array(flat))
        offsets = np.concatenate([np.zeros(1, np.int64), obj.cumulative_length])
        return arrow.LargeListArray.from_arrays(offsets, inner)
    if not isinstance(obj, Array):
        raise _wrong(obj, "an arrow array")
    values = obj.values
    flat_values = np.ascontiguousarray(values).reshape(-1)
    if values.dtype.kind == "S":
        array = arrow.array([text.decode(errors="replace") for text in flat_values.tolist()], arrow.string())
    elif values.dtype.kind == "c":
        raise LH5Error(f"{values.dtype} values cannot be turned into an arrow array; arrow has no complex numbers")
    else:
        array = arrow.array(flat_values)
    for n in reversed(values.shape[1:]):
        array = arrow.FixedSizeListArray.from_arrays(array, n)
    return array


def to_polars(table: Table) -> Any:
    """Return a polars DataFrame; by way of arrow, which shares the memory."""
    polars = _package("polars", "to_polars")
    return polars.from_arrow(to_arrow(table))


def to_hist(histogram: Histogram) -> Any:
    """Return a hist.Hist with the histogram's weights; units become the axes' labels.

    Raises
    ------
    LH5Error
        if bins are closed on the right, which hist does not have
    """
    hist = _package("hist", "to_hist")
    if not isinstance(histogram, Histogram):
        raise _wrong(histogram, "a hist.Hist")
    axes = []
    for k, axis in enumerate(histogram.axes):
        if not axis.closed_left:
            raise LH5Error(f"axis {k} has bins closed on the right; hist has only bins closed on the left")
        label = str(axis.attrs.get("units", ""))
        if isinstance(axis.edges, tuple):
            made = hist.axis.Regular(axis.n_bins, axis.edges[0], axis.edges[1], label=label, flow=False)
        else:
            made = hist.axis.Variable(axis.edges, label=label, flow=False)
        axes.append(made)
    result = hist.Hist(*axes, storage=hist.storage.Double())
    result[...] = histogram.weights
    return result
