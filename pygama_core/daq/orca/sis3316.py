"""Struck SIS3316 digitizers: packets of several events of one channel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pygama_core.accelerate import jit
from pygama_core.daq.columns import Column, Record, with_waveform
from pygama_core.daq.daqfile import Block
from pygama_core.daq.gather import BYTES, padded_rows_of, ragged_of, rows_of
from pygama_core.daq.orca import card_checks as check
from pygama_core.daq.orca.header import OrcaHeader
from pygama_core.daq.orca.packets import Packets
from pygama_core.daq.orca.vme import (
    PLACE_COLUMNS,
    CardDecoder,
    CardRows,
    bits_of,
    cards_of,
    channel_key,
    places_of,
    setting,
)

NAME, MODEL = "ORSIS3316WaveformDecoder", "ORSIS3316Model"
N_CHANNELS = 16
DT = 8.0  # [ns]; the 250 MHz module is not marked as such
ABSENT = 0xFFFFFFFF
ABSENT_TEXT = "; 4294967295 if not recorded"
MAX_HEADER = 17  # words of an event's header with all groups
GROUPS = (  # by format bit: (column, what it is, unit); the first two words of bit 0 hold two values each
    (
        ("peakHighValue", "largest sample", "ADC"),
        ("peakHighIndex", "index of the largest sample", "ADC"),
        ("information", "information byte of the digitizer", ""),
        *((f"accSum{k}", f"sum of the samples in gate {k}", "ADC") for k in range(1, 7)),
    ),
    tuple((f"accSum{k}", f"sum of the samples in gate {k}", "ADC") for k in (7, 8)),
    (
        ("mawMax", "largest value of the moving-average window", "ADC"),
        ("mawBefore", "moving average before the trigger", "ADC"),
        ("mawAfter", "moving average behind the trigger", "ADC"),
    ),
    (
        ("startEnergy", "value of the energy filter at its start", "ADC"),
        ("maxEnergy", "largest value of the energy filter", "ADC"),
    ),
)
EVENT = Record(
    NAME,
    (
        Column("packet_id", "<u4", "number of the packet in the file"),
        Column("energy", "<u4", f"largest value of the energy filter, as maxEnergy{ABSENT_TEXT}", "ADC"),
        Column("energy_first", "<u4", f"value of the energy filter at its start, as startEnergy{ABSENT_TEXT}"),
        Column("timestamp", "<u8", "time since the clock was reset", "clock_ticks"),
        *PLACE_COLUMNS,
        *(Column(name, "<u4", doc + ABSENT_TEXT, unit) for group in GROUPS for name, doc, unit in group),
        Column("pile_up", "?", "the digitizer saw a pile-up"),
        Column("maw_test_data", "<u4", "moving-average window, sample by sample", "ADC", ragged=True),
    ),
)
# columns of an event row
PACKET, AT, N_WORDS, N_RAW = range(4)


@jit(f"int64({BYTES}, int64[::1], int64[::1], int64[:, ::1])")
def _list_events(data: np.ndarray, starts: np.ndarray, stops: np.ndarray, out: np.ndarray) -> int:
    """List the events of packets: number of the packet, first byte, words, words of samples (-1: damaged)."""
    n = 0
    for i in range(len(starts)):
        n_events, n_words = check.sis3316_shape(data, starts[i], (stops[i] - starts[i]) // 4)
        for k in range(n_events):
            at = starts[i] + 4 * (check.SIS3316_HEADER + k * n_words)
            out[n, PACKET], out[n, AT], out[n, N_WORDS] = i, at, n_words
            out[n, N_RAW] = check.sis3316_raw_words(data, at, n_words)
            n += 1
    return n


def decode(data: np.ndarray, packets: Packets, header: OrcaHeader) -> CardRows:
    """Return the rows of SIS3316 waveform packets."""
    head = rows_of(data, packets.start, "<u4", 3)
    events = np.empty((int(np.maximum(head[:, 2], 1).sum()), 4), np.int64)
    events = events[: _list_events(data, packets.start, packets.stop, events)]
    damaged = events[events[:, N_RAW] < 0]
    events = events[events[:, N_RAW] >= 0]
    places = places_of(head[events[:, PACKET], 1])
    values, n_header = _values(data, events)
    values |= {"packet_id": packets.number[events[:, PACKET]], **places.columns()}
    at_samples = events[:, AT] + 4 * n_header
    keys, blocks = places.keys, []
    for key, n_raw in np.unique(np.stack([keys, events[:, N_RAW]], 1), axis=0).tolist():
        chosen = np.flatnonzero((keys == key) & (events[:, N_RAW] == n_raw))
        columns: dict[str, Any] = {name: column[chosen] for name, column in values.items()}
        n_maw = np.where(columns.pop("has_maw"), events[chosen, N_WORDS] - n_header[chosen] - n_raw, 0)
        columns["maw_test_data"] = ragged_of(data, at_samples[chosen] + 4 * n_raw, 4 * n_maw, "<u4")
        samples = rows_of(data, at_samples[chosen], "<u2", 2 * n_raw)
        blocks.append(Block(NAME, key, with_waveform(EVENT.table(columns), samples, DT)))
    gaps = np.stack([damaged[:, AT], damaged[:, AT] + 4 * damaged[:, N_WORDS]], 1)
    return CardRows(blocks, values["timestamp"] * (DT * 1e-9), gaps)


def _values(data: np.ndarray, events: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the columns that stand in the events' headers, and the words of these headers (n_events,)."""
    sizes = np.minimum(4 * events[:, N_WORDS], 4 * MAX_HEADER)
    words = _padded_words(data, events[:, AT], sizes)
    format_bits = words[:, 0] & 0xF
    values = {"timestamp": (words[:, 0].astype(np.uint64) >> np.uint64(16)) << np.uint64(32) | words[:, 1]}
    at = np.full(len(words), 2)
    rows = np.arange(len(words))
    for bit, group in enumerate(GROUPS):
        is_there = format_bits >> bit & 1 == 1
        n_words = 7 if bit == 0 else len(group)
        part = words[rows[:, np.newaxis], np.minimum(at[:, np.newaxis] + np.arange(n_words), MAX_HEADER - 1)]
        if bit == 0:
            peak, first = part[:, 0], part[:, 1]
            split = [peak & 0xFFFF, peak >> 16, first >> 24, first & 0xFFFFFF]
            part = np.column_stack([*split, part[:, 2:]])
        for k, (name, _, _) in enumerate(group):
            values[name] = np.where(is_there, part[:, k], np.uint32(ABSENT))
        at = at + np.where(is_there, n_words, 0)
    last = words[rows, at]
    values |= {"energy": values["maxEnergy"], "energy_first": values["startEnergy"]}
    values |= {"pile_up": last >> 26 & 1 == 1, "has_maw": last >> 27 & 1 == 1}
    return values, at + 1


def _padded_words(data: np.ndarray, offsets: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return (n, MAX_HEADER) words of ``sizes`` bytes each, filled up with zeros."""
    rows = padded_rows_of(data, np.ascontiguousarray(offsets), sizes, np.dtype((np.void, 4 * MAX_HEADER)))
    return rows.view("<u4").reshape(len(rows), MAX_HEADER)


def empty(header: OrcaHeader) -> Iterator[Block]:
    """Yield a block without rows for every channel that is on."""
    for (crate, slot), card in cards_of(header, MODEL).items():
        for channel in bits_of(setting(card, "enabledMask"), N_CHANNELS):
            none = np.empty((0, max(setting(card, "rawDataBufferLen"), 0)), np.uint16)
            yield Block(NAME, channel_key(crate, slot, channel), with_waveform(EVENT.empty(), none, DT))


DECODER = CardDecoder(check.SIS3316, decode, empty)
