"""FCIO files."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pygama_core.daq.daqfile import Block, DaqFile
from pygama_core.daq.fcio.index import UNLIMITED, Indexer
from pygama_core.daq.fcio.stream import FcioStream
from pygama_core.errors import DecodeError


class FcioFile(DaqFile):
    """A FlashCam file: one stream, or several one after another."""

    format_name = "fcio"

    def _decode(self, max_bytes: int, max_events: int | None) -> Iterator[Block]:
        data = self.source.data
        stream = FcioStream(self._tally)
        indexer = Indexer(data, np.array([[0, len(data)]], np.int64), scan=True)
        left = UNLIMITED if max_events is None else max_events
        while left > 0 and (index := indexer.next(stream.sizes, max_bytes, left)) is not None:
            left -= index.n_events
            yield from stream.decode(index)
        if stream.config is None:
            raise DecodeError(
                f"{self.source.path}: no Config record in {len(data)} bytes of FCIO stream, so the sizes of events are "
                f"unknown; expected one behind the first marker. The file is damaged at its start or not FCIO"
            )
        if left <= 0:
            self._tally.note(f"reading stopped after {max_events} event records, as asked for")
        yield from stream.empty_channels()
