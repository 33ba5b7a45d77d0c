"""FlashCam waveforms that ORCA wrote by itself until about 2024: one packet for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pygama_core.daq.columns import Column, Record, with_waveform
from pygama_core.daq.daqfile import Block
from pygama_core.daq.fcio.config import SIXTEEN_BIT_DT, TWELVE_BIT_DT
from pygama_core.daq.fcio.events import CLOCK_COLUMNS, split_by_key
from pygama_core.daq.fcio.events import EVENT as FCIO_EVENT
from pygama_core.daq.fcio.state import OFFSET, REGION, STAMP
from pygama_core.daq.gather import rows_of
from pygama_core.daq.orca.header import OrcaHeader
from pygama_core.daq.orca.listener import ListenerConfig
from pygama_core.daq.orca.packets import Packets

SIX_INPUTS = "ORFlashCamADCWaveformDecoder"
MANY_INPUTS = "ORFlashCamWaveformDecoder"  # up to 24 inputs

NARROW = {"event_type": "u1", "fcid": "u1", "fc_input": "u1"}
WAVEFORM = Record(
    SIX_INPUTS,
    (
        *(replace(column, dtype=NARROW.get(column.name, column.dtype)) for column in FCIO_EVENT.columns),
        Column("crate", "u1", "crate of the card"),
        Column("slot", "u1", "slot of the card in its crate"),
    ),
)


@dataclass(frozen=True, eq=False)
class _Words:
    """Words of (n,) waveform packets."""

    ids: np.ndarray  # (n,) uint32: word 2
    clock: Mapping[int, np.ndarray]  # OFFSET (n, 7), REGION (n, 5), STAMP (n, 4) int32
    fpga: np.ndarray  # (n, 2) uint16 baseline and energy
    event_type: np.ndarray  # (n,) uint32


def _read_words(data: np.ndarray, starts: np.ndarray, n_more: int) -> _Words:
    """Read packets with ``n_more`` words (15 or 17) behind the three common ones."""
    words = rows_of(data, starts, "<u4", 3 + n_more)
    n_offsets = n_more - 10
    clock = words[:, 3:].astype(np.int32)
    offset = np.zeros((len(words), 7), np.int32)
    offset[:, :n_offsets] = clock[:, :n_offsets]
    parts = {
        OFFSET: offset,
        REGION: clock[:, n_offsets : n_offsets + 5],
        STAMP: clock[:, n_offsets + 5 : n_offsets + 9],
    }
    last = words[:, -1]
    return _Words(words[:, 2], parts, np.stack([last & 0xFFFF, last >> 16], 1).astype(np.uint16), words[:, 1] & 0x3F)


def _card_of(ids: np.ndarray) -> np.ndarray:
    """Return crate * 32 + slot from word 2, (n,)."""
    return (ids >> 22 & 0x3FF).astype(np.int64)


def waveform_blocks(
    data: np.ndarray, packets: Packets, decoder: str, header: OrcaHeader, configs: Mapping[int, ListenerConfig]
) -> Iterator[Block]:
    """Yield the rows of every channel; packets of cards that the header does not know are left out."""
    words = rows_of(data, packets.start, "<u4", 3)
    n_more, n_samples = words[:, 1] >> 22 & 0x3F, words[:, 1] >> 6 & 0xFFFF
    fcid = header.card_table("fcid")[_card_of(words[:, 2])]
    groups = np.stack([n_more, n_samples, fcid], 1)
    for group in np.unique(groups[fcid >= 0], axis=0):
        chosen = packets.pick((groups == group).all(axis=1))
        yield from _listener_blocks(data, chosen, decoder, header, configs.get(int(group[2])))


def unknown_cards(data: np.ndarray, packets: Packets, header: OrcaHeader) -> int:
    """Return how many waveform packets come from cards that the header does not know."""
    cards = _card_of(rows_of(data, packets.start, "<u4", 3)[:, 2])
    return int((header.card_table("fcid")[cards] < 0).sum())


def _listener_blocks(
    data: np.ndarray, packets: Packets, decoder: str, header: OrcaHeader, config: ListenerConfig | None
) -> Iterator[Block]:
    """Yield the rows of packets of one listener and one shape."""
    shape = int(rows_of(data, packets.start[:1], "<u4", 2)[0, 1])
    n_more, n_samples = shape >> 22 & 0x3F, shape >> 6 & 0xFFFF
    words = _read_words(data, packets.start, n_more)
    cards = _card_of(words.ids)
    address, fcid = header.card_table("address")[cards], header.card_table("fcid")[cards]
    n_bits = 10 if decoder == SIX_INPUTS else 9  # of the channel number; the input is in the bits above
    inputs = words.ids >> n_bits & (0xF if decoder == SIX_INPUTS else 0x1F)
    keys = fcid * 1_000_000 + address * 100 + inputs
    values: dict[str, Any] = {
        "packet_id": packets.number,
        "fcid": fcid,
        "event_type": words.event_type,
        "numtraces": np.ones(len(keys), np.int32),
        "board_id": address,
        "fc_input": inputs,
        "channel": words.ids & ((1 << n_bits) - 1),
        "baseline": words.fpga[:, 0],
        "daqenergy": words.fpga[:, 1],
        "crate": cards >> 5,
        "slot": cards & 0x1F,
        "dr_ch_idx": np.zeros(len(keys), np.uint16),
        "dr_ch_len": np.full(len(keys), header.channels_of(int(fcid[0]))),
        **_times(words, config is not None and bool(config.fields["gps"])),
    }
    order = np.argsort(keys, kind="stable")
    table = replace(WAVEFORM, name=decoder).table({name: np.asarray(column)[order] for name, column in values.items()})
    waveforms = rows_of(data, packets.start[order] + 4 * (3 + n_more), "<u2", n_samples)
    yield from split_by_key(decoder, with_waveform(table, waveforms, _dt(decoder, config)), keys[order])


def _dt(decoder: str, config: ListenerConfig | None) -> float:
    if config is not None:
        return config.dt
    return SIXTEEN_BIT_DT if decoder == SIX_INPUTS else TWELVE_BIT_DT


def _times(words: _Words, uses_gps: bool) -> dict[str, np.ndarray]:
    """Return the clock columns and what follows from them; dead time is that of the last interval only."""
    columns = {name: words.clock[part][:, k] for name, part, k, _, _ in CLOCK_COLUMNS}
    real = {name: column.astype(np.float64) for name, column in columns.items()}
    runtime = real["ts_pps"] + real["ts_ticks"] / (real["ts_maxticks"] + 1)
    shift = real["to_master_sec"] if uses_gps else real["mu_offset_sec"] + 1e-6 * real["mu_offset_usec"]
    n_ticks = np.where(real["dr_maxticks"] > 0, real["dr_maxticks"], 1.0)
    seconds = real["dr_stop_pps"] - real["dr_start_pps"]
    return {
        **columns,
        "timestamp": runtime + shift,
        "runtime": runtime,
        "lifetime": np.zeros(len(runtime)),
        "deadtime": seconds + (real["dr_stop_ticks"] - real["dr_start_ticks"]) / n_ticks,
        "deadinterval_nsec": np.zeros(len(runtime), np.int64),
    }
