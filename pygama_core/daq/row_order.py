"""Rows of several keys in one table: put in the order of the file, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from pygama_core.daq.ahead import block_bytes
from pygama_core.daq.daqfile import Block, Key
from pygama_core.lh5.types import Array, Table, concatenate

MAX_BYTES = 128 << 20  # [bytes] kept back at most: several pieces of the file
Place = TypeVar("Place")


@dataclass(eq=False)
class _Waiting:
    tables: dict[Key, Table] = field(default_factory=dict)
    n_bytes: int = 0


class RowOrder:
    """Joins the blocks of the keys that share a table.

    A decoder gives one block for each key and piece of the file. Blocks wait until one of their keys comes again: then
    all of the piece is there, and its rows are sorted by record and, within a record, by channel.
    """

    def __init__(self) -> None:
        self._waiting: dict[object, _Waiting] = {}

    def add(self, place: Place, block: Block) -> Iterator[tuple[Place, Table]]:
        """Take a block of the table at ``place``; yield (place, table) of what is complete."""
        if not isinstance(block.table, Table):
            return
        waiting = self._waiting.setdefault(place, _Waiting())
        if block.key in waiting.tables or waiting.n_bytes > MAX_BYTES:
            yield place, _sorted(waiting)
            waiting = self._waiting[place] = _Waiting()
        waiting.tables[block.key] = block.table
        waiting.n_bytes += block_bytes(block)

    def rest(self) -> Iterator[tuple[object, Table]]:
        """Yield what still waits."""
        while self._waiting:
            place = next(iter(self._waiting))
            yield place, _sorted(self._waiting.pop(place))


def _sorted(waiting: _Waiting) -> Table:
    tables = list(waiting.tables.values())
    filled = [table for table in tables if table.n_rows] or tables[:1]
    joined: Table = concatenate(filled) if len(filled) > 1 else filled[0]
    if len(filled) == 1 or not isinstance(joined.columns.get("packet_id"), Array):
        return joined
    keys = [joined.array("packet_id")]
    if isinstance(joined.columns.get("channel"), Array):
        keys.insert(0, joined.array("channel"))
    return joined.rows(np.lexsort(keys))
