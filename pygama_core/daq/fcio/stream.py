"""One FCIO stream: what its configuration and past make of the records of a piece."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pygama_core.daq.daqfile import Block
from pygama_core.daq.fcio import constants as fr
from pygama_core.daq.fcio.config import NO_SIZES, FcioConfig, read_config
from pygama_core.daq.fcio.events import empty_block, event_blocks, header_block, read_events
from pygama_core.daq.fcio.fsp import fsp_blocks
from pygama_core.daq.fcio.fsp_config import fsp_config
from pygama_core.daq.fcio.index import Index
from pygama_core.daq.fcio.rec_events import rec_event_blocks
from pygama_core.daq.fcio.state import StreamState
from pygama_core.daq.fcio.status import status_blocks
from pygama_core.daq.summary import Tally

RECORD_NAMES = {
    fr.CONFIG: "Config",
    fr.CALIB: "Calib",
    fr.EVENT: "Event",
    fr.STATUS: "Status",
    fr.REC_EVENT: "RecEvent",
    fr.SPARSE_EVENT: "SparseEvent",
    fr.EVENT_HEADER: "EventHeader",
    fr.FSP_CONFIG: "FSPConfig",
    fr.FSP_EVENT: "FSPEvent",
    fr.FSP_STATUS: "FSPStatus",
}
NOT_CONVERTED = (fr.CALIB,)


class FcioStream:
    """Decodes the pieces of one stream in order.

    Parameters
    ----------
    tally : where records and damage are counted
    fcid : number of the stream in keys; None takes it from the Config
    """

    def __init__(self, tally: Tally, fcid: int | None = None) -> None:
        self._tally = tally
        self._fcid = fcid
        self._config: FcioConfig | None = None
        self._state = StreamState(0)
        self._n_configs = 0
        self._seen: set[int] = set()
        self._expected: dict[int, FcioConfig] = {}

    @property
    def config(self) -> FcioConfig | None:
        return self._config

    @property
    def sizes(self) -> np.ndarray:
        """Sizes of events, for the index pass."""
        return NO_SIZES if self._config is None else self._config.sizes

    @property
    def n_traces(self) -> int:
        """Traces of an event; 0 before the Config."""
        return 0 if self._config is None else self._config.n_traces

    def decode(self, index: Index) -> Iterator[Block]:
        """Yield the tables of a piece; a Config at its end takes effect for the next one."""
        self._count(index)
        if self._config is not None:
            yield from self._decode_records(index, self._config)
        row = index.config_row
        if row is not None:
            yield from self._adopt(index, read_config(index, row, self._fcid))

    def empty_channels(self) -> Iterator[Block]:
        """Yield tables without rows for the channels that are configured and were never seen."""
        for key, config in sorted(self._expected.items()):
            if key not in self._seen:
                yield empty_block(config, key)

    def _decode_records(self, index: Index, config: FcioConfig) -> Iterator[Block]:
        events = read_events(index, config, self._state)
        self._tally.saw_times(events.columns["timestamp"])
        for block in event_blocks(index, config, events):
            self._seen.add(int(block.key))
            yield block
        if (headers := header_block(index, config, events)) is not None:
            yield headers
        yield from rec_event_blocks(index, config)
        yield from status_blocks(index, config)
        yield from fsp_blocks(index, config)

    def _adopt(self, index: Index, config: FcioConfig) -> Iterator[Block]:
        suffix = f"_{self._n_configs}" if self._n_configs else ""
        if self._n_configs:
            self._tally.note(
                f"stream {config.fcid}: configuration {self._n_configs + 1} (record {config.packet_id}): "
                f"{config.n_traces} traces of {config.n_samples} samples; run, life and dead times start anew"
            )
        self._n_configs += 1
        self._config = config
        self._state = StreamState(config.n_traces)
        self._expected.update((int(key), config) for key in config.keys)
        yield Block("FCConfig", f"fcid_{config.fcid}/config{suffix}", config.to_struct())
        for row in index.select(fr.FSP_CONFIG)[-1:]:  # settings of the software trigger precede the Config
            yield fsp_config(index, int(row), f"swtid_{config.fcid}/config{suffix}")

    def _count(self, index: Index) -> None:
        tags = index.records[:, fr.TAG]
        for tag in np.unique(tags[tags > 0]).tolist():
            is_known = tag in RECORD_NAMES
            name = RECORD_NAMES.get(tag, f"unknown tag {tag}")
            self._tally.count(name, int((tags == tag).sum()), converted=is_known and tag not in NOT_CONVERTED)
        is_damage = (tags == fr.GAP) | (tags == fr.SURPLUS) | (tags > fr.LAST_TAG)
        for start, stop in index.records[is_damage][:, [fr.START, fr.STOP]].tolist():
            self._tally.gap(start, stop)
        tail = index.records[tags == fr.TAIL]
        self._tally.truncated_tail += int((tail[:, fr.STOP] - tail[:, fr.START]).sum())
