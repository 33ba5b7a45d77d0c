"""Groups and datasets described from the bytes of their HDF5 object headers, without opening them.

Opening an object through HDF5 and asking for its shape, type, filters, chunks and attributes takes longer than reading
a small column. The headers that h5py writes by default are simple enough to be read directly; for everything else
:func:`read_object` returns None and HDF5 is asked.

Source: HDF5 file format specification, version 3.0: III.E (global heap), IV.A.1.a (version 1 object headers), IV.A.2
(messages).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np

from pygama_core.lh5 import trees
from pygama_core.lh5.filters import DEFLATE, FLETCHER32, SHUFFLE, ZSTD
from pygama_core.lh5.pages import UNDEFINED, HeaderFile, Unusual
from pygama_core.lh5.trees import StoredChunk

Messages: TypeAlias = dict[int, list[bytes]]
Attribute: TypeAlias = "str | int | float"

SPACE, TYPE, EXTERNAL, LAYOUT, FILTERS, ATTRIBUTE, CONTINUATION, MANY_ATTRIBUTES = 1, 3, 7, 8, 11, 12, 16, 21
SYMBOLS, LINK_INFO, LINK = 17, 2, 6  # of groups; the last two are of the newer form
SHARED = 2  # flag of a message that lies elsewhere
FIRST_READ = 1024  # [bytes] holds the whole header of nearly all objects
_PREFIX, _MESSAGE = struct.Struct("<BxHII"), struct.Struct("<HHB3x")
_CONTINUED, _TEXT = struct.Struct("<QQ"), struct.Struct("<IQI")
_ATTRIBUTE_SIZES = struct.Struct("<HHH")


class Dataset(NamedTuple):
    """What a header tells about a dataset."""

    shape: tuple[int, ...]
    datatype: bytes  # HDF5's description of the elements, as stored
    attrs: dict[str, Attribute]
    codes: tuple[int, ...]  # filters in the order of writing
    chunk_shape: tuple[int, ...]  # empty for a contiguous dataset
    address: int  # of the chunks' B-tree, or of the contiguous data

    @property
    def dtype(self) -> np.dtype | None:
        """NumPy type of the elements if it has them byte for byte, else None."""
        return _dtype(self.datatype)


class Group(NamedTuple):
    """What a header tells about a group."""

    members: dict[str, int | None]  # sorted names, and where their headers lie; None for links that are not hard
    attrs: dict[str, Attribute]


def read_object(file: HeaderFile, address: int) -> Dataset | Group | None:
    """Read the header of an object; None if it is anything that HDF5 has to be asked about."""
    try:
        messages = _messages(file, address)
        if messages is None:
            return None
        if SYMBOLS in messages:
            return _group(file, messages)
        return _dataset(file, messages) if {SPACE, TYPE, LAYOUT} <= messages.keys() else None
    except (Unusual, struct.error, IndexError, ValueError, OverflowError):
        return None


def _group(file: HeaderFile, messages: Messages) -> Group | None:
    if LINK_INFO in messages or LINK in messages:
        return None
    tree, heap = struct.unpack_from("<QQ", messages[SYMBOLS][0])
    attrs = dict(_attribute(file, body) for body in messages.get(ATTRIBUTE, ()))
    return Group(trees.members(file, tree, heap), attrs)


def _dataset(file: HeaderFile, messages: Messages) -> Dataset | None:
    if EXTERNAL in messages:
        return None
    shape = _shape(messages[SPACE][0])
    chunk_shape, address = _layout(messages[LAYOUT][0], len(shape))
    attrs = dict([_attribute(file, body) for body in messages.get(ATTRIBUTE, ())])
    codes = _filters(messages[FILTERS][0]) if FILTERS in messages else ()
    return Dataset(shape, messages[TYPE][0], attrs, codes, chunk_shape, address)


def chunks(file: HeaderFile, dataset: Dataset, numbers: Sequence[int] = trees.ALL) -> list[StoredChunk] | None:
    """Return chunks of a dataset in the order of their rows; None if HDF5 has to be asked.

    Parameters
    ----------
    numbers
        sorted, of the chunks wanted along the first axis; default: all
    """
    if dataset.address == UNDEFINED:
        return []
    try:
        return list(trees.chunks(file, dataset.address, len(dataset.shape), dataset.chunk_shape[0], numbers))
    except (Unusual, struct.error, IndexError, ZeroDivisionError):
        return None


def _messages(file: HeaderFile, address: int) -> Messages | None:
    data = file.upto(FIRST_READ, address)
    version, n_messages, _, size = _PREFIX.unpack_from(data)
    if version != 1:
        return None
    block = data[16 : 16 + size] if 16 + size <= len(data) else file.pread(size, address + 16)
    blocks, found, n_read = [block], Messages(), 0
    while blocks and n_read < n_messages:
        block, position = blocks.pop(0), 0
        while position + 8 <= len(block) and n_read < n_messages:
            kind, length, flags = _MESSAGE.unpack_from(block, position)
            position += 8 + length
            n_read += 1
            if flags & SHARED or kind == MANY_ATTRIBUTES:
                return None
            if kind == CONTINUATION:
                at, n_bytes = _CONTINUED.unpack_from(block, position - length)
                blocks.append(file.pread(n_bytes, at))
            elif kind:
                found.setdefault(kind, []).append(block[position - length : position])
    return found


def _shape(body: bytes) -> tuple[int, ...]:
    version, rank = body[0], body[1]
    if version not in (1, 2) or (version == 2 and body[3] == 2):  # a null space
        raise Unusual
    return struct.unpack_from(f"<{rank}Q", body, 8 if version == 1 else 4)


def _layout(body: bytes, rank: int) -> tuple[tuple[int, ...], int]:
    """Return chunk shape, empty if contiguous, and address."""
    version, kind = body[0], body[1]
    if version != 3 or kind not in (1, 2):
        raise Unusual
    if kind == 1:
        address: int = struct.unpack_from("<Q", body, 2)[0]
        if address == UNDEFINED:
            raise Unusual
        return (), address
    if body[2] != rank + 1:
        raise Unusual
    tree: int = struct.unpack_from("<Q", body, 3)[0]
    return struct.unpack_from(f"<{rank}I", body, 11), tree


@lru_cache(256)
def _filters(body: bytes) -> tuple[int, ...]:
    version, n_filters = body[0], body[1]
    if version != 1:
        raise Unusual
    codes, position = [], 8
    for _ in range(n_filters):
        code, name_length, _, n_values = struct.unpack_from("<HHHH", body, position)
        if code not in (DEFLATE, SHUFFLE, FLETCHER32, ZSTD):
            raise Unusual
        position += 8 + (name_length + 7) // 8 * 8 + 4 * (n_values + n_values % 2)
        codes.append(code)
    return tuple(codes)


@lru_cache(256)
def _dtype(body: bytes) -> np.dtype | None:
    """Return NumPy's name of an HDF5 type: integers, IEEE floats and zero-padded texts of fixed length."""
    kind, bits, size = body[0] & 15, int.from_bytes(body[1:4], "little"), int.from_bytes(body[4:8], "little")
    order = ">" if bits & 1 else "<"
    if kind == 0 and size in (1, 2, 4, 8) and struct.unpack_from("<HH", body, 8) == (0, 8 * size):
        return np.dtype(f"{order}{'i' if bits & 8 else 'u'}{size}")
    if kind == 1 and struct.unpack_from("<HHBBBBI", body, 8) == _IEEE.get(size):
        is_ieee = bits & ~0xFF01 == 0x20 and bits >> 8 == 8 * size - 1  # implied leading bit; place of the sign
        return np.dtype(f"{order}f{size}") if is_ieee else None
    if kind == 3 and bits & 15 == 1 and size:
        return np.dtype(f"S{size}")
    return None


