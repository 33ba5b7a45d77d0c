"""Version 1 B-trees of HDF5: the members of a group, and the chunks of a dataset.

Source: HDF5 file format specification, version 3.0: III.A.1 (B-trees), III.B (symbol table nodes), III.D (local heap).
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple

from pygama_core.lh5.pages import HeaderFile, Unusual

ALL = range(1 << 62)
MAX_DEPTH = 8  # of a B-tree; a damaged file must not lead us in circles
_NODE = struct.Struct("<4sBBH16x")
_HEAP = struct.Struct("<4sB3xQ8xQ")
_SYMBOLS = struct.Struct("<4sBxH")
_SYMBOL = struct.Struct("<QQI20x")
_SOFT_LINK = 2


class StoredChunk(NamedTuple):
    """Where one chunk lies: its first element in the dataset, its place in the file and the filters it skipped."""

    chunk_offset: tuple[int, ...]
    filter_mask: int
    byte_offset: int
    size: int


def members(file: HeaderFile, tree: int, heap: int) -> dict[str, int | None]:
    """Return the names in a group, sorted, and where their headers lie; None for soft links."""
    signature, version, size, data = _HEAP.unpack(file.pread(_HEAP.size, heap))
    if signature != b"HEAP" or version:
        raise Unusual
    names = file.pread(size, data)
    found: dict[str, int | None] = {}
    for node in _group_nodes(file, tree, MAX_DEPTH):
        signature, version, n_symbols = _SYMBOLS.unpack(file.pread(_SYMBOLS.size, node))
        if signature != b"SNOD" or version != 1:
            raise Unusual
        for place, address, kind in _SYMBOL.iter_unpack(file.pread(n_symbols * _SYMBOL.size, node + _SYMBOLS.size)):
            name = names[place : names.index(b"\0", place)].decode(errors="surrogateescape")
            found[name] = None if kind == _SOFT_LINK else address
    return dict(sorted(found.items()))


def _group_nodes(file: HeaderFile, address: int, depth: int) -> Iterator[int]:
    level, n_used = _node(file, address, 0, depth)
    children = struct.unpack(f"<{2 * n_used}Q", file.pread(16 * n_used, address + _NODE.size))[1::2]
    for child in children:
        if level:
            yield from _group_nodes(file, child, depth - 1)
        else:
            yield child


def _node(file: HeaderFile, address: int, kind: int, depth: int) -> tuple[int, int]:
    """Return level and number of children of a node; raise Unusual if there is none at this address."""
    signature, found, level, n_used = _NODE.unpack(file.pread(_NODE.size, address))
    if signature != b"TREE" or found != kind or not depth:
        raise Unusual
    return level, n_used


@cache
def _key(rank: int) -> struct.Struct:
    """Return size, mask and place of a chunk, the offset inside an element, and the address of the child."""
    return struct.Struct(f"<II{rank}Q8xQ")


def chunks(
    file: HeaderFile, address: int, rank: int, n_rows: int, numbers: Sequence[int] = ALL
) -> Iterator[StoredChunk]:
    """Yield chunks in the order of their rows: those whose first row divided by ``n_rows`` is in sorted numbers."""
    return _chunks(file, address, (_key(rank), n_rows, numbers), MAX_DEPTH)


def _chunks(
    file: HeaderFile, address: int, search: tuple[struct.Struct, int, Sequence[int]], depth: int
) -> Iterator[StoredChunk]:
    level, n_used = _node(file, address, 1, depth)
    key, n_rows, numbers = search
    body = file.pread(n_used * key.size, address + _NODE.size)
    if not level:
        for fields in key.iter_unpack(body):
            if numbers is ALL or _meets(fields[2] // n_rows, fields[2] // n_rows, numbers):
                yield StoredChunk(fields[2:-1], fields[1], fields[-1], fields[0])
        return
    children = [(fields[2] // n_rows, fields[-1]) for fields in key.iter_unpack(body)]
    for (first, child), (behind, _) in pairwise([*children, (len(ALL), 0)]):
        if _meets(first, behind, numbers):
            yield from _chunks(file, child, search, depth - 1)


def _meets(first: int, last: int, numbers: Sequence[int]) -> bool:
    """Whether one of the sorted numbers is in first … last; last counts, as rows may be cut into several chunks."""
    place = bisect_left(numbers, first)
    return place < len(numbers) and numbers[place] <= last
