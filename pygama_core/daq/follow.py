"""Decode a DAQ file while it is being written: until its run ends, or nothing was added for some time.

Only whole records are decoded; what the file ends with waits for more bytes, and counts as cut only when none came.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pygama_core.daq.daqfile import Block, DaqFile, open_daq
from pygama_core.daq.fcio import constants as fr
from pygama_core.daq.fcio.index import UNLIMITED, Index, Indexer
from pygama_core.daq.fcio.reader import FcioFile
from pygama_core.daq.fcio.stream import FcioStream
from pygama_core.daq.orca import packets as pk
from pygama_core.daq.orca.header import HEADER_NAME, OrcaHeader
from pygama_core.daq.orca.packets import Packets, Walker
from pygama_core.daq.orca.reader import EVENT_KINDS, OrcaFile, _ids, _kinds
from pygama_core.daq.orca.run import RUN
from pygama_core.daq.source import Source, is_compressed, map_bytes
from pygama_core.errors import ConfigError, DecodeError
from pygama_core.lh5.types import Scalar, Table

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
    """An indexer that leaves the end of the stream for later."""

    def extend(self, data: np.ndarray) -> None:
        """Continue in a longer version of the stream."""
        self.data = data
        self.ranges[0, 1] = len(data)

    def next_whole(self, sizes: np.ndarray, max_bytes: int, max_events: int) -> Index | None:
        """Index as ``next`` does, but leave the last record: more frames of it, or of what it announces, may follow."""
        index = self.next(sizes, max_bytes, max_events)
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

    def _decode(self, max_bytes: int, max_events: int | None) -> Iterator[Block]:
        stream = FcioStream(self._tally)
        indexer = _GrowingIndexer(self.source.data, np.array([[0, len(self.source.data)]], np.int64), scan=True)
        left = UNLIMITED if max_events is None else max_events
        is_final = False
        while left > 0:
            index = (indexer.next if is_final else indexer.next_whole)(stream.sizes, max_bytes, left)
            if index is not None:
                left -= index.n_events
                yield from stream.decode(index)
            elif is_final:
                break
            elif (source := _grown(self.source, self._follow)) is None:
                is_final = True
            else:
                self.source = source
                indexer.extend(source.data)
        if stream.config is None:
            raise DecodeError(f"{self.source.path}: no Config record in {len(self.source.data)} bytes, and none came")
        if left <= 0:
            self._tally.note(f"reading stopped after {max_events} event records, as asked for")
        yield from stream.empty_channels()


class _GrowingWalker(Walker):
    """A walker that leaves the end of the file for later."""

    def extend(self, data: np.ndarray) -> None:
        """Continue in a longer version of the file."""
        self._data = data

    def next_whole(self, ids: np.ndarray, max_bytes: int, max_events: int) -> Packets | None:
        """Index as ``next`` does, but leave what the file ends with if it is no whole packet."""
        packets = self.next(ids, max_bytes, max_events)
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

    def _decode(self, max_bytes: int, max_events: int | None) -> Iterator[Block]:
        walker = _GrowingWalker(self.source.data)
        header = OrcaHeader({}, (), {})
        left = UNLIMITED if max_events is None else max_events
        is_final = False
        while left > 0:
            packets = (walker.next if is_final else walker.next_whole)(_ids(header), max_bytes, left)
            if packets is not None:
                names = [HEADER_NAME, *(name for _, name in header.decoders)]
                self._count(packets, names)
                packets = packets.pick(packets.row >= 0)
                left -= int(np.isin(_kinds(names)[packets.row], EVENT_KINDS).sum())
                is_header = bool(len(packets)) and packets.row[-1] == 0
                body = packets.pick(slice(0, len(packets) - int(is_header)))
                yield from self._watched(self._decode_packets(body, header, names))
                if is_header:
                    header = self._read_header(header, int(packets.start[-1]), int(packets.stop[-1]))
                    yield Block(HEADER_NAME, self._once(HEADER_NAME), Scalar(header.to_json()))
            elif is_final:
                break
            elif self._is_over or (source := _grown(self.source, self._follow)) is None:
                is_final = True
            else:
                self.source = source
                walker.extend(source.data)
        if not header.decoders:
            raise DecodeError(f"{self.source.path}: no complete ORCA header packet, and none came")
        if left <= 0:
            self._tally.note(f"reading stopped after {max_events} packets, as asked for")
        yield from self._empty_channels(header)

    def _watched(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """Pass the blocks on; remember the end of the run, unless another one starts behind it."""
        for block in blocks:
            if block.decoder == RUN.name and isinstance(block.table, Table):
                flags = np.stack([block.table.array(name) for name in RUN_FLAGS])
                marks = np.flatnonzero(flags[0] | ~flags.any(axis=0))  # starts and ends
                if len(marks):
                    self._is_over = not flags[0, marks[-1]]
            yield block
