"""Read LH5 objects: whole, some columns, some rows; from one file or from many as if they were one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from fnmatch import filter as fnmatch_filter
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np
from h5py import h5i

from pygama_core.errors import LH5Error
from pygama_core.lh5 import journal, objects
from pygama_core.lh5.handle import FileHandle
from pygama_core.lh5.joining import join
from pygama_core.lh5.node import Node, root_node
from pygama_core.lh5.rows import Rows, select
from pygama_core.lh5.types import Attrs, View

PathLike: TypeAlias = "str | os.PathLike[str]"
Files: TypeAlias = "PathLike | Sequence[PathLike]"


class Reader:
    """An open LH5 file, for many reads; use as a context manager.

    Parameters
    ----------
    path
        the file
    n_threads
        threads that decode; default: the number of cores this process may use

    Raises
    ------
    LH5Error
        if the file is missing or is no HDF5 file
    """

    def __init__(self, path: PathLike, n_threads: int | None = None) -> None:
        self.path = Path(path)
        journal.recover(self.path)
        self._handle = FileHandle(self.path, n_threads or len(os.sched_getaffinity(0)))
        self._groups: dict[str, Node] = {}  # opened so far

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the reader is of no more use."""
        self._handle.close()

    def ls(self, pattern: str = "*") -> list[str]:
        """Return the sorted names that match a pattern such as ``ch*/raw``, one wildcard part per group level."""
        found = [""]
        with self._guarded(pattern):
            for part in pattern.strip("/").split("/"):
                found = [f"{parent}/{name}".strip("/") for parent in found for name in self._matching(parent, part)]
        return sorted(found)

    def _matching(self, parent: str, part: str) -> list[str]:
        group = self._find(parent)
        return fnmatch_filter(group.names(), part) if group is not None and group.is_group else []

    def exists(self, name: str) -> bool:
        """Whether an object of this name is in the file."""
        with self._guarded(name):
            return self._find(_normal(name)) is not None

    def n_rows(self, name: str) -> int:
        """Return the number of rows of an array, ragged vector or table."""
        with self._guarded(name):
            return objects.n_rows(self.node(name))

    def has_rows(self, name: str) -> bool:
        """Whether an object has rows: it is neither scalar, struct nor histogram."""
        with self._guarded(name):
            return objects.has_rows(self.node(name))

    def attrs(self, name: str) -> Attrs:
        """Return the attributes of an object, without ``datatype``."""
        return self.node(name).attrs

    def datatype(self, name: str) -> str:
        """Return the datatype of an object: as stored, or inferred where the file has none."""
        return self.node(name).datatype

    def view(self, name: str) -> View:
        """Return what a view shows, without reading it; raise LH5Error if the object is no view."""
        node = self.node(name)
        if not node.datatype.startswith("view{"):
            raise LH5Error(f"{node.where} is a {node.datatype}, not a view")
        with self._guarded(name):
            link = self._handle.hdf5.get(f"{name}/data", getlink=True)
            target = getattr(link, "path", None) or h5i.get_name(node.child("data").oid).decode()
            entries = np.asarray(node.child("entries").value())
        return View(target.strip("/"), entries, getattr(link, "filename", ""), node.attrs)

    def read(self, name: str, *, columns: Sequence[str] | None = None, rows: Rows = None, decode: bool = True) -> Any:
        """Read one object; see :func:`read`."""
        try:
            with self._guarded(name):
                found = objects.read_object(self._handle, self.node(name), rows, columns, decode=decode)
        except LH5Error:
            self._handle.require_unchanged()  # which would explain it better
            raise
        self._handle.require_unchanged()
        return found

    def node(self, name: str) -> Node:
        """Open an object; raise LH5Error if it is missing."""
        with self._guarded(name):
            node = self._find(_normal(name))
            if node is None:
                raise LH5Error(f"{self.path}: no object {name!r}; {self._what_is_there(_normal(name))}")
            return node

    @contextlib.contextmanager
    def _guarded(self, name: str) -> Iterator[None]:
        """Turn what HDF5 and NumPy say of damaged metadata into an error of ours."""
        try:
            yield
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError, OverflowError) as error:
            raise LH5Error(f"{self.path}: {name!r}: HDF5 cannot read it ({error}); the file is damaged") from error

    def _what_is_there(self, name: str) -> str:
        """Return what the lowest group of a path that exists holds."""
        parent = name.rpartition("/")[0]
        while (group := self._find(parent)) is None or not group.is_group:
            parent = parent.rpartition("/")[0]
        known = ", ".join(group.names()[:20]) or "none"
        more = ", …" if len(group.names()) > 20 else ""
        return f"{f'in {parent}' if parent else 'at the top of the file'} are: {known}{more}"

    def _find(self, name: str) -> Node | None:
        """Open an object, level by level; None if it is missing."""
        if name in self._groups:
            return self._groups[name]
        node = root_node(self._handle) if not name else self._find_member(*name.rpartition("/")[::2])
        if node is not None and node.is_group:
            self._groups[name] = node
        return node

    def _find_member(self, parent: str, name: str) -> Node | None:
        group = self._find(parent)
        if group is None or not group.is_group or not group.has(name):
            return None
        if group.addresses[name] is None and not group.leads_somewhere(name):
            return None
        return group.child(name)


