"""New files, datasets and attributes by few calls into HDF5.

A raw file has thousands of small datasets with three attributes each. h5py's high level asks HDF5 for the same
descriptions of types, spaces and properties again for each of them, which takes several times as long as making it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5i, h5p, h5s, h5t

from pygama_core.errors import LH5Error
from pygama_core.lh5.filters import DEFLATE, DEFLATE_RECORDED, FLETCHER32, SHUFFLE
from pygama_core.lh5.types import Attrs

ObjectID: TypeAlias = "h5g.GroupID | h5d.DatasetID"

# half the number of chunks in a node of the tree that finds them. HDF5 writes every node at full size: with its own
# choice, 32, the index of a dataset of one chunk takes 2 kB, more than most columns of a raw file
CHUNKS_IN_HALF_NODE = 8
UNDEFINED = 0xFFFFFFFFFFFFFFFF
ENTRIES_IN_HALF_LEAF, LEAVES_IN_HALF_NODE = 4, 16  # of groups, as HDF5 itself chooses
HEADER, TREE, HEAP = 128, 168, 712  # [bytes] places in an empty file
HEAP_DATA = HEAP + 32
HEAP_BYTES = 88
NO_NAME = 8  # [bytes] at the start of a heap of names: the empty one


@cache
def empty_file() -> bytes:
    """Return an HDF5 file without objects, which says how large the nodes of chunk indices are.

    HDF5 takes that number from the file; h5py has no call for it. Source: HDF5 file format specification, 3.0: II.A
    (superblock version 1), III.A.1 (B-tree), III.D (local heap), IV.A.1.a (object header), IV.A.2.r (symbol table).
    """
    sizes = struct.pack("<5B2BB", 1, 0, 0, 0, 0, 8, 8, 0)
    nodes = struct.pack("<HHIHH", ENTRIES_IN_HALF_LEAF, LEAVES_IN_HALF_NODE, 0, CHUNKS_IN_HALF_NODE, 0)
    end = HEAP_DATA + HEAP_BYTES
    places = struct.pack("<4Q", 0, UNDEFINED, end, UNDEFINED)
    root = struct.pack("<QQIIQQ", 0, HEADER, 1, 0, TREE, HEAP)
    header = struct.pack("<BBHII4x", 1, 0, 1, 1, 24) + struct.pack("<HHB3xQQ", 17, 16, 0, TREE, HEAP)
    tree = struct.pack("<4sBBHQQ", b"TREE", 0, 0, 0, UNDEFINED, UNDEFINED)
    heap = struct.pack("<4sB3xQQQ", b"HEAP", 0, HEAP_BYTES, NO_NAME, HEAP_DATA)
    free = struct.pack("<QQQ", 0, 1, HEAP_BYTES - NO_NAME)  # a free block: none follows, its size
    content = bytearray(end)
    superblock = b"\x89HDF\r\n\x1a\n" + sizes + nodes + places + root
    for place, part in ((0, superblock), (HEADER, header), (TREE, tree), (HEAP, heap), (HEAP_DATA, free)):
        content[place : place + len(part)] = part
    return bytes(content)


def new_file(path: Path) -> h5py.File:
    """Make a file in the format of HDF5 1.6, which every reader knows, and open it for writing."""
    path.write_bytes(empty_file())
    return h5py.File(path, "r+", locking=False)


@dataclass(frozen=True)
class Place:
    """Where an object is or will be; as text its full name, which only errors need and HDF5 is slow to tell."""

    parent: h5py.Group
    name: str

    def __str__(self) -> str:
        return f"{self.parent.name.rstrip('/')}/{self.name}"


class Maker:
    """Makes the datasets and attributes of one file; HDF5's descriptions of what is alike are made once."""

    def __init__(self) -> None:
        self._types: dict[np.dtype, h5t.TypeID] = {}
        self._lists: dict[Any, h5p.PropDCID] = {}
        self._spaces: dict[Any, h5s.SpaceID] = {}
        self._texts: dict[str, np.ndarray] = {}
        self._text_type = h5t.py_create(h5py.string_dtype(), logical=True)
        self._memory_type = h5t.py_create(h5py.string_dtype())
        self._scalar = h5s.create(h5s.SCALAR)

    def dataset(
        self,
        parent: h5py.Group,
        name: str,
        dtype: np.dtype,
        shape: tuple[int, ...],
        chunk: tuple[int, ...],
        codes: tuple[int, ...],
    ) -> h5d.DatasetID:
        """Make a chunked dataset that can grow along its first axis."""
        space = self._spaces.get(shape)
        if space is None:
            limits = (h5s.UNLIMITED, *(n or h5s.UNLIMITED for n in shape[1:]))  # HDF5 has no chunk of length 0
            space = self._spaces[shape] = h5s.create_simple(shape, limits)
        properties = self._lists.get((chunk, codes))
        if properties is None:
            properties = self._lists[chunk, codes] = _properties(chunk, codes)
        return h5d.create(parent.id, name.encode(), self._type(dtype), space, properties)

    def number(self, parent: h5py.Group, name: str, value: Any) -> h5d.DatasetID:
        """Make a dataset that holds one number."""
        values = np.asarray(value)
        made = h5d.create(parent.id, name.encode(), self._type(values.dtype), self._scalar)
        made.write(h5s.ALL, h5s.ALL, values)
        return made

    def group(self, parent: h5py.Group, name: str) -> h5py.Group:
        """Make a group; its name has no slash."""
        return h5py.Group(h5g.create(parent.id, name.encode()))

    def set_attrs(self, obj: ObjectID, datatype: str, attrs: Attrs) -> None:
        """Give a new object its ``datatype`` and all other attributes; raise LH5Error for one that is no scalar."""
        if datatype:
            self._set_text(obj, "datatype", datatype)
        for name, value in attrs.items():
            if name == "datatype":
                continue
            if isinstance(value, str):
                self._set_text(obj, name, str(value))
            elif isinstance(value, int | float | np.generic):
                high_level = h5py.Dataset(obj) if isinstance(obj, h5d.DatasetID) else h5py.Group(obj)
                high_level.attrs[name] = value
            else:
                where = h5i.get_name(obj).decode()
                raise LH5Error(f"{where}: attribute {name!r} is a {type(value).__name__}; only scalars can be stored")

    def _set_text(self, obj: ObjectID, name: str, text: str) -> None:
        stored = self._texts.get(text)
        if stored is None:
            stored = self._texts[text] = np.array(text, h5py.string_dtype())
        h5a.create(obj, name.encode(), self._text_type, self._scalar).write(stored, self._memory_type)

    def _type(self, dtype: np.dtype) -> h5t.TypeID:
        found = self._types.get(dtype)
        if found is None:
            found = self._types[dtype] = h5t.py_create(dtype, logical=True)
        return found


def _properties(chunk: tuple[int, ...], codes: tuple[int, ...]) -> h5p.PropDCID:
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)  # the same content gives the same bytes
    properties.set_chunk(chunk)
    for code in codes:
        if code == SHUFFLE:
            properties.set_shuffle()
        elif code == DEFLATE:
            properties.set_deflate(DEFLATE_RECORDED)
        elif code == FLETCHER32:
            properties.set_fletcher32()
    return properties
