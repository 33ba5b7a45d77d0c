"""HDF5 objects as LH5 sees them, through h5py's low-level interface: a third of the time of its high-level one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5f, h5g, h5l, h5o, h5t

from pygama_core.errors import LH5Error
from pygama_core.lh5 import headers
from pygama_core.lh5.datatypes import element_type
from pygama_core.lh5.direct import FileHandle
from pygama_core.lh5.layout import Layout, known_layout, plain_dtype

RAGGED = frozenset({"cumulative_length", "flattened_data"})
ENCODED = frozenset({"encoded_data", "decoded_size"})
_STRING = h5py.string_dtype()
_TEXT = h5t.py_create(_STRING)


@dataclass(frozen=True, eq=False)
class Node:
    """A group or dataset: its attributes are read once, its members are opened when asked for."""

    file: FileHandle
    name: str
    attrs: dict[str, Any]
    datatype: str  # inferred where the file has none
    open: Callable[[], Any]  # gives the HDF5 object
    header: headers.Dataset | None = None  # if it is a dataset that was described without HDF5

    @cached_property
    def oid(self) -> Any:
        """The opened HDF5 object."""
        return self.open()

    @property
    def where(self) -> str:
        """File and object, for errors."""
        return f"{self.file.path}: /{self.name.strip('/')}"

    @property
    def is_group(self) -> bool:
        """Whether it has members."""
        return self.header is None and isinstance(self.oid, h5g.GroupID)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a dataset."""
        shape: tuple[int, ...] = self.oid.shape if self.header is None else self.header.shape
        return shape

    @cached_property
    def addresses(self) -> dict[str, int | None]:
        """Names of the members, sorted, and where their headers lie; None for links that are not hard."""
        found: dict[str, int | None] = {}
        if self.is_group:
            is_here = self.file.headers is not None and h5f.get_name(self.oid) == self.file.hdf5_name

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

    def child(self, name: str) -> Node:
        """Open a member; raise LH5Error if it is missing or its link leads nowhere."""
        full_name = f"{self.name}/{name}".strip("/")
        address = self.addresses.get(name)
        header = None
        if address is not None and self.file.headers is not None:
            header = headers.read_dataset(self.file.headers, address)
        if header is None:
            return open_node(self.file, self.oid, name, full_name)

        def open_later() -> Any:
            return h5o.open(self.oid, name.encode(errors="surrogateescape"))

        attrs: dict[str, Any] = dict(header.attrs)
        datatype = _clean(attrs.pop("datatype", "")) or _inferred(open_later(), self.file, full_name)
        return Node(self.file, full_name, attrs, datatype, open_later, header)

    @cached_property
    def layout(self) -> Layout | None:
        """How a dataset is stored, if that is known without HDF5 and its elements are plain numbers or bytes."""
        if self.header is None:
            return None
        key = self.header.datatype
        if key not in self.file.dtypes:
            self.file.dtypes[key] = plain_dtype(self.oid)
        dtype = self.file.dtypes[key]
        return None if dtype is None else known_layout(self.where, self.header, dtype)


def open_node(file: FileHandle, parent: Any, name: str, full_name: str) -> Node:
    """Open an object by its name below a parent.

    Raises
    ------
    LH5Error
        if it is missing, a link leads nowhere, or it is neither group nor dataset
    """
    try:
        oid = h5o.open(parent, name.encode(errors="surrogateescape") or b".")
    except KeyError as error:
        reason = error.args[0] if error.args else error
        raise LH5Error(f"{file.path}: cannot open {full_name!r} ({reason})") from error
    if not isinstance(oid, h5g.GroupID | h5d.DatasetID):
        raise LH5Error(f"{file.path}: {full_name!r} is neither group nor dataset; LH5 has no such object")
    attrs = read_attrs(oid)
    datatype = _clean(attrs.pop("datatype", "")) or _inferred(oid, file, full_name)
    return Node(file, full_name, attrs, datatype, lambda: oid)


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


def _inferred(oid: h5g.GroupID | h5d.DatasetID, file: FileHandle, name: str) -> str:
    """Return the datatype of an object that has none: plain HDF5, a path level, or an old file."""
    if isinstance(oid, h5g.GroupID):
        members = {member.decode(errors="surrogateescape") for member in oid}
        if members == RAGGED:
            return "array<1>{array<1>{real}}"
        if members >= ENCODED:
            return "array<1>{encoded_array<1>{real}}"
        return f"struct{{{','.join(sorted(members))}}}"
    dtype = oid.dtype
    is_text = dtype.kind == "S" or h5py.check_string_dtype(dtype) is not None
    try:
        element = "string" if is_text else element_type(dtype)
    except LH5Error as error:
        raise LH5Error(f"{file.path}: {name!r} has no datatype attribute and {error}") from error
    return f"array<{len(oid.shape)}>{{{element}}}" if oid.shape else element
