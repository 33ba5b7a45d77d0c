"""FCIO events to tables: Event and SparseEvent to one row for each trace, EventHeader to one row for each record."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pygama_core.accelerate import jit, kernel_part
from pygama_core.daq.columns import Column, Record, with_waveform
from pygama_core.daq.daqfile import Block
from pygama_core.daq.fcio import constants as fr
from pygama_core.daq.fcio.config import FcioConfig
from pygama_core.daq.fcio.index import Index
from pygama_core.daq.fcio.state import OFFSET, REGION, STAMP, ChannelTimes, EventTimes, StreamState
from pygama_core.daq.gather import BYTES, padded_rows_of, rows_of
from pygama_core.lh5.types import Table

CLOCK_COLUMNS = (  # name, clock word, doc, unit
    ("eventnumber", STAMP, 0, "trigger counter of the (top) card", ""),
    ("ts_pps", STAMP, 1, "seconds on the FPGA clock", "s"),
    ("ts_ticks", STAMP, 2, "4 ns ticks since the last full second of the FPGA clock", ""),
    ("ts_maxticks", STAMP, 3, "largest tick count of a second", ""),
    ("mu_offset_sec", OFFSET, 0, "server time minus FPGA time, seconds", "s"),
    ("mu_offset_usec", OFFSET, 1, "server time minus FPGA time, microseconds", "us"),
    ("to_master_sec", OFFSET, 2, "offset of the external clock to unix time, valid if gps is used", "s"),
    ("delta_mu_usec", OFFSET, 3, "difference of server and FPGA clock", "us"),
    ("abs_delta_mu_usec", OFFSET, 4, "absolute difference of server and FPGA clock", "us"),
    ("to_start_sec", OFFSET, 5, "start of the run, seconds", "s"),
    ("to_start_usec", OFFSET, 6, "start of the run, microseconds", "us"),
    ("dr_start_pps", REGION, 0, "start of the last dead interval, FPGA seconds", "s"),
    ("dr_start_ticks", REGION, 1, "start of the last dead interval, 4 ns ticks", ""),
    ("dr_stop_pps", REGION, 2, "end of the last dead interval, FPGA seconds", "s"),
    ("dr_stop_ticks", REGION, 3, "end of the last dead interval, 4 ns ticks", ""),
    ("dr_maxticks", REGION, 4, "largest tick count of a second at the end of the dead interval", ""),
)
RECORD_COLUMNS = (
    Column("packet_id", "<u4", "number of the record (ORCA: packet) in the file"),
    Column("fcid", "<u2", "number of the FlashCam stream"),
    Column("event_type", "<i4", "1: common trigger and readout, 11: cards trigger independently"),
    Column("numtraces", "<i4", "traces in the event"),
    Column("timestamp", "<f8", "unix time of the trigger", "s"),
    *(Column(name, "<i4", doc, unit) for name, _, _, doc, unit in CLOCK_COLUMNS),
    Column("dr_ch_idx", "<u2", "first channel the dead interval concerns"),
    Column("dr_ch_len", "<u2", "number of channels the dead interval concerns"),
)
TRACE_COLUMNS = (
    ("board_id", "<u2", "address of the card", ""),
    ("fc_input", "<u2", "input of the card", ""),
    ("runtime", "<f8", "time since trigger enable of the channel", "s"),
    ("lifetime", "<f8", "time since trigger enable of the channel without dead time", "s"),
    ("deadtime", "<f8", "dead time of the channel since trigger enable", "s"),
    ("deadinterval_nsec", "<i8", "length of the dead interval that ended before the event", "ns"),
    ("baseline", "<u2", "baseline computed in the FPGA", "ADC"),
    ("daqenergy", "<u2", "energy (16 bit) or integral (12 bit) computed in the FPGA", "ADC"),
)
EVENT = Record(
    "FCEvent",
    (
        *RECORD_COLUMNS,
        Column("channel", "<u2", "index of the trace in the stream"),
        *(Column(name, dtype, doc, unit) for name, dtype, doc, unit in TRACE_COLUMNS),
    ),
)
EVENT_HEADER = Record(
    "FCEventHeader",
    (
        *RECORD_COLUMNS,
        Column("tracelist", "<u2", "indices of the triggered traces", ragged=True),
        *(
            Column(name, dtype, f"{doc}, one for each trace", unit, ragged=True)
            for name, dtype, doc, unit in TRACE_COLUMNS
        ),
    ),
)
TAGS = (fr.EVENT, fr.SPARSE_EVENT, fr.EVENT_HEADER)

# columns of a row of traces
RECORD, TRACE, WORDS_AT = range(3)
FRAMES = "int64[:, ::1]"


@kernel_part
def _traces_of(row: int, records: np.ndarray, frames: np.ndarray, n_traces: int) -> int:
    first, tag = int(records[row, fr.FIRST_FRAME]), records[row, fr.TAG]
    if tag == fr.EVENT:
        return n_traces
    if tag == fr.SPARSE_EVENT:
        return int(records[row, fr.N_FRAMES]) - 7
    return int(frames[first + records[row, fr.N_FRAMES] - 2, 1]) // 2  # EventHeader: its list of traces


@jit(f"void({BYTES}, int64[::1], {FRAMES}, {FRAMES}, int64[::1], {FRAMES})")
def _expand(
    data: np.ndarray, rows: np.ndarray, records: np.ndarray, frames: np.ndarray, sizes: np.ndarray, out: np.ndarray
) -> None:
    """List the traces of event records: number of the event, index of the trace, byte of its two FPGA words."""
    n = 0
    for i in range(len(rows)):
        first, tag = records[rows[i], fr.FIRST_FRAME], records[rows[i], fr.TAG]
        last = first + records[rows[i], fr.N_FRAMES]
        listed = frames[first + 6, 0] if tag == fr.SPARSE_EVENT else frames[last - 2, 0]
        for k in range(_traces_of(rows[i], records, frames, sizes[1])):
            out[n, RECORD] = i
            if tag == fr.EVENT:
                out[n, TRACE], out[n, WORDS_AT] = k, frames[first + 4, 0] + 2 * k * (sizes[0] + 2)
            else:
                out[n, TRACE] = np.int64(data[listed + 2 * k]) + 256 * np.int64(data[listed + 2 * k + 1])
                out[n, WORDS_AT] = frames[first + 7 + k, 0] if tag == fr.SPARSE_EVENT else frames[last - 1, 0] + 4 * k
            n += 1


@dataclass(frozen=True, eq=False)
class Events:
    """Event records of a piece of a stream, decoded but for the waveforms.

    Parameters
    ----------
    tags : (n_events,) their record types
    columns : values of RECORD_COLUMNS, (n_events,) each
    traces : (n_traces, 3) int64: event, trace index, byte of the FPGA words
    times : of the traces
    """

    tags: np.ndarray
    columns: dict[str, np.ndarray]
    traces: np.ndarray
    times: ChannelTimes


def read_events(index: Index, config: FcioConfig, state: StreamState) -> Events:
    """Decode the event records of an index in file order, advancing the stream's state."""
    rows = index.select(*TAGS)
    tags = index.records[rows, fr.TAG]
    types = padded_rows_of(index.data, *index.frame(rows, 0), "<i4")
    region = np.where(tags == fr.EVENT, 5, 4)
    offsets, sizes = zip(*(index.frame(rows, k) for k in (2, 3, region)), strict=True)
    places = np.stack([np.stack(offsets, 1), np.stack(sizes, 1)], 2)
    times = state.read_times(index.data, places, tags == fr.EVENT)
    counts = _trace_counts(index, rows, config)
    traces = np.empty((int(counts.sum()), 3), np.int64)
    _expand(index.data, rows, index.records, index.frames, config.sizes, traces)
    columns = {
        "packet_id": index.packet_ids[rows].astype(np.uint32),
        "fcid": np.full(len(rows), config.fcid, np.uint16),
        "event_type": types,
        "numtraces": counts.astype(np.int32),
        "timestamp": times.unix(config.fields["gps"]),
        **_clock_columns(times, config),
    }
    return Events(tags, columns, traces, state.account(times, types, traces[:, :2]))


