"""What is in an LH5 file: its tree, the size and compression of each object, statistics of columns."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import h5py
import numpy as np

from pygama_core.errors import LH5Error
from pygama_core.lh5 import datatypes
from pygama_core.lh5.direct import read_by_hdf5
from pygama_core.lh5.journal import recover
from pygama_core.lh5.reader import Reader
from pygama_core.lh5.types import Array, Scalar, Struct, Table, VectorOfVectors

Kind: TypeAlias = Literal["scalar", "array", "ragged", "encoded", "table", "struct", "view", "group", "dataset"]
LEAVES: tuple[Kind, ...] = ("scalar", "array", "ragged", "encoded", "dataset")
BLOCK_BYTES = 16 << 20


def datatype_of(obj: h5py.Group | h5py.Dataset) -> str:
    """Return the ``datatype`` attribute, or an empty text if the object has none."""
    value = obj.attrs.get("datatype", "")
    return (value.decode(errors="replace") if isinstance(value, bytes) else str(value)).strip()


def kind_of(obj: h5py.Group | h5py.Dataset) -> Kind:
    """Return what an HDF5 object is in LH5; judged by its members where the ``datatype`` is missing."""
    if isinstance(obj, h5py.Dataset):
        if not datatype_of(obj):
            return "dataset"
        return "array" if obj.shape else "scalar"
    datatype = datatype_of(obj)
    match = datatypes.COMPOSITE.fullmatch(datatype)
    if match is not None:
        return "table" if match["kind"] == "table" else "struct"
    if "cumulative_length" in obj and "flattened_data" in obj:
        return "ragged"
    if "encoded_data" in obj and "decoded_size" in obj:
        return "encoded"
    return "view" if datatype.startswith("view{") else "group"


def n_rows_of(obj: h5py.Group | h5py.Dataset) -> int | None:
    """Return the number of rows; None for what has none."""
    if isinstance(obj, h5py.Dataset):
        return int(obj.shape[0]) if obj.shape else None
    kind = kind_of(obj)
    if kind == "ragged":
        return int(obj["cumulative_length"].shape[0])
    if kind == "encoded":
        return n_rows_of(obj["encoded_data"])
    if kind == "table":
        return next((n_rows_of(obj[name]) for name in obj), 0)
    if kind == "view":
        entries = obj["entries"]
        return int(np.diff(entries[:], axis=1).sum()) if entries.ndim == 2 else len(entries)
    return None


def walk(group: h5py.Group, prefix: str = "") -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
    """Yield (name, object) of all LH5 objects below a group, parents first, by name; soft links are not followed.

    The members of ragged, encoded and view objects belong to these and do not appear.
    """
    for name in sorted(group):
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        obj = group[name]
        yield prefix + name, obj
        if kind_of(obj) in ("table", "struct", "group"):
            yield from walk(obj, f"{prefix}{name}/")


@dataclass(frozen=True)
class Entry:
    """One object of a file."""

    name: str
    kind: Kind
    datatype: str
    dtype: str  # of the stored numbers; empty for groups
    shape: tuple[int, ...]  # rows first; ragged and encoded objects: rows only
    units: str
    stored_bytes: int  # in the file, without HDF5's own bookkeeping; groups: all members
    plain_bytes: int  # uncompressed
    filters: str
    chunks: tuple[int, ...] | None
    target: str = ""  # of a soft or external link

    @property
    def ratio(self) -> float:
        """Uncompressed over stored size; 1 for what takes no space."""
        return self.plain_bytes / self.stored_bytes if self.stored_bytes else 1.0


FILTER_NAMES = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf"} | {
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32015: "zstd",
    32026: "blosc2",
}


def filters_of(dataset: h5py.Dataset) -> str:
    """Return the names of the filters of a dataset in the order in which they are applied."""
    plist = dataset.id.get_create_plist()
    numbers = [plist.get_filter(index)[0] for index in range(plist.get_nfilters())]
    return "+".join(FILTER_NAMES.get(number, str(number)) for number in numbers)


def need_filters(dataset: h5py.Dataset) -> None:
    """Load the plugins that reading and writing a dataset needs; raise LH5Error if one is not installed."""
    if dataset.chunks is not None and dataset.shape:
        read_by_hdf5(dataset.id, f"{dataset.file.filename}: {dataset.name}", slice(0, 0))


@dataclass(frozen=True)
class _Size:
    """Bytes of an object: as stored, and uncompressed."""

    stored: int
    plain: int


def entries(path: str | os.PathLike[str]) -> list[Entry]:
    """Return all objects of a file, parents first, by name.

    Raises
    ------
    LH5Error
        if the file is missing or is no HDF5 file
    """
    found: list[Entry] = []
    with open_hdf5(path) as file:
        _scan(file, "", found)
    return sorted(found, key=lambda entry: entry.name.split("/"))


def _scan(group: h5py.Group, prefix: str, found: list[Entry]) -> _Size:
    """Add the entries of all members of a group; return their size."""
    sizes = []
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            found.append(_link(prefix + name, f"{link.filename}:{link.path}"))
        elif isinstance(link, h5py.SoftLink):
            found.append(_link(prefix + name, link.path))
        else:
            obj = group[name]
            kind = kind_of(obj)
            is_group = kind not in LEAVES
            size = _scan(obj, f"{prefix}{name}/", found) if is_group else _leaf_size(obj, kind)
            found.append(_entry(prefix + name, obj, kind, size))
            sizes.append(size)
    return _Size(sum(size.stored for size in sizes), sum(size.plain for size in sizes))


def _leaf_size(obj: h5py.Group | h5py.Dataset, kind: Kind) -> _Size:
    if isinstance(obj, h5py.Dataset):
        return _Size(obj.id.get_storage_size(), obj.nbytes)
    parts = [_leaf_size(obj[name], "ragged") for name in obj]
    stored, plain = sum(part.stored for part in parts), sum(part.plain for part in parts)
    if kind == "encoded":
        size = obj["decoded_size"]
        samples = int(size[()]) * (n_rows_of(obj) or 0) if not size.shape else int(np.sum(size[()]))
        plain = 2 * samples  # the type of the samples is not stored; 16 bit is what digitisers give
    return _Size(stored, plain)


def _entry(name: str, obj: h5py.Group | h5py.Dataset, kind: Kind, size: _Size) -> Entry:
    rows = None if kind in ("struct", "group") else n_rows_of(obj)
    units = obj.attrs.get("units", "")
    values = _values_dataset(obj, kind)
    codec = str(obj.attrs.get("codec", "")) if kind == "encoded" else ""
    shape: tuple[int, ...] = () if rows is None else (rows,)
    return Entry(
        name,
        kind,
        datatype_of(obj),
        "" if values is None else _dtype_name(values.dtype),
        tuple(obj.shape) if isinstance(obj, h5py.Dataset) else shape,
        units.decode() if isinstance(units, bytes) else str(units),
        size.stored,
        size.plain,
        codec or ("" if values is None else filters_of(values)),
        None if values is None else values.chunks,
    )


def _values_dataset(obj: h5py.Group | h5py.Dataset, kind: Kind) -> h5py.Dataset | None:
    """Return the dataset that holds an object's numbers; None for groups."""
    while isinstance(obj, h5py.Group):
        inner = {"ragged": "flattened_data", "encoded": "encoded_data"}.get(kind)
        if inner is None:
            return None
        obj, kind = obj[inner], "ragged"
    return obj


