"""llamaDAQ files."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from pygama_core.daq.columns import Column, Record
from pygama_core.daq.daqfile import Block, DaqFile, piece_bytes
from pygama_core.daq.gather import rows_of
from pygama_core.daq.llama.config import Channel, read_header, start_time
from pygama_core.daq.llama.events import Piece, Walker, header_words
from pygama_core.daq.source import Source
from pygama_core.errors import ConfigError
from pygama_core.lh5.types import Array, Table

EVENT, HEADER = "LLAMAEvent", "LLAMAHeader"
ACCURACY = 1.0  # [s] of the time in the file name
COMMON = (
    Column("packet_id", "<u4", "number of the event in the file, from 1"),
    Column("fadc_channel_id", "<u4", "channel: 16 times the number of the FADC plus its input"),
    Column("fadc_status_bits", "<u4", "1 if the digitizer saw a pile-up"),
    Column("time_since_run_start", "<f8", "time since the start of the run", "s"),
    Column("unixtime", "<f8", "unix time, if the file's name tells the start; else as since the start", "s"),
    Column("unixtime_accuracy", "<f8", "accuracy of the start time", "s"),
)
GROUPS = (  # by format bit: the columns, in the order of their words
    (
        Column("wf_max_sample_value", "<u4", "largest sample", "ADC"),
        Column("wf_max_sample_idx", "<u4", "index of the largest sample"),
        Column("info_bits", "<u4", "information byte of the digitizer"),
        *(Column(f"cumsum_{k}", "<u4", f"sum of the samples in gate {k}", "ADC") for k in range(1, 7)),
    ),
    tuple(Column(f"cumsum_{k}", "<u4", f"sum of the samples in gate {k}", "ADC") for k in (7, 8)),
    (
        Column("maw_max", "<u4", "largest value of the moving-average window", "ADC"),
        Column("maw_before", "<u4", "moving average before the trigger", "ADC"),
        Column("maw_after", "<u4", "moving average behind the trigger", "ADC"),
    ),
    (
        Column("start_energy", "<u4", "value of the energy filter at its start", "ADC"),
        Column("max_energy", "<u4", "largest value of the energy filter", "ADC"),
    ),
)


class LlamaFile(DaqFile):
    """A file written by llamaDAQ.

    Parameters
    ----------
    source : its bytes
    time_zone : of the start time in the file's name, where that does not end in Z
    """

    format_name = "llama"

    def __init__(self, source: Source, time_zone: str = "UTC") -> None:
        super().__init__(source)
        self.header = read_header(source.data, str(source.path))
        try:
            self.start_time = start_time(source.path.name, time_zone)
        except (KeyError, ValueError, OSError) as error:
            raise ConfigError(f"llamaDAQ: unknown time zone {time_zone!r}; name one such as 'Europe/Berlin'") from error
        self._n_events = 0
        self._seen: set[int] = set()

    def _decode(self, max_bytes: int | None, max_events: int | None) -> Iterator[Block]:
        header = self.header
        yield Block(HEADER, HEADER, header.to_struct(self.start_time, ACCURACY))
        rows = np.array([channel.row() for channel in header.channels], np.int64).reshape(-1, 5)
        if not len(rows):
            self._tally.gap(header.size, len(self.source.data), n_lost=0)
            return
        walker = Walker(self.source.data, header.size, header.version, rows)
        n_bytes, left = piece_bytes(max_bytes), max_events
        while left != 0 and (piece := walker.next(n_bytes, 1 << 62 if left is None else left)) is not None:
            left = None if left is None else left - len(piece.starts)
            for start, stop in piece.gaps.tolist():
                self._tally.gap(start, stop)
            self._tally.truncated_tail += int((piece.tails[:, 1] - piece.tails[:, 0]).sum())
            if len(piece.starts):
                yield from self._blocks(piece)
        if left == 0:
            self._tally.note(f"reading stopped after {max_events} events, as asked for")
        none = np.empty(0, np.int64)
        for channel in header.channels:
            if channel.number not in self._seen:
                yield Block(EVENT, channel.number, self._table(channel, none, none))

    def _blocks(self, piece: Piece) -> Iterator[Block]:
        packet_id = self._n_events + 1 + np.arange(len(piece.starts))
        self._n_events += len(piece.starts)
        self._tally.count("Event", len(piece.starts))
        first_and_last = []
        for row in np.unique(piece.channel).tolist():
            chosen = np.flatnonzero(piece.channel == row)
            channel = self.header.channels[row]
            table = self._table(channel, piece.starts[chosen], packet_id[chosen])
            self._seen.add(channel.number)
            times = table.array("unixtime")
            first_and_last += [(chosen[0], times[0]), (chosen[-1], times[-1])]
            yield Block(EVENT, channel.number, table)
        self._tally.saw_times(np.array([min(first_and_last)[1], max(first_and_last)[1]]))

    def _table(self, channel: Channel, starts: np.ndarray, packet_id: np.ndarray) -> Table:
        """Return the events of one channel that start at the given bytes."""
        n_head = header_words(channel["format_bits"])
        words = rows_of(self.source.data, starts, "<u4", n_head + int(channel.n_averaged > 0))
        ticks = (words[:, 0].astype(np.uint64) >> np.uint64(16)) << np.uint64(32) | words[:, 1]
        time = ticks * channel.dt * 1e-9
        values: dict[str, Any] = {
            "packet_id": packet_id,
            "fadc_channel_id": np.full(len(starts), channel.number),
            "fadc_status_bits": words[:, n_head - 1] >> 26 & 1,
            "time_since_run_start": time,
            "unixtime": self.start_time + time,
            "unixtime_accuracy": np.full(len(starts), ACCURACY),
            **_group_values(words, channel["format_bits"]),
        }
        groups = [group for bit, group in enumerate(GROUPS) if channel["format_bits"] >> bit & 1]
        table = Record(EVENT, (*COMMON, *itertools.chain(*groups))).table(values)
        return Table({**table.columns, **self._samples(channel, starts, words)})

    def _samples(self, channel: Channel, starts: np.ndarray, words: np.ndarray) -> dict[str, Any]:
        """Return the waveforms, and the test data of the moving-average window if there are any."""
        data, at = self.source.data, starts + 4 * words.shape[1]
        columns: dict[str, Any] = {}
        if n_samples := channel["sample_length"] // 2 * 2:
            samples = rows_of(data, at, "<u2", n_samples)
            columns["waveform_windowed"] = _waveform(samples, channel.dt, np.full(len(starts), channel.t0))
        at = at + 2 * n_samples
        if n_averaged := channel.n_averaged // 2 * 2:
            samples = rows_of(data, at, "<u2", n_averaged)
            t0 = channel.averaged_t0 + (words[:, -1] >> 16 & 0xFF) * channel.dt
            columns["waveform_presummed"] = _waveform(samples, channel.averaged_dt, t0)
        if channel.n_maw:
            words = rows_of(data, at + 2 * n_averaged, "<u4", channel.n_maw)
            columns["maw_test_data"] = Column(
                "maw_test_data", "<u4", "moving-average window, sample by sample", "ADC", (channel.n_maw,)
            ).build(words)
        return columns


def _group_values(words: np.ndarray, format_bits: int) -> dict[str, np.ndarray]:
    """Return the columns of the groups that the format bits announce; ``words`` (n, n_words)."""
    values: dict[str, np.ndarray] = {}
    at = 2
    if format_bits & 1:
        names = [column.name for column in GROUPS[0]]
        peak, first = words[:, at], words[:, at + 1]
        parts = [peak & 0xFFFF, peak >> 16, first >> 24, first & 0xFFFFFF, *words[:, at + 2 : at + 7].T]
        values.update(zip(names, parts, strict=True))
        at += 7
    for bit in (1, 2, 3):
        if format_bits >> bit & 1:
            values.update({column.name: words[:, at + k] for k, column in enumerate(GROUPS[bit])})
            at += len(GROUPS[bit])
    return values


def _waveform(samples: np.ndarray, dt: float, t0: np.ndarray) -> Table:
    return Table(
        {
            "t0": Array(t0.astype(np.float32), {"units": "ns", "description": "time of the first sample"}),
            "dt": Array(np.full(len(samples), dt), {"units": "ns", "description": "time between samples"}),
            "values": Array(samples, {"units": "ADC", "description": "samples as digitised"}),
        }
    )
