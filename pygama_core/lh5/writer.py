"""Write LH5 files: tables that grow by blocks, and single objects; a file appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from pygama_core.atomic import replacing
from pygama_core.errors import LH5Error
from pygama_core.lh5 import histograms
from pygama_core.lh5.chunks import Storage
from pygama_core.lh5.create import Maker, new_file
from pygama_core.lh5.datatypes import composite_datatype
from pygama_core.lh5.growing import Growing, grow
from pygama_core.lh5.types import Column, Histogram, LH5Object, Scalar, Struct, View

if TYPE_CHECKING:
    from pygama_core.lh5.codecs import Codec


class Writer:
    """A new LH5 file; use as a context manager.

    The file is written beside its final name and renamed when the block ends without an error; on an error, or when the
    process is killed, a file that stood there before stays as it was.

    Parameters
    ----------
    path
        the file to make; its directory is made if it is missing
    n_threads
        threads that compress chunks; default: the number of cores this process may use
    codec
        for the samples of waveform tables: None stores them as plain deflated chunks; "auto" takes the lossless codec
        that makes the first rows smallest; or a codec, or its name, such as "radware_sigcompress"
    fletcher32
        whether each chunk carries a checksum, which every HDF5 reader checks
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        n_threads: int | None = None,
        *,
        codec: Codec | str | None = None,
        fletcher32: bool = False,
    ) -> None:
        self.path = Path(path)
        self._n_threads = n_threads or len(os.sched_getaffinity(0))
        self._codec, self._fletcher32 = codec, fletcher32
        self._growing: dict[str, Growing] = {}
        self._levels: set[str] = set()

    def __enter__(self) -> Writer:
        with contextlib.ExitStack() as stack:
            partial = stack.enter_context(replacing(self.path))
            pool = stack.enter_context(ThreadPoolExecutor(self._n_threads))
            self._storage = Storage(pool, fletcher32=self._fletcher32, codec=self._codec)
            self._file = stack.enter_context(new_file(partial))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._stack:  # an error below reaches it, so that the partial file is removed and not renamed
            if error is not None:
                raise error
            for growing in self._growing.values():
                growing.finish()
            self._list_members()

    def append(self, name: str, obj: Column) -> None:
        """Add rows to an array, ragged vector or table, which the first call makes.

        Raises
        ------
        LH5Error
            if columns, dtype, row shape or units differ from those of the first call
        """
        if name not in self._growing:
            parent, leaf = self._parent(name)
            self._growing[name] = grow(parent, leaf, obj, self._storage)
        self._growing[name].append(obj)

    def write(self, name: str, obj: LH5Object) -> None:
        """Write one whole object."""
        parent, leaf = self._parent(name)
        _write_single(parent, leaf, obj, self._storage)

    def link(self, existing: str, alias: str) -> None:
        """Make ``alias`` a hard link to an object that is already in the file."""
        parent, leaf = self._parent(alias)
        if existing not in self._file:
            raise LH5Error(f"{self.path}: cannot link {alias!r} to {existing!r}, which was not written")
        parent[leaf] = self._file[existing]

    def _parent(self, name: str) -> tuple[h5py.Group, str]:
        group, _, leaf = name.strip("/").rpartition("/")
        parent = self._file.require_group(group) if group else self._file
        if leaf in parent:
            raise LH5Error(f"{self.path}: {name!r} was already written")
        while group:
            self._levels.add(group)
            group = group.rpartition("/")[0]
        return parent, leaf

    def _list_members(self) -> None:
        """Make the path levels structs of what lies in them, as the reference does."""
        for level in sorted(self._levels):
            group = self._file[level]
            if "datatype" not in group.attrs:
                group.attrs["datatype"] = composite_datatype("struct", group)
        if len(self._file):
            self._file.attrs["datatype"] = composite_datatype("struct", self._file)


def _write_single(parent: h5py.Group, name: str, obj: LH5Object, storage: Storage) -> None:
    if isinstance(obj, Histogram):
        obj = histograms.to_struct(obj)
    if isinstance(obj, Scalar):
        _write_scalar(parent, name, obj, storage.maker)
    elif isinstance(obj, View):
        _write_view(parent, name, obj, storage.maker)
    elif isinstance(obj, Struct):
        datatype = composite_datatype("struct", obj.members)
        group = storage.maker.group(parent, name)
        for member in sorted(obj.members):
            _write_single(group, member, obj.members[member], storage)
        storage.maker.set_attrs(group.id, datatype, obj.attrs)
    else:
        growing = grow(parent, name, obj, storage)
        growing.append(obj)
        growing.finish()


def _write_scalar(parent: h5py.Group, name: str, obj: Scalar, maker: Maker) -> None:
    value = obj.value
    stored: Any = value
    if isinstance(value, str | bytes):
        datatype = "string"
    elif isinstance(value, bool | np.bool_):
        datatype, stored = "bool", np.uint8(value)  # Julia does not know HDF5's enum of FALSE and TRUE
    elif isinstance(value, complex | np.complexfloating):
        datatype = "complex"
    elif isinstance(value, int | float | np.number):
        datatype = "real"
    else:
        raise LH5Error(f"{parent.name}/{name}: a {type(value).__name__} cannot be stored as a scalar")
    maker.set_attrs(parent.create_dataset(name, data=stored).id, obj.element or datatype, obj.attrs)


def _write_view(parent: h5py.Group, name: str, view: View, maker: Maker) -> None:
    group = parent.create_group(name)
    target = f"/{view.target.strip('/')}"
    if not view.file and target not in group.file:
        raise LH5Error(f"{group.name}: a view of {target!r}, which was not written")
    group["data"] = h5py.ExternalLink(view.file, target) if view.file else h5py.SoftLink(target)
    group["entries"] = view.entries
    maker.set_attrs(group.id, "view{slices}" if view.entries.ndim == 2 else "view{entries}", view.attrs)