def _link(name: str, target: str) -> Entry:
    return Entry(name, "group", "", "", (), "", 0, 0, "", None, target)


def _dtype_name(dtype: np.dtype) -> str:
    return "string" if dtype.kind in "OSU" else str(dtype)


def open_hdf5(path: str | os.PathLike[str]) -> h5py.File:
    """Open a file for reading, without locking; raise LH5Error if it is missing or is no HDF5 file."""
    recover(path)
    try:
        return h5py.File(path, "r", locking=False)
    except FileNotFoundError as error:
        raise LH5Error(f"{path}: no such file") from error
    except (OSError, RuntimeError) as error:
        if os.path.isdir(path):
            raise LH5Error(f"{path}: is a directory, not a file") from error
        raise LH5Error(f"{path}: not a readable HDF5 file ({error}); truncated, or another format") from error


@dataclass(frozen=True)
class ColumnStatistics:
    """Statistics of the numbers of one column; ragged columns and waveforms: of all their elements."""

    name: str
    dtype: str
    units: str
    n_rows: int
    n_values: int
    n_nan: int
    minimum: float
    maximum: float
    mean: float  # of the values that are not NaN
    std: float  # standard deviation of the same, with 1 / n


def describe(path: str | os.PathLike[str], name: str, *, block_rows: int = 1 << 16) -> list[ColumnStatistics]:
    """Return statistics of every numeric column of a table, or of one column, reading block by block.

    Parameters
    ----------
    path, name
        file, and table or column inside
    block_rows
        rows to read at once

    Raises
    ------
    LH5Error
        if the object is missing or has no rows
    """
    with Reader(path) as file:
        total = file.n_rows(name)
        sums: dict[str, _Sums] = {}
        for first in range(0, max(total, 1), block_rows):
            block = file.read(name, rows=slice(first, min(first + block_rows, total)))
            for column, values, attrs in flat_values(block, name.strip("/") if not isinstance(block, Table) else ""):
                sums.setdefault(column, _Sums(column, _dtype_name(values.dtype), str(attrs.get("units", "")))).add(
                    values
                )
    return [column.statistics(total) for column in sums.values()]


