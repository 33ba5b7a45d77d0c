"""Change an existing LH5 file: each edit happens wholly or leaves the file as it was, also when the process is killed.

A small file is copied (cloned where the file system can), the copy is changed and renamed over the file: other
processes see the old or the new file. A file larger than :data:`IN_PLACE_BYTES` is changed in place under a journal
(:mod:`pygama_core.lh5.journal`), because copying it would take longer than the edit.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pygama_core.errors import LH5Error
from pygama_core.lh5 import integrity, journal
from pygama_core.lh5.datatypes import COMPOSITE, composite_datatype
from pygama_core.lh5.growth import append_rows, check_same_rows, replace_rows
from pygama_core.lh5.inspect import datatype_of, kind_of
from pygama_core.lh5.types import Array, Column, LH5Object, Table, VectorOfVectors
from pygama_core.lh5.writer import Writer

IN_PLACE_BYTES = 64 << 20
FICLONE = 0x40049409  # ioctl: share all blocks of another file (btrfs, XFS)


@contextlib.contextmanager
def edit(path: str | os.PathLike[str], *, in_place: bool | None = None) -> Iterator[Editor]:
    """Edit an existing file; all changes of the ``with`` block become visible together when it ends without an error.

    Parameters
    ----------
    path
        the file; a second editor waits until the first is done
    in_place
        False: change a copy, then rename it. True: change the file itself under a journal. None: a copy for files of at
        most :data:`IN_PLACE_BYTES` and those that carry digests, which have to be read anyway to be renewed

    Raises
    ------
    LH5Error
        if the file is missing, may not be written or is no HDF5 file, or a change does not fit what is in it
    """
    path = Path(os.path.realpath(path))
    with journal.locked(path) as descriptor:
        journal.complete(path, descriptor)
        with _open(path, "r") as file:
            has_digests = integrity.DIGEST in file.attrs
        if in_place is None:
            in_place = os.fstat(descriptor).st_size > IN_PLACE_BYTES and not has_digests
        if in_place and has_digests:
            raise LH5Error(f"{path}: carries digests, which cannot be renewed in place; leave in_place unset")
        scratch = path.with_name(f".{path.name}.new")
        try:
            touched: set[str] = set()
            changed = _changed_in_place(path, descriptor) if in_place else _changed_copy(path, descriptor, touched)
            with changed as file:
                yield Editor(file, path, scratch, touched)
        finally:
            scratch.unlink(missing_ok=True)


def append(path: str | os.PathLike[str], name: str, obj: Column) -> None:
    """Add rows to an object of an existing file; see :meth:`Editor.append`."""
    with edit(path) as file:
        file.append(name, obj)


def overwrite(path: str | os.PathLike[str], name: str, obj: LH5Object) -> None:
    """Replace an object of an existing file, or add it; see :meth:`Editor.overwrite`."""
    with edit(path) as file:
        file.overwrite(name, obj)


def overwrite_rows(path: str | os.PathLike[str], name: str, rows: slice | np.ndarray, obj: Column) -> None:
    """Replace rows of an object of an existing file; see :meth:`Editor.overwrite_rows`."""
    with edit(path) as file:
        file.overwrite_rows(name, rows, obj)


def add_columns(path: str | os.PathLike[str], name: str, columns: Table) -> None:
    """Add columns to a table of an existing file; see :meth:`Editor.add_columns`."""
    with edit(path) as file:
        file.add_columns(name, columns)


def remove(path: str | os.PathLike[str], name: str) -> None:
    """Remove an object from an existing file; see :meth:`Editor.remove`."""
    with edit(path) as file:
        file.remove(name)


class Editor:
    """The changes that can be made within :func:`edit`."""

    def __init__(self, file: h5py.File, path: Path, scratch: Path, touched: set[str]) -> None:
        self._file, self._path, self._scratch, self._touched = file, path, scratch, touched

    def append(self, name: str, obj: Column) -> None:
        """Add rows to an array, ragged vector, encoded waveforms or table; a new name is written as a new object.

        Raises
        ------
        LH5Error
            if columns, dtype, row shape or units differ from what is stored
        """
        if name.strip("/") not in self._file:
            return self.write(name, obj)
        target = self._object(name)
        self._check_parents_allow_rows(target, name)
        with self._staged(obj, target) as block:
            append_rows(target, block)
        self._touch(name)
        return None

    def write(self, name: str, obj: LH5Object) -> None:
        """Add a new object; groups on its way are made, and lists of fields of those that have one are extended.

        Raises
        ------
        LH5Error
            if there is an object of this name, or the parent is a table with another number of rows
        """
        name = name.strip("/")
        if name in self._file:
            raise LH5Error(f"{self._where(name)} exists; use overwrite to replace it")
        parent = self._parent(name)
        with self._staged(obj, None) as block:
            check_same_rows(parent, block, self._where(name))
            self._file.copy(block, parent, name=name.rpartition("/")[2])
        self._list_in_parents(name)
        self._touch(name)

    def overwrite(self, name: str, obj: LH5Object) -> None:
        """Replace an object by another of any kind, or add it; other names of the same object follow.

        The space of the old object is reclaimed by :func:`pygama_core.lh5.rewrite.repack`.
        """
        name = name.strip("/")
        if name not in self._file:
            return self.write(name, obj)
        aliases = _other_names(self._file, name)
        parent = self._parent(name)
        with self._staged(obj, None) as block:
            check_same_rows(parent, block, self._where(name), besides=name.rpartition("/")[2])
            for alias in [name, *aliases]:
                del self._file[alias]
            self._file.copy(block, parent, name=name.rpartition("/")[2])
        for alias in aliases:
            self._file[alias] = self._file[name]
        self._list_in_parents(name)
        self._touch(name, *aliases)
        return None

    def overwrite_rows(self, name: str, rows: slice | np.ndarray, obj: Column) -> None:
        """Replace existing rows; all others, also those behind, stay.

        Parameters
        ----------
        name : of an array, ragged vector, encoded waveforms or table
        rows : a slice, row numbers without duplicates, or a mask
        obj : the new rows, as many as are selected

        Raises
        ------
        LH5Error
            if rows do not exist or their number, or dtype, columns or units differ
        """
        target = self._object(name)
        with self._staged(obj, target) as block:
            replace_rows(target, rows, block)
        self._touch(name)

    def add_columns(self, name: str, columns: Table) -> None:
        """Add columns to a table; raise LH5Error if one exists or the numbers of rows differ."""
        target = self._object(name)
        if kind_of(target) != "table":
            raise LH5Error(f"{self._where(name)} is a {datatype_of(target) or 'plain group'}; only tables have columns")
        taken = sorted(set(columns) & set(target))
        if taken:
            raise LH5Error(f"{self._where(name)} has a column {', '.join(taken)}; use overwrite to replace it")
        for column in sorted(columns):
            self.write(f"{name.strip('/')}/{column}", columns[column])

    def remove(self, name: str) -> None:
        """Remove one name; the object stays if it has other names."""
        name = name.strip("/")
        self._object(name)
        del self._file[name]
        self._list_in_parents(name)
        self._touch(name)

    @contextlib.contextmanager
    def _staged(self, obj: LH5Object, target: h5py.Group | h5py.Dataset | None) -> Iterator[Any]:
        """Give the object as HDF5, written by :class:`Writer` to a scratch file."""
        with Writer(self._scratch) as out:
            out.write("x", obj if target is None else _encoded_like(obj, target))
        with h5py.File(self._scratch, "r", locking=False) as file:
            yield file["x"]

    def _object(self, name: str) -> h5py.Group | h5py.Dataset:
        if name.strip("/") not in self._file:
            raise LH5Error(f"{self._where(name)} does not exist; nothing was changed")
        return self._file[name.strip("/")]

    def _parent(self, name: str) -> h5py.Group:
        parent, made = self._file, []
        for part in name.split("/")[:-1]:
            if part not in parent:
                made.append(parent.create_group(part))
            parent = parent[part]
            if kind_of(parent) not in ("table", "struct", "group"):
                raise LH5Error(f"{self._where(name)}: {parent.name} is a {datatype_of(parent)}, which has no members")
        for group in made:
            group.attrs["datatype"] = "struct{}"
        return parent

    def _check_parents_allow_rows(self, target: h5py.Group | h5py.Dataset, name: str) -> None:
        parent = target.parent
        if kind_of(parent) == "table" and len(parent) > 1:
            raise LH5Error(f"{self._where(name)} is one column of a table; append to {parent.name}, so that all grow")

    def _list_in_parents(self, name: str) -> None:
        """Bring the lists of fields of all groups above an object up to date."""
        while name:
            name, _, leaf = name.rpartition("/")
            group = self._file[name] if name else self._file
            match = COMPOSITE.fullmatch(datatype_of(group))
            if match is not None:
                listed = {field for field in match["fields"].split(",") if field} | {leaf}
                group.attrs["datatype"] = composite_datatype(match["kind"], listed & set(group))

    def _touch(self, *names: str) -> None:
        self._touched.update(name.strip("/") for name in names)

    def _where(self, name: str) -> str:
        return f"{self._path}: {name!r}"


def _encoded_like(obj: Any, target: h5py.Group | h5py.Dataset) -> Any:
    """Encode waveforms as the stored rows are, on any level of nested tables."""
    if isinstance(obj, Table) and isinstance(target, h5py.Group):
        columns = {name: _encoded_like(obj[name], target[name]) if name in target else obj[name] for name in obj}
        return Table(columns, obj.attrs)
    if kind_of(target) == "encoded" and isinstance(obj, Array | VectorOfVectors):
        from pygama_core.lh5.codecs import codec, encode

        parameters = {key: value for key, value in target.attrs.items() if key.startswith("codec")}
        where = f"{target.name}"
        chosen = codec(str(parameters.get("codec")), parameters, where)
        recorded = target["sample_data"].dtype if "sample_data" in target else None
        stored = chosen.sample_dtype(recorded)
        if obj.dtype != stored and (recorded is not None or not np.can_cast(obj.dtype, stored)):
            raise LH5Error(f"{where}: samples of {obj.dtype} given for {stored}; convert them first")
        encoded = encode(obj, chosen, where=where)
        return replace(encoded, dtype=recorded)
    return obj


def _other_names(file: h5py.File, name: str) -> list[str]:
    """Return all other hard links to the object of a name."""
    wanted = file[name]
    if h5py.h5o.get_info(wanted.id).rc < 2:
        return []
    found: list[str] = []
    seen: set[Any] = set()

    def search(group: h5py.Group, prefix: str) -> None:
        if group.id in seen or group == wanted:
            return
        seen.add(group.id)
        for member in sorted(group):
            if isinstance(group.get(member, getlink=True), h5py.HardLink):
                if group[member] == wanted:
                    found.append(prefix + member)
                elif isinstance(group[member], h5py.Group):
                    search(group[member], f"{prefix}{member}/")

    search(file, "")
    return [other for other in found if other != name]


def _open(file: Any, mode: str) -> h5py.File:
    try:
        return h5py.File(file, mode, locking=False) if isinstance(file, Path) else h5py.File(file, mode)
    except (OSError, RuntimeError) as error:
        raise LH5Error(f"{file}: not a readable HDF5 file ({error}); truncated, or another format") from error


@contextlib.contextmanager
def _changed_copy(path: Path, descriptor: int, touched: set[str]) -> Iterator[h5py.File]:
    copy = path.with_name(f".{path.name}.edit")
    try:
        clone(descriptor, copy)
        with _open(copy, "r+") as file:
            yield file
            has_digests = integrity.DIGEST in file.attrs
        if has_digests:
            integrity.stamp(copy, touched)
        shutil.copymode(path, copy)
        sync_file(copy)
        copy.replace(path)
        journal.sync_directory(path.parent)
    finally:
        copy.unlink(missing_ok=True)


@contextlib.contextmanager
def _changed_in_place(path: Path, descriptor: int) -> Iterator[h5py.File]:
    paged = journal.PagedFile(descriptor)
    try:
        with _open(paged, "r+") as file:
            yield file
    except BaseException:
        paged.discard()
        raise
    paged.commit(path)


def clone(descriptor: int, copy: Path) -> None:
    """Copy an open file, sharing its blocks where the file system can."""
    with open(copy, "wb") as out:
        try:
            fcntl.ioctl(out.fileno(), FICLONE, descriptor)
        except OSError:  # another file system than btrfs or XFS
            left = os.fstat(descriptor).st_size
            offset = 0
            while left:
                sent = os.sendfile(out.fileno(), descriptor, offset, left)
                offset, left = offset + sent, left - sent


def sync_file(path: Path) -> None:
    """Make the content of a file survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