def _trace_counts(index: Index, rows: np.ndarray, config: FcioConfig) -> np.ndarray:
    tags, n_frames = index.records[rows, fr.TAG], index.records[rows, fr.N_FRAMES]
    _, list_sizes = index.frame(rows, n_frames - 2)
    counts = np.where(tags == fr.SPARSE_EVENT, n_frames - 7, list_sizes // 2)
    return np.where(tags == fr.EVENT, config.n_traces, counts)


def _clock_columns(times: EventTimes, config: FcioConfig) -> dict[str, np.ndarray]:
    columns = {name: times.words[:, part, k] for name, part, k, _, _ in CLOCK_COLUMNS}
    is_told = times.region_sizes >= 28  # [bytes]: the frame says which channels are concerned
    columns["dr_ch_idx"] = np.where(is_told, times.words[:, REGION, 5], 0).astype(np.uint16)
    columns["dr_ch_len"] = np.where(is_told, times.words[:, REGION, 6], config.fields["nadcs"]).astype(np.uint16)
    return columns


def _trace_columns(index: Index, config: FcioConfig, events: Events, picked: np.ndarray) -> dict[str, np.ndarray]:
    """Return the TRACE_COLUMNS of the picked traces."""
    trace = events.traces[picked, TRACE]
    words = rows_of(index.data, np.ascontiguousarray(events.traces[picked, WORDS_AT]), "<u2", 2)
    baseline, energy = fpga_values(words, config)
    return {
        "board_id": config.address[trace],
        "fc_input": config.input[trace],
        "runtime": events.times.runtime[picked],
        "lifetime": events.times.lifetime[picked],
        "deadtime": events.times.deadtime[picked],
        "deadinterval_nsec": events.times.deadinterval[picked],
        "baseline": baseline,
        "daqenergy": energy,
    }


def fpga_values(words: np.ndarray, config: FcioConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return baseline and energy [ADC] from the (n, 2) uint16 words in front of a trace."""
    precision = max(config.fields["blprecision"], 1)
    baseline = words[:, 0] // np.uint16(min(precision, 0xFFFF))
    if config.fields["adcbits"] != 12:
        return baseline, words[:, 1]
    integral = words[:, 1] - words[:, 0]  # wraps modulo 2**16
    scaled = np.trunc(config.fields["sumlength"] / precision * integral)
    return baseline, (scaled.astype(np.int64) & 0xFFFF).astype(np.uint16)


def event_blocks(index: Index, config: FcioConfig, events: Events) -> Iterator[Block]:
    """Yield the rows of every channel, waveforms included; a channel's rows are views into arrays sorted by channel."""
    is_digitised = (events.tags != fr.EVENT_HEADER)[events.traces[:, RECORD]]
    picked = np.flatnonzero(is_digitised)
    keys = config.keys[events.traces[picked, TRACE]]
    order = np.argsort(keys, kind="stable")
    picked, keys = picked[order], keys[order]
    of_record = events.traces[picked, RECORD]
    values: dict[str, Any] = {name: column[of_record] for name, column in events.columns.items()}
    values["channel"] = events.traces[picked, TRACE].astype(np.uint16)
    values.update(_trace_columns(index, config, events, picked))
    waveforms = rows_of(index.data, events.traces[picked, WORDS_AT] + 4, "<u2", config.n_samples)
    table = with_waveform(EVENT.table(values), waveforms, config.dt)
    yield from split_by_key(EVENT.name, table, keys)


def split_by_key(decoder: str, table: Table, keys: np.ndarray) -> Iterator[Block]:
    """Yield one block for each run of equal keys; ``keys`` (n_rows,) are sorted."""
    edges = np.flatnonzero(np.diff(keys, prepend=-1, append=-1)) if len(keys) else keys
    for start, stop in itertools.pairwise(edges.tolist()):
        yield Block(decoder, int(keys[start]), table.rows(slice(start, stop)))


def empty_block(config: FcioConfig, key: int) -> Block:
    """Return the block of a channel that saw nothing."""
    values = np.empty((0, config.n_samples), np.uint16)
    return Block(EVENT.name, key, with_waveform(EVENT.empty(), values, config.dt))


def header_block(index: Index, config: FcioConfig, events: Events) -> Block | None:
    """Return the table of the EventHeaders, or None without any."""
    is_header = events.tags == fr.EVENT_HEADER
    rows = np.flatnonzero(is_header)
    if not len(rows):
        return None
    picked = np.flatnonzero(is_header[events.traces[:, RECORD]])
    ends = np.cumsum(events.columns["numtraces"][rows], dtype=np.int64)
    values: dict[str, Any] = {name: column[rows] for name, column in events.columns.items()}
    values["tracelist"] = (events.traces[picked, TRACE], ends)
    for name, column in _trace_columns(index, config, events, picked).items():
        values[name] = (column, ends)
    return Block(EVENT_HEADER.name, f"fcid_{config.fcid}/evt_hdr", EVENT_HEADER.table(values))
