"""Decode a DAQ file while it is being written: until its run ends, or nothing was added for some time.

Only whole records are decoded; what the file ends with waits for more bytes, and counts as cut only when none came.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pygama_core.daq.daqfile import Block, DaqFile, open_daq
from pygama_core.daq.fcio import constants as fr
from pygama_core.daq.fcio.index import UNLIMITED, Index, Indexer
from pygama_core.daq.fcio.reader import FcioFile
from pygama_core.daq.orca import packets as pk
from pygama_core.daq.orca.header import OrcaHeader
from pygama_core.daq.orca.packets import Packets, Walker
from pygama_core.daq.orca.reader import OrcaFile
from pygama_core.daq.orca.run import RUN
from pygama_core.daq.source import Source, is_compressed, map_bytes
from pygama_core.errors import ConfigError, DecodeError
from pygama_core.lh5.types import Table

HEAD_BYTES = 4096  # waited for before the format is looked for
MAX_HELD_BACK = 64 << 20  # [bytes] of damage at the end of the file that may still turn out to be a record
RUN_FLAGS = ("runstartorstop", "heartbeatrecord", "endsubrunrecord", "startsubrunrecord")


@dataclass(frozen=True)
class Follow:
    """How long to wait for a growing file.

    Parameters
    ----------
    idle : time without new bytes after which the file counts as finished [s]
    poll : time between two looks at its size [s]
    """

    idle: float = 60.0
    poll: float = 0.5

    def __post_init__(self) -> None:
        if self.idle <= 0 or self.poll <= 0:
            raise ConfigError(f"follow: idle = {self.idle} s, poll = {self.poll} s; both must be positive")

    def wait(self, path: Path, n_known: int) -> int | None:
        """Wait until a file has more than ``n_known`` bytes; return its size, None if it stays as it is."""
        end = time.monotonic() + self.idle
        while (size := _size(path)) <= n_known:
            if time.monotonic() >= end:
                return None
            time.sleep(min(self.poll, max(0.0, end - time.monotonic())))
        return size


def follow_daq(path: Path | str, follow: Follow, format: str | None = None, **options: Any) -> DaqFile:
    """Open a DAQ file that may still grow; its blocks come as they are written.

    FCIO and ORCA files are decoded while they grow. A file of another format is waited for and then read.

    Raises
    ------
    DecodeError : if the file is compressed, does not appear, or is of no known format
    """
    path = Path(path)
    while (size := follow.wait(path, _size(path))) is not None and size < HEAD_BYTES:
        pass
    if is_compressed(_head(path)):
        raise DecodeError(f"{path}: a compressed file cannot be followed; wait until it is complete and read it then")
    daq = open_daq(path, format, **options)
    if isinstance(daq, FcioFile):
        return _FollowedFcio(daq.source, follow)
    if isinstance(daq, OrcaFile):
        if not daq.source.head.startswith(_head(path)):
            raise DecodeError(f"{path}: a big-endian ORCA file cannot be followed; wait until it is complete")
        return _FollowedOrca(daq.source, follow)
    n_known = len(daq.source.data)
    while (size := follow.wait(path, n_known)) is not None:
        n_known = size
    return open_daq(path, format, **options)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _head(path: Path) -> bytes:
    """Return the first bytes of a file; none if it is not there."""
    if not path.exists():
        return b""
    with path.open("rb") as file:
        return file.read(16)


def _grown(source: Source, follow: Follow) -> Source | None:
    """Return the source with the bytes that were added; None if none were for the idle time."""
    if follow.wait(source.path, len(source.data)) is None:
        return None
    with source.path.open("rb") as file:
        return Source(source.path, *map_bytes(file, source.notes))


class _GrowingIndexer(Indexer):
    """An indexer that leaves the end of the stream for later, and waits for more of it."""

    grow: Callable[[], np.ndarray | None]
    _is_final = False

    def next(self, sizes: np.ndarray, max_bytes: int = UNLIMITED, max_events: int = UNLIMITED) -> Index | None:
        while not self._is_final:
            if (index := self._next_whole(sizes, max_bytes, max_events)) is not None:
                return index
            if (data := self.grow()) is None:
                self._is_final = True
            else:
                self.data = data
                self.ranges[0, 1] = len(data)
        return super().next(sizes, max_bytes, max_events)

    def _next_whole(self, sizes: np.ndarray, max_bytes: int, max_events: int) -> Index | None:
        """Index, but leave the last record: more frames of it, or of what it announces, may follow."""
        index = super().next(sizes, max_bytes, max_events)
        if index is None:
            return None
        tags = index.records[:, fr.TAG]
        n = len(tags)
        end = len(self.data)
        while n and self._may_change(int(tags[n - 1]), index.records[n - 1, fr.START : fr.STOP + 1], end):
            n -= 1
            end = int(index.records[n, fr.START])
        if n < len(tags):
            self._cursor[fr.C_RANGE], self._cursor[fr.C_POS] = 0, end
            self._n_packets -= int(_is_numbered(tags[n:]).sum())
        return Index(self.data, index.records[:n], index.frames, index.packet_ids[:n]) if n else None

    @staticmethod
    def _may_change(tag: int, place: np.ndarray, end: int) -> bool:
        start, stop = place.tolist()
        if stop < end:
            return False
        return tag > 0 or stop - start < MAX_HELD_BACK


def _is_numbered(tags: np.ndarray) -> np.ndarray:
    return (tags >= fr.CONFIG) & (tags < fr.FSP_CONFIG)


class _FollowedFcio(FcioFile):
    def __init__(self, source: Source, follow: Follow) -> None:
        super().__init__(source)
        self._follow = follow

    def _indexer(self) -> Indexer:
        indexer = _GrowingIndexer(self.source.data, np.array([[0, len(self.source.data)]], np.int64), scan=True)
        indexer.grow = self._grow
        return indexer

    def _grow(self) -> np.ndarray | None:
        source = _grown(self.source, self._follow)
        self.source = source or self.source
        return None if source is None else source.data


class _GrowingWalker(Walker):
    """A walker that leaves the end of the file for later, and waits for more of it."""

    def __init__(self, data: np.ndarray, grow: Callable[[], np.ndarray | None]) -> None:
        super().__init__(data)
        self._grow, self._is_final = grow, False

    def next(self, ids: np.ndarray, max_bytes: int, max_events: int) -> Packets | None:
        while not self._is_final:
            if (packets := self._next_whole(ids, max_bytes, max_events)) is not None:
                return packets
            if (data := self._grow()) is None:
                self._is_final = True
            else:
                self._data = data
        return super().next(ids, max_bytes, max_events)

    def _next_whole(self, ids: np.ndarray, max_bytes: int, max_events: int) -> Packets | None:
        """Index, but leave what the file ends with if it is no whole packet."""
        packets = super().next(ids, max_bytes, max_events)
        if packets is None or packets.row[-1] >= 0 or packets.stop[-1] < len(self._data):
            return packets
        if packets.stop[-1] - packets.start[-1] >= MAX_HELD_BACK:
            return packets
        self._cursor[pk.C_POS] = packets.start[-1]
        self._cursor[pk.C_NUMBER] -= 1
        return packets.pick(slice(0, len(packets) - 1)) if len(packets) > 1 else None


class _FollowedOrca(OrcaFile):
    def __init__(self, source: Source, follow: Follow) -> None:
        super().__init__(source)
        self._follow = follow
        self._is_over = False

    def _walker(self) -> Walker:
        return _GrowingWalker(self.source.data, self._grow)

    def _grow(self) -> np.ndarray | None:
        source = None if self._is_over else _grown(self.source, self._follow)
        self.source = source or self.source
        return None if source is None else source.data

    def _decode_packets(self, packets: Packets, header: OrcaHeader, names: list[str]) -> Iterator[Block]:
        """Decode; remember the end of the run, unless another one starts behind it."""
        for block in super()._decode_packets(packets, header, names):
            if block.decoder == RUN.name and isinstance(block.table, Table):
                flags = np.stack([block.table.array(name) for name in RUN_FLAGS])
                marks = np.flatnonzero(flags[0] | ~flags.any(axis=0))  # starts and ends
                if len(marks):
                    self._is_over = not flags[0, marks[-1]]
            yield block