# bytes -> first bit, bits, then places and sizes of exponent and mantissa, bias
_IEEE = {2: (0, 16, 10, 5, 0, 10, 15), 4: (0, 32, 23, 8, 0, 23, 127), 8: (0, 64, 52, 11, 0, 52, 1023)}


def _attribute(file: HeaderFile, body: bytes) -> tuple[str, Attribute]:
    """Return name and value of an attribute that is one number, or one text of variable length."""
    version = body[0]
    name_size, type_size, space_size = _ATTRIBUTE_SIZES.unpack_from(body, 2)
    if version == 1:
        start, align = 8, 7
    elif version == 3 and not body[1]:
        start, align = 9, 0
    else:
        raise Unusual
    name = body[start : start + name_size].rstrip(b"\0").decode()
    start += (name_size + align) & ~align
    kind = body[start : start + type_size]
    start += (type_size + align) & ~align
    if _shape(body[start : start + space_size]):
        raise Unusual
    start += (space_size + align) & ~align
    if kind[0] & 15 == 9 and kind[1] & 15 == 1:
        length, heap, index = _TEXT.unpack_from(body, start)
        return name, _heap_text(file, heap, index)[:length].decode() if length else ""
    dtype = _dtype(kind)
    if dtype is None or dtype.kind == "S":
        raise Unusual
    return name, np.frombuffer(body, dtype, 1, start)[0].item()


def _heap_text(file: HeaderFile, address: int, index: int) -> bytes:
    if address not in file.heaps:
        signature, version, size = struct.unpack("<4sB3xQ", file.pread(16, address))
        if signature != b"GCOL" or version != 1:
            raise Unusual
        file.heaps[address] = dict(_heap_objects(file.pread(size, address)))
    text = file.heaps[address].get(index)
    if text is None:
        raise Unusual
    return text


def _heap_objects(heap: bytes) -> Iterator[tuple[int, bytes]]:
    position = 16
    while position + 16 <= len(heap):
        index, _, size = struct.unpack_from("<HH4xQ", heap, position)
        if not index:  # the free space at the end
            return
        yield index, heap[position + 16 : position + 16 + size]
        position += 16 + (size + 7) // 8 * 8
