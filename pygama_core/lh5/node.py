"""HDF5 objects as LH5 sees them, through h5py's low-level interface: a third of the time of its high-level one."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5l, h5o, h5t

from pygama_core.errors import LH5Error
from pygama_core.lh5 import headers
from pygama_core.lh5.datatypes import element_type
from pygama_core.lh5.direct import Source, hdf5_source, known_source
from pygama_core.lh5.handle import FileHandle

RAGGED = frozenset({"cumulative_length", "flattened_data"})
ENCODED = frozenset({"encoded_data", "decoded_size"})
_STRING = h5py.string_dtype()
_TEXT = h5t.py_create(_STRING)


class Node:
    """A group or dataset: its attributes are read once, its members are opened when asked for.

    Parameters
    ----------
    file, name
        the open file, and the object's full name in it
    attrs
        its attributes, with ``datatype`` if there is one
    open_oid
        gives the HDF5 object
    header
        what its header tells, if that could be read without HDF5
    """

    def __init__(
        self,
        file: FileHandle,
        name: str,
        attrs: dict[str, Any],
        open_oid: Callable[[], Any],
        header: headers.Dataset | headers.Group | None = None,
    ) -> None:
        self.file, self.name, self.header = file, name, header
        self._attrs = attrs
        self._open_oid = open_oid
        self.datatype = _clean(attrs.pop("datatype", "")) or self._inferred()

    @property
    def attrs(self) -> dict[str, Any]:
        """The attributes without ``datatype``: a new dict, as it goes to users while the node stays."""
        return dict(self._attrs)

    @cached_property
    def oid(self) -> Any:
        """The opened HDF5 object."""
        return self._open_oid()

    @property
    def where(self) -> str:
        """File and object, for errors."""
        return f"{self.file.path}: /{self.name.strip('/')}"

    @property
    def is_group(self) -> bool:
        """Whether it has members."""
        return isinstance(self.header, headers.Group) or (self.header is None and isinstance(self.oid, h5g.GroupID))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a dataset."""
        shape: tuple[int, ...] = self.header.shape if isinstance(self.header, headers.Dataset) else self.oid.shape
        return shape

    @cached_property
    def addresses(self) -> dict[str, int | None]:
        """Names of the members, sorted, and where their headers lie; None for links that are not hard."""
        if isinstance(self.header, headers.Group):
            return self.header.members
        found: dict[str, int | None] = {}
        if self.is_group:
            is_here = self.file.headers is not None and self.file.is_here(self.oid)

            def note(name: bytes, info: Any) -> None:
                found[name.decode(errors="surrogateescape")] = (
                    info.u if is_here and info.type == h5l.TYPE_HARD else None
                )

            self.oid.links.iterate(note, info=True)
        return dict(sorted(found.items()))

    def names(self) -> list[str]:
        """Return the members' names, sorted."""
        return list(self.addresses)

    def has(self, name: str) -> bool:
        """Whether there is a member of this name."""
        return name in self.addresses

    def leads_somewhere(self, name: str) -> bool:
        """Whether there is an object behind a member's link."""
        return _bytes(name) in self.oid

    def child(self, name: str) -> Node:
        """Open a member; raise LH5Error if it is missing or its link leads nowhere."""
        full_name = f"{self.name}/{name}" if self.name else name
        address = self.addresses.get(name)
        header = None
        if address is not None and self.file.headers is not None:
            header = headers.read_object(self.file.headers, address)
        if header is None:
            return open_node(self.file, self.oid, name, full_name)
        return Node(self.file, full_name, header.attrs, lambda: h5o.open(self.oid, _bytes(name)), header)

    def value(self) -> Any:
        """Return what a small dataset holds, read at once: a scalar or an array."""
        header, file = self.header, self.file.headers
        if isinstance(header, headers.Dataset) and header.shape == () and file is not None:
            dtype = header.dtype
            if dtype is not None and not header.chunk_shape:
                data = file.upto(dtype.itemsize, header.address)
                if len(data) == dtype.itemsize:
                    return np.frombuffer(data, dtype)[0]
        return h5py.Dataset(self.oid)[()]

    @property
    def dtype(self) -> np.dtype:
        """NumPy type of a dataset's elements."""
        known = self.header.dtype if isinstance(self.header, headers.Dataset) else None
        dtype: np.dtype = self.oid.dtype if known is None else known
        return dtype

    @cached_property
    def source(self) -> Source | None:
        """Where the rows of a dataset lie, if they can be read without HDF5."""
        if isinstance(self.header, headers.Dataset) and self.file.headers is not None:
            known = known_source(self.file.headers, self.header, self.where)
            if known is not None:
                return known
        return hdf5_source(self.oid, self.where) if self.file.is_here(self.oid) else None

    def _inferred(self) -> str:
        """Return the datatype of an object that has none: plain HDF5, a path level, or an old file."""
        if self.is_group:
            members = set(self.names())
            if members == RAGGED:
                return "array<1>{array<1>{real}}"
            if members >= ENCODED:
                return "array<1>{encoded_array<1>{real}}"
            return f"struct{{{','.join(sorted(members))}}}"
        dtype = self.dtype
        is_text = dtype.kind == "S" or h5py.check_string_dtype(dtype) is not None
        try:
            element = "string" if is_text else element_type(dtype)
        except LH5Error as error:
            raise LH5Error(f"{self.file.path}: {self.name!r} has no datatype attribute and {error}") from error
        return f"array<{len(self.shape)}>{{{element}}}" if self.shape else element


def root_node(file: FileHandle) -> Node:
    """Return the root group."""
    header = file.root
    if not isinstance(header, headers.Group):
        return open_node(file, file.hdf5.id, "", "")
    return Node(file, "", header.attrs, lambda: h5o.open(file.hdf5.id, b"/"), header)


def open_node(file: FileHandle, parent: Any, name: str, full_name: str) -> Node:
    """Open an object by its name below a parent.

    Raises
    ------
    LH5Error
        if it is missing, a link leads nowhere, or it is neither group nor dataset
    """
    try:
        oid = h5o.open(parent, _bytes(name) or b".")
    except KeyError as error:
        reason = error.args[0] if error.args else error
        raise LH5Error(f"{file.path}: cannot open {full_name!r} ({reason})") from error
    if not isinstance(oid, h5g.GroupID | h5d.DatasetID):
        raise LH5Error(f"{file.path}: {full_name!r} is neither group nor dataset; LH5 has no such object")
    return Node(file, full_name, read_attrs(oid), lambda: oid)


def _bytes(name: str) -> bytes:
    return name.encode(errors="surrogateescape")


def _clean(datatype: Any) -> str:
    return str(datatype).replace(", ", ",").strip()


def read_attrs(oid: h5g.GroupID | h5d.DatasetID) -> dict[str, Any]:
    """Return all attributes as str, numbers, bools; lists where they are not scalar."""
    found: dict[str, Any] = {}
    buffer = np.empty((), _STRING)
    for i in range(h5a.get_num_attrs(oid)):
        attr = h5a.open(oid, index=i)
        name = attr.name.decode(errors="surrogateescape")
        try:
            attr.read(buffer, mtype=_TEXT)
            found[name] = _plain(buffer[()])
        except (OSError, TypeError, ValueError):  # not one text: slower
            owner = h5py.Group(oid) if isinstance(oid, h5g.GroupID) else h5py.Dataset(oid)
            found[name] = _plain(owner.attrs[name])
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="surrogateescape")
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    if isinstance(value, h5py.Empty):
        return ""
    return value.item() if isinstance(value, np.generic) else value