def flat_values(obj: Any, name: str = "") -> Iterator[tuple[str, np.ndarray, dict[str, Any]]]:
    """Yield (column name, all its numbers, attributes) of every column of a table, nested ones as ``a/b``."""
    if isinstance(obj, Table | Struct):
        members = obj.columns if isinstance(obj, Table) else obj.members
        for member, column in members.items():
            yield from flat_values(column, f"{name}/{member}".strip("/"))
    elif isinstance(obj, VectorOfVectors):
        values: Any = obj
        while isinstance(values, VectorOfVectors):
            values = values.flattened_data
        yield name, values, dict(obj.attrs)
    elif isinstance(obj, Array):
        yield name, obj.values, dict(obj.attrs)
    elif isinstance(obj, Scalar):
        yield name, np.asarray([obj.value]), dict(obj.attrs)


@dataclass
class _Sums:
    """Running count, mean and sum of squared deviations. Source: Chan, Golub, LeVeque, STAN-CS-79-773 (1979)."""

    name: str
    dtype: str
    units: str
    n_values: int = 0
    n_nan: int = 0
    minimum: float = np.nan
    maximum: float = np.nan
    mean: float = 0.0
    squares: float = 0.0

    def add(self, values: np.ndarray) -> None:
        self.n_values += values.size
        if values.dtype.kind not in "biuf":
            return
        good = values[~np.isnan(values)] if values.dtype.kind == "f" else values.ravel()
        self.n_nan += values.size - good.size
        if not good.size:
            return
        n_before = self.n_values - self.n_nan - good.size
        with np.errstate(invalid="ignore", over="ignore"):  # an infinite value makes mean and deviation NaN or infinite
            mean = float(good.mean(dtype=np.float64))
            squares = float(np.square(good - mean, dtype=np.float64).sum())
            step = mean - self.mean
            n = n_before + good.size
            self.mean += step * good.size / n
            self.squares += squares + step * step * n_before * good.size / n
        self.minimum = float(np.fmin(self.minimum, good.min()))
        self.maximum = float(np.fmax(self.maximum, good.max()))

    def statistics(self, n_rows: int) -> ColumnStatistics:
        n = self.n_values - self.n_nan
        empty = np.isnan(self.minimum)
        mean = np.nan if empty else self.mean
        std = np.nan if empty else float(np.sqrt(self.squares / n))
        extremes = (self.minimum, self.maximum)
        return ColumnStatistics(
            self.name, self.dtype, self.units, n_rows, self.n_values, self.n_nan, *extremes, mean, std
        )
