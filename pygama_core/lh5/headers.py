"""Datasets described from the bytes of their HDF5 object headers, without opening them.

Opening a dataset through HDF5 and asking for its shape, type, filters, chunks and attributes takes longer than reading
a small column. The headers that h5py writes by default are simple enough to be read directly; for everything else
:func:`read_dataset` returns None and HDF5 is asked.

Source: HDF5 file format specification, version 3.0: III.A.1 (version 1 B-trees), III.E (global heap), IV.A.1.a (version
1 object headers), IV.A.2 (messages).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import TypeAlias

from pygama_core.lh5.filters import DEFLATE, FLETCHER32, SHUFFLE, ZSTD

Messages: TypeAlias = dict[int, list[bytes]]

SPACE, TYPE, EXTERNAL, LAYOUT, FILTERS, ATTRIBUTE, CONTINUATION, MANY_ATTRIBUTES = 1, 3, 7, 8, 11, 12, 16, 21
SHARED = 2  # flag of a message that lies elsewhere
UNDEFINED = 0xFFFFFFFFFFFFFFFF
FIRST_READ = 1024  # [bytes] holds the whole header of nearly all datasets
MAX_DEPTH = 8  # of a B-tree; a damaged file must not lead us in circles


class _Unusual(Exception):
    """The object is stored in a way that is left to HDF5."""


@dataclass(frozen=True)
class StoredChunk:
    """Where one chunk lies: its first element in the dataset, its place in the file and the filters it skipped."""

    chunk_offset: tuple[int, ...]
    filter_mask: int
    byte_offset: int
    size: int


@dataclass(frozen=True)
class Dataset:
    """What a header tells about a dataset."""

    shape: tuple[int, ...]
    datatype: bytes  # HDF5's description of the elements, as stored
    attrs: dict[str, str]
    codes: tuple[int, ...]  # filters in the order of writing
    chunk_shape: tuple[int, ...]  # empty for a contiguous dataset
    address: int  # of the chunks' B-tree, or of the contiguous data


@dataclass
class HeaderFile:
    """An open file whose headers are read; texts of global heaps are kept."""

    descriptor: int
    heaps: dict[int, dict[int, bytes]] = field(default_factory=dict)

    def pread(self, n_bytes: int, address: int) -> bytes:
        """Read exactly n_bytes."""
        data = os.pread(self.descriptor, n_bytes, address)
        if len(data) != n_bytes:
            raise _Unusual
        return data


def has_known_sizes(descriptor: int) -> bool:
    """Whether the file begins with a superblock of 8-byte offsets and lengths."""
    start = os.pread(descriptor, 16, 0)
    if len(start) < 16 or start[:8] != b"\x89HDF\r\n\x1a\n":
        return False
    return start[13:15] == b"\x08\x08" if start[8] < 2 else start[9:11] == b"\x08\x08"


def read_dataset(file: HeaderFile, address: int) -> Dataset | None:
    """Read the header of a dataset; None if it is a group or anything that HDF5 has to be asked about."""
    try:
        messages = _messages(file, address)
        if messages is None or not {SPACE, TYPE, LAYOUT} <= messages.keys() or EXTERNAL in messages:
            return None
        shape = _shape(messages[SPACE][0])
        chunk_shape, data_address = _layout(messages[LAYOUT][0], len(shape))
        attrs = dict(_attribute(file, body) for body in messages.get(ATTRIBUTE, ()))
        codes = _filters(messages[FILTERS][0]) if FILTERS in messages else ()
        return Dataset(shape, messages[TYPE][0], attrs, codes, chunk_shape, data_address)
    except (_Unusual, struct.error, IndexError, UnicodeDecodeError):
        return None


def chunks(file: HeaderFile, dataset: Dataset) -> list[StoredChunk] | None:
    """Return all chunks of a dataset in the order of their rows; None if HDF5 has to be asked."""
    if dataset.address == UNDEFINED:
        return []
    try:
        return list(_tree(file, dataset.address, len(dataset.shape), MAX_DEPTH))
    except (_Unusual, struct.error, IndexError):
        return None


def _messages(file: HeaderFile, address: int) -> Messages | None:
    data = os.pread(file.descriptor, FIRST_READ, address)
    version, n_messages, _, size = struct.unpack_from("<BxHII", data)
    if version != 1:
        return None
    block = data[16 : 16 + size] if 16 + size <= len(data) else file.pread(size, address + 16)
    blocks, found, n_read = [block], Messages(), 0
    while blocks and n_read < n_messages:
        block, position = blocks.pop(0), 0
        while position + 8 <= len(block) and n_read < n_messages:
            kind, length, flags = struct.unpack_from("<HHB", block, position)
            body = block[position + 8 : position + 8 + length]
            position += 8 + length
            n_read += 1
            if flags & SHARED or kind == MANY_ATTRIBUTES:
                return None
            if kind == CONTINUATION:
                at, n_bytes = struct.unpack_from("<QQ", body)
                blocks.append(file.pread(n_bytes, at))
            else:
                found.setdefault(kind, []).append(body)
    return found


def _shape(body: bytes) -> tuple[int, ...]:
    version, rank = body[0], body[1]
    if version not in (1, 2) or rank == 0:
        raise _Unusual
    return struct.unpack_from(f"<{rank}Q", body, 8 if version == 1 else 4)


def _layout(body: bytes, rank: int) -> tuple[tuple[int, ...], int]:
    """Return chunk shape, empty if contiguous, and address."""
    version, kind = body[0], body[1]
    if version != 3 or kind not in (1, 2):
        raise _Unusual
    if kind == 1:
        address: int = struct.unpack_from("<Q", body, 2)[0]
        if address == UNDEFINED:
            raise _Unusual
        return (), address
    if body[2] != rank + 1:
        raise _Unusual
    tree: int = struct.unpack_from("<Q", body, 3)[0]
    return struct.unpack_from(f"<{rank}I", body, 11), tree


@cache
def _filters(body: bytes) -> tuple[int, ...]:
    version, n_filters = body[0], body[1]
    if version != 1:
        raise _Unusual
    codes, position = [], 8
    for _ in range(n_filters):
        code, name_length, _, n_values = struct.unpack_from("<HHHH", body, position)
        if code not in (DEFLATE, SHUFFLE, FLETCHER32, ZSTD):
            raise _Unusual
        position += 8 + (name_length + 7) // 8 * 8 + 4 * (n_values + n_values % 2)
        codes.append(code)
    return tuple(codes)


def _attribute(file: HeaderFile, body: bytes) -> tuple[str, str]:
    """Return name and value of an attribute that is one text of variable length."""
    version = body[0]
    name_size, type_size, space_size = struct.unpack_from("<HHH", body, 2)
    if version == 1:
        start, align = 8, 8
    elif version == 3 and not body[1]:
        start, align = 9, 1
    else:
        raise _Unusual
    name = body[start : start + name_size].rstrip(b"\0").decode()
    start += -(-name_size // align) * align
    kind = body[start : start + type_size]
    start += -(-type_size // align) * align
    space = body[start : start + space_size]
    start += -(-space_size // align) * align
    is_text = kind[0] & 15 == 9 and kind[1] & 15 == 1
    is_null = space[0] == 2 and space[3] == 2
    if not is_text or space[1] or is_null:
        raise _Unusual
    length, heap, index = struct.unpack_from("<IQI", body, start)
    return name, _heap_text(file, heap, index)[:length].decode() if length else ""


def _heap_text(file: HeaderFile, address: int, index: int) -> bytes:
    if address not in file.heaps:
        signature, version, size = struct.unpack("<4sB3xQ", file.pread(16, address))
        if signature != b"GCOL" or version != 1:
            raise _Unusual
        file.heaps[address] = dict(_heap_objects(file.pread(size, address)))
    text = file.heaps[address].get(index)
    if text is None:
        raise _Unusual
    return text


def _heap_objects(heap: bytes) -> Iterator[tuple[int, bytes]]:
    position = 16
    while position + 16 <= len(heap):
        index, _, size = struct.unpack_from("<HH4xQ", heap, position)
        if not index:  # the free space at the end
            return
        yield index, heap[position + 16 : position + 16 + size]
        position += 16 + (size + 7) // 8 * 8


def _tree(file: HeaderFile, address: int, rank: int, depth: int) -> Iterator[StoredChunk]:
    head = file.pread(24, address)
    signature, kind, level, n_used = struct.unpack_from("<4sBBH", head)
    if signature != b"TREE" or kind != 1 or not depth:
        raise _Unusual
    key = struct.Struct(f"<II{rank + 1}QQ")  # with the address of the child that follows
    body = file.pread(n_used * key.size, address + 24)
    for fields in key.iter_unpack(body):
        if level:
            yield from _tree(file, fields[-1], rank, depth - 1)
        else:
            yield StoredChunk(fields[2:-2], fields[1], fields[-1], fields[0])