def _normal(name: str) -> str:
    """Return a name without empty levels."""
    return "/".join(part for part in name.split("/") if part)


def paths(files: Files) -> list[Path]:
    """Return the files of a path, a pattern such as ``run/*.lh5``, or a list of these; LH5Error if there are none."""
    if isinstance(files, str | os.PathLike):
        text = os.fspath(files)
        if not set(text) & set("*?[") or Path(text).exists():
            return [Path(text)]
        import glob

        found = [Path(path) for path in sorted(glob.glob(text))]
        if not found:
            raise LH5Error(f"{text}: no such files")
        return found
    listed = [path for item in files for path in paths(item)]
    if not listed:
        raise LH5Error("no files to read: the list is empty")
    return listed


def read(
    path: Files, name: str, *, columns: Sequence[str] | None = None, rows: Rows = None, decode: bool = True
) -> Any:
    """Read one LH5 object.

    Parameters
    ----------
    path, name
        file and name of the object inside, such as ``ch1104000/raw``. Several files, or a pattern such as
        ``run/*.lh5``, are read as one object; row numbers then count through all of them
    columns
        names of the columns of a table or members of a struct to read; None reads all. ``a/b`` reaches into nested
        tables, ``*``, ``?`` and ``[...]`` match as in file names, a leading ``!`` leaves out
    rows
        a slice, row numbers (any order, duplicates allowed), a boolean mask, or (n, 2) half-open ranges; None reads all
    decode
        whether encoded waveforms are decoded; if not they come back as EncodedArray

    Returns
    -------
    Array, VectorOfVectors, EncodedArray, Table, Struct, Scalar or Histogram; a view gives the rows it shows

    Raises
    ------
    LH5Error
        if file, object or column is missing, or stored in a way this reader does not know
    """
    files = paths(path)
    if len(files) == 1:
        with Reader(files[0]) as file:
            return file.read(name, columns=columns, rows=rows, decode=decode)
    if rows is None:
        return join([read(file, name, columns=columns, decode=decode) for file in files])
    return _read_global_rows(files, name, columns, rows, decode)


def _read_global_rows(files: list[Path], name: str, columns: Sequence[str] | None, rows: Rows, decode: bool) -> Any:
    bounds = np.concatenate([[0], np.cumsum([n_rows(file, name) for file in files])])
    selection = select(rows, int(bounds[-1]), f"{files[0]} … {files[-1]}: {name}")
    if isinstance(selection, slice):
        local = [
            slice(*np.clip([selection.start, selection.stop] - low, 0, high - low)) for low, high in pairwise(bounds)
        ]
        touched = [k for k, part in enumerate(local) if part.start < part.stop] or [0]
        return join([read(files[k], name, columns=columns, rows=local[k], decode=decode) for k in touched])
    owner = np.searchsorted(bounds, selection, side="right") - 1
    order = np.argsort(owner, kind="stable")
    parts = [
        read(files[k], name, columns=columns, rows=selection[owner == k] - bounds[k], decode=decode)
        for k in np.unique(owner)
    ]
    return join(parts).rows(np.argsort(order, kind="stable"))


def ls(path: PathLike, pattern: str = "*") -> list[str]:
    """Return the sorted names in a file that match a pattern such as ``ch*/raw``."""
    with Reader(path) as file:
        return file.ls(pattern)


def exists(path: PathLike, name: str) -> bool:
    """Whether the file holds an object of this name."""
    with Reader(path) as file:
        return file.exists(name)


def n_rows(path: Files, name: str) -> int:
    """Return the number of rows of an object in a file, or in several together."""
    total = 0
    for file in paths(path):
        with Reader(file) as reader:
            total += reader.n_rows(name)
    return total
