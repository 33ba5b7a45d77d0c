"""The index of a piece of an FCIO stream: which records it holds, and where their frames are."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pygama_core.daq.fcio import constants as fr
from pygama_core.daq.fcio.frames import index_records

RECORDS_ROOM = 1 << 15
FRAMES_ROOM = 1 << 18
UNLIMITED = 1 << 62


@dataclass(frozen=True, eq=False)
class Index:
    """Records of a piece of a stream.

    Parameters
    ----------
    data : the bytes the offsets point into
    records : (n_records, 6) int64: tag (or GAP, SURPLUS, TAIL), start and stop byte, first frame, frames, byte range
    frames : (n_frames, 2) int64: first byte and size of every frame
    packet_ids : (n_records,) int64 number of the record in the file; a software-trigger record shares the next one's
    """

    data: np.ndarray
    records: np.ndarray
    frames: np.ndarray
    packet_ids: np.ndarray

    def select(self, *tags: int) -> np.ndarray:
        """Return the rows of ``records`` with these tags, in file order."""
        return np.flatnonzero(np.isin(self.records[:, fr.TAG], tags))

    def frame(self, rows: np.ndarray, k: int | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return offsets and sizes of frame ``k`` (one, or one for each) of the records; size 0 where there is none."""
        exists = self.records[rows, fr.N_FRAMES] > k
        at = np.where(exists, self.records[rows, fr.FIRST_FRAME] + k, 0)
        offsets, sizes = (self.frames[at, i] if len(self.frames) else np.zeros(len(at), np.int64) for i in (0, 1))
        return offsets, np.where(exists, sizes, 0)

    @property
    def n_events(self) -> int:
        """Number of event records."""
        return len(self.select(fr.EVENT, fr.SPARSE_EVENT, fr.EVENT_HEADER))

    @property
    def config_row(self) -> int | None:
        """Row of the Config that ends this piece, if one does."""
        rows = self.select(fr.CONFIG)
        return int(rows[-1]) if len(rows) else None


@dataclass(eq=False)
class Indexer:
    """Walks one stream piece by piece.

    Parameters
    ----------
    data : (n_bytes,) uint8 the stream lies in
    ranges : (n_ranges, 2) int64 first and last byte + 1 of the parts of ``data`` that make the stream
    scan : look for the next record byte by byte after damage; otherwise damage spoils its range
    packet_ids : (n_ranges,) numbers of the ranges, for streams in numbered packets; None counts the records
    """

    data: np.ndarray
    ranges: np.ndarray
    scan: bool
    packet_ids: np.ndarray | None = None
    _cursor: np.ndarray = field(init=False)
    _n_packets: int = 0

    def __post_init__(self) -> None:
        self._cursor = np.zeros(9, np.int64)
        self._cursor[fr.C_POS] = -1
        self._cursor[fr.C_SCAN] = self.scan
        room = 1 if self.scan else min(1, len(self.ranges))
        self._records = np.empty((max(64, room * RECORDS_ROOM), 6), np.int64)
        self._frames = np.empty((FRAMES_ROOM, 2), np.int64)

    def next(self, sizes: np.ndarray, max_bytes: int = UNLIMITED, max_events: int = UNLIMITED) -> Index | None:
        """Index up to the next Config or limit; None at the end. ``sizes``: samples, traces, ADCs; or -1 for each."""
        cursor = self._cursor
        cursor[fr.C_RECORDS] = cursor[fr.C_FRAMES] = 0
        cursor[fr.C_MAX_BYTES], cursor[fr.C_MAX_EVENTS] = max_bytes, max_events
        index_records(self.data, self.ranges, sizes, self._records, self._frames, cursor)
        n, n_frames = cursor[fr.C_RECORDS], cursor[fr.C_FRAMES]
        if n == 0:
            return None
        records = self._records[:n].copy()
        return Index(self.data, records, self._frames[:n_frames].copy(), self._number(records))

    def _number(self, records: np.ndarray) -> np.ndarray:
        if self.packet_ids is not None:
            return np.asarray(self.packet_ids[records[:, fr.RANGE]])
        counts = (records[:, fr.TAG] >= fr.CONFIG) & (records[:, fr.TAG] < fr.FSP_CONFIG)
        numbers = self._n_packets + np.cumsum(counts) - counts
        self._n_packets += int(counts.sum())
        return np.asarray(numbers)
