"""GRETINA4M digitizers with the MAJORANA firmware: plain traces, and traces with a presummed tail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from pygama_core.daq.columns import Column, Record, with_waveform
from pygama_core.daq.daqfile import Block
from pygama_core.daq.gather import rows_of
from pygama_core.daq.orca import card_checks as check
from pygama_core.daq.orca.header import OrcaHeader
from pygama_core.daq.orca.multirate import DIVISORS, FACTORS, N_SAMPLES, Multirate, expand
from pygama_core.daq.orca.packets import Packets
from pygama_core.daq.orca.vme import PLACE_COLUMNS, CardDecoder, CardRows, Places, cards_of, channel_key, setting
from pygama_core.lh5.types import Array, Table

NAME, MODEL = "ORGretina4MWaveformDecoder", "ORGretina4MModel"
TICK = 10.0  # [ns]
DOWN_SAMPLE = (1, 2, 4, 8, 16)
EVENT = Record(
    NAME,
    (
        Column("packet_id", "<u4", "number of the packet in the file"),
        Column("ievt", "<u4", "number of the event in its packet"),
        Column("energy", "<u4", "energy filter, 25 bits as recorded", "ADC"),
        Column("energy_magnitude", "<u4", "magnitude of the energy, a two's complement of 25 bits", "ADC"),
        Column("timestamp", "<u8", "time since the clock was reset", "clock_ticks"),
        *PLACE_COLUMNS,
        Column("board_id", "<u4", "number of the board"),
    ),
)
PRESUM_START = Column("presum_start", "<u2", "index of the first presummed sample in waveform_recorded")


def decode(data: np.ndarray, packets: Packets, header: OrcaHeader) -> CardRows:
    """Return the rows of GRETINA4M packets; presorted packets, compressed or cut, are counted only."""
    n_words = (packets.stop - packets.start) // 4 - check.GRETINA_HEADER
    is_whole = n_words % check.GRETINA_EVENT == 0
    packet, ievt = _events((n_words // check.GRETINA_EVENT)[is_whole])
    starts = packets.start[is_whole][packet] + 4 * (check.GRETINA_HEADER + check.GRETINA_EVENT * ievt)
    location = rows_of(data, packets.start[is_whole][packet], "<u4", 2)[:, 1]
    words = rows_of(data, starts, "<u4", check.GRETINA_SAMPLES_AT)
    is_sound = (words[:, 0] == check.GRETINA_MARK) & (words[:, 1] & 0xF < check.N_GRETINA_CHANNELS)
    gaps = np.stack([starts, starts + 4 * check.GRETINA_EVENT], 1)[~is_sound]
    starts, words, location = starts[is_sound], words[is_sound], location[is_sound]
    places = Places(location >> 21 & 0xF, location >> 16 & 0x1F, words[:, 1] & 0xF)
    values = _values(words, places)
    values |= {"packet_id": packets.number[is_whole][packet[is_sound]], "ievt": ievt[is_sound]}
    cards, keys, blocks = cards_of(header, MODEL), places.keys, []
    for key in np.unique(keys).tolist():
        chosen = np.flatnonzero(keys == key)
        card = cards.get((key >> 9, key >> 4 & 0x1F), {})
        table = EVENT.table({name: column[chosen] for name, column in values.items()})
        samples = rows_of(data, starts[chosen] + 4 * check.GRETINA_SAMPLES_AT, "<i2", N_SAMPLES)
        blocks.append(Block(NAME, key, _with_traces(table, samples, card, key & 0xF)))
    return CardRows(blocks, values["timestamp"] * (TICK * 1e-9), gaps, int((~is_whole).sum()))


def _events(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return of every event the number of its packet and its number in there; ``counts`` (n_packets,) of events."""
    packet = np.repeat(np.arange(len(counts)), counts)
    return packet, np.arange(len(packet)) - np.repeat(np.cumsum(counts) - counts, counts)


def _values(words: np.ndarray, places: Places) -> dict[str, Any]:
    high = (words[:, 3] & 0xFFFF).astype(np.uint64)
    energy = (words[:, 4] & 0x1FF) << 16 | words[:, 3] >> 16
    return {
        "energy": energy,
        "energy_magnitude": np.where(energy >> 24, (1 << 25) - energy, energy),
        "timestamp": high << np.uint64(32) | words[:, 2],
        **places.columns(),
        "board_id": words[:, 1] >> 4 & 0xFFF,
    }


def _with_traces(table: Table, samples: np.ndarray, card: Mapping[str, Any], channel: int) -> Table:
    """Return the table with the traces; with a presummed tail the expanded and the recorded ones."""
    mode, dt = read_multirate(card, channel), _period(card, channel)
    if not mode.is_on:
        return with_waveform(table, samples, dt)
    borders = np.empty(len(samples), np.int64)
    expanded = np.empty((len(samples), mode.n_expanded), np.int16)
    numbers = np.array([mode.n_tail, mode.n_full, mode.factor, mode.divisor])
    expand(np.ascontiguousarray(samples, np.int16), numbers, borders, expanded)
    columns = with_waveform(table, expanded, dt).columns
    more = {
        PRESUM_START.name: PRESUM_START.build(borders),
        "waveform_recorded": Array(samples, {"units": "ADC", "description": "samples as recorded, the last ones sums"}),
    }
    return Table({**columns, **more}, table.attrs)


def read_multirate(card: Mapping[str, Any], channel: int) -> Multirate:
    """Return how a channel records its traces."""
    n_full = setting(card, "Prerecnt", channel) + setting(card, "Postrecnt", channel)
    return Multirate(
        n_tail=setting(card, "FtCnt", channel),
        n_full=n_full,
        factor=_entry(FACTORS, setting(card, "Mrpsrt", channel)),
        divisor=_entry(DIVISORS, setting(card, "Mrpsdv", channel)),
    )


def _period(card: Mapping[str, Any], channel: int) -> float:
    """Return the time between samples [ns]: longer if whole traces are presummed or thinned out."""
    n_summed = _entry(FACTORS, setting(card, "Chpsrt", channel)) if setting(card, "PreSum Enabled", channel) else 1
    return TICK * n_summed * _entry(DOWN_SAMPLE, setting(card, "Down Sample"))


def _entry(table: tuple[int, ...], index: int) -> int:
    return table[index] if 0 <= index < len(table) else table[0]


def empty(header: OrcaHeader) -> Iterator[Block]:
    """Yield a block without rows for every channel that is on."""
    for (crate, slot), card in cards_of(header, MODEL).items():
        for channel in range(check.N_GRETINA_CHANNELS):
            if setting(card, "Enabled", channel):
                table = _with_traces(EVENT.empty(), np.empty((0, N_SAMPLES), np.int16), card, channel)
                yield Block(NAME, channel_key(crate, slot, channel), table)


DECODER = CardDecoder(check.GRETINA, decode, empty)
