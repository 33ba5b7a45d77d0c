"""Struck SIS3302 digitizers: one packet for each event of a channel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pygama_core.accelerate import jit
from pygama_core.daq.columns import Column, Record, with_waveform
from pygama_core.daq.daqfile import Block
from pygama_core.daq.gather import BYTES, ragged_of, rows_of
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

NAME, MODEL = "ORSIS3302DecoderForEnergy", "ORSIS3302Model"
N_CHANNELS = 8
PERIODS = {0: 10.0, 1: 20.0, 2: 40.0, 3: 100.0, 4: 1000.0, 7: 10.0}  # [ns] by clockSource; 5 and 6 are external
NOMINAL = 10.0  # [ns]
EVENT = Record(
    NAME,
    (
        Column("packet_id", "<u4", "number of the packet in the file"),
        Column("energy", "<u4", "largest value of the energy filter", "ADC"),
        Column("energy_first", "<u4", "value of the energy filter at the start of its gate", "ADC"),
        Column("timestamp", "<u8", "time since the clock was reset", "clock_ticks"),
        *PLACE_COLUMNS,
        Column("flags", "<u4", "bits 31 pile-up, 30 retrigger, 29/28 next/last ADC triggered, 27:24 fast triggers"),
        Column("lost_records", "<u2", "records that the readout lost before this one"),
        Column("energy_waveform", "<u4", "energy filter, sample by sample", "ADC", ragged=True),
    ),
)


@jit(f"void({BYTES}, int64[:], int64[:], int64[:], uint16[:, ::1])")
def _unwrap(data: np.ndarray, offsets: np.ndarray, starts: np.ndarray, sizes: np.ndarray, out: np.ndarray) -> None:
    """Copy ring buffers of ``sizes`` samples at ``offsets``, each from its sample ``starts`` on."""
    for i in range(len(offsets)):
        at = starts[i]
        for k in range(out.shape[1]):
            byte = offsets[i] + 2 * at
            out[i, k] = np.uint16(data[byte]) | np.uint16(data[byte + 1]) << np.uint16(8)
            at = at + 1 if at + 1 < sizes[i] else 0


@dataclass(frozen=True, eq=False)
class _Layout:
    """Where the parts of (n,) packets lie."""

    samples_at: np.ndarray  # first byte of the samples
    n_raw: np.ndarray  # words of samples
    n_energy: np.ndarray  # words of the energy filter's waveform
    is_wrapped: np.ndarray
    wrap: np.ndarray  # (n, 2) samples in the ring buffer, index of the first

    @property
    def width(self) -> np.ndarray:
        """Samples of the waveforms."""
        return np.where(self.is_wrapped, self.wrap[:, 0], 2 * self.n_raw)


def _read_layout(data: np.ndarray, starts: np.ndarray, words: np.ndarray) -> _Layout:
    is_wrapped = (words[:, 1] & 1).astype(bool)
    wrap = np.zeros((len(words), 2), np.int64)
    wrap[is_wrapped] = rows_of(data, starts[is_wrapped] + 24, "<u4", 2)
    samples_at = starts + np.where(is_wrapped, 32, 24)
    return _Layout(samples_at, words[:, 2].astype(np.int64), words[:, 3].astype(np.int64), is_wrapped, wrap)


def decode(data: np.ndarray, packets: Packets, header: OrcaHeader) -> CardRows:
    """Return the rows of SIS3302 energy packets."""
    words = rows_of(data, packets.start, "<u4", 6)
    layout, places, periods = _read_layout(data, packets.start, words), places_of(words[:, 1]), _periods(header)
    tail = rows_of(data, packets.stop - 4 * check.SIS3302_TAIL, "<u4", 3)
    lost = (words[:, 1] >> 25) << 7 | words[:, 1] >> 1 & 0x7F
    values: dict[str, np.ndarray] = {
        "packet_id": packets.number,
        "energy": tail[:, 0],
        "energy_first": tail[:, 1],
        "timestamp": (words[:, 4].astype(np.uint64) >> np.uint64(16)) << np.uint64(32) | words[:, 5],
        **places.columns(),
        "flags": tail[:, 2],
        "lost_records": lost,
    }
    keys, width = places.keys, layout.width
    dt = np.array([periods.get(key, NOMINAL) for key in keys.tolist()])
    blocks = []
    for key, n_samples in np.unique(np.stack([keys, width], 1), axis=0).tolist():
        chosen = np.flatnonzero((keys == key) & (width == n_samples))
        columns: dict[str, Any] = {name: column[chosen] for name, column in values.items()}
        energy_at = layout.samples_at[chosen] + 4 * layout.n_raw[chosen]
        columns["energy_waveform"] = ragged_of(data, energy_at, 4 * layout.n_energy[chosen], "<u4")
        samples = _samples(data, layout, chosen, n_samples)
        blocks.append(Block(NAME, key, with_waveform(EVENT.table(columns), samples, dt[chosen[0]])))
    return CardRows(blocks, values["timestamp"] * dt * 1e-9)


def _samples(data: np.ndarray, layout: _Layout, chosen: np.ndarray, n_samples: int) -> np.ndarray:
    """Return the waveforms of the chosen packets, in the order of time."""
    samples = rows_of(data, layout.samples_at[chosen], "<u2", n_samples)
    rotated = np.flatnonzero(layout.is_wrapped[chosen])
    if len(rotated):
        unwrapped = np.empty((len(rotated), n_samples), np.uint16)
        size, first = layout.wrap[chosen[rotated]].T
        _unwrap(data, layout.samples_at[chosen[rotated]], first, size, unwrapped)
        samples[rotated] = unwrapped
    return samples


def _periods(header: OrcaHeader) -> dict[int, float]:
    """Return the sampling period [ns] of every channel in the header; NaN with an external clock."""
    return {
        channel_key(crate, slot, channel): PERIODS.get(setting(card, "clockSource"), float("nan"))
        for (crate, slot), card in cards_of(header, MODEL).items()
        for channel in range(N_CHANNELS)
    }


def empty(header: OrcaHeader) -> Iterator[Block]:
    """Yield a block without rows for every channel that may trigger."""
    periods = _periods(header)
    for (crate, slot), card in cards_of(header, MODEL).items():
        mask = setting(card, "internalTriggerEnabledMask") | setting(card, "externalTriggerEnabledMask")
        for channel in bits_of(mask, N_CHANNELS):
            key = channel_key(crate, slot, channel)
            none = np.empty((0, max(setting(card, "sampleLengths", channel // 2), 0)), np.uint16)
            yield Block(NAME, key, with_waveform(EVENT.empty(), none, periods[key]))


DECODER = CardDecoder(check.SIS3302, decode, empty)
