"""FCIO files."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pygama_core.daq.daqfile import Block, DaqFile, piece_bytes
from pygama_core.daq.fcio.index import UNLIMITED, Indexer
from pygama_core.daq.fcio.stream import FcioStream
from pygama_core.errors import DecodeError


class FcioFile(DaqFile):
    """A FlashCam file: one stream, or several one after another."""

    format_name = "fcio"

    def _decode(self, max_bytes: int | None, max_events: int | None) -> Iterator[Block]:
        stream = FcioStream(self._tally)
        indexer = self._indexer()
        left = UNLIMITED if max_events is None else max_events
        while (
            left > 0
            and (index := indexer.next(stream.sizes, piece_bytes(max_bytes, stream.n_traces), left)) is not None
        ):
            left -= index.n_events
            yield from stream.decode(index)
        if stream.config is None:
            n_bytes = len(self.source.data)
            raise DecodeError(
                f"{self.source.path}: no Config record in {n_bytes} bytes of FCIO stream, so the sizes of events are "
                f"unknown; expected one behind the first marker. The file is damaged at its start or not FCIO"
            )
        if left <= 0:
            self._tally.note(f"reading stopped after {max_events} event records, as asked for")
        yield from stream.empty_channels()

    def _indexer(self) -> Indexer:
        data = self.source.data
        return Indexer(data, np.array([[0, len(data)]], np.int64), scan=True)
