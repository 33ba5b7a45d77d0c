"""Decode the next blocks while the last ones are compressed and written."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from pygama_core.daq.daqfile import Block
from pygama_core.lh5.types import Array, Table

AHEAD_BYTES = 32 << 20
ROW_BYTES = 160  # [bytes] about what a row takes besides its waveform


def read_ahead(blocks: Iterator[Block], max_bytes: int = AHEAD_BYTES) -> Iterator[Block]:
    """Yield the blocks, made by a second thread that is at most ``max_bytes`` (and one piece of the file) ahead.

    Decoding is compiled code that releases the interpreter's lock; so is compression.
    """
    with ThreadPoolExecutor(1, "decode") as pool:
        batch = pool.submit(_take, blocks, max_bytes)
        while taken := batch.result():
            batch = pool.submit(_take, blocks, max_bytes)
            taken.reverse()
            while taken:  # give each block away, so that its memory can go
                yield taken.pop()


def block_bytes(block: Block) -> int:
    """Return about how much memory a block takes [bytes]."""
    if not isinstance(block.table, Table):
        return ROW_BYTES
    size = ROW_BYTES * block.table.n_rows
    for column in block.table.columns.values():
        values = column.columns.get("values") if isinstance(column, Table) else None
        size += values.values.nbytes if isinstance(values, Array) else 0
    return size


def _take(blocks: Iterator[Block], max_bytes: int) -> list[Block]:
    taken, size = [], 0
    for block in blocks:
        taken.append(block)
        size += block_bytes(block)
        if size >= max_bytes:
            break
    return taken
