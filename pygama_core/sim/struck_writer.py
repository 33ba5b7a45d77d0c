"""Write the records of Struck digitizers in VME crates as ORCA packets: SIS3302 and SIS3316.

Layouts: ``shared/formats/orca.md``, sections 5 and 6. The SIS3316 event itself is also that of llamaDAQ files.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pygama_core.sim.orca_writer import OrcaHeader, header, packet

SIS3302, SIS3316 = "ORSIS3302DecoderForEnergy", "ORSIS3316WaveformDecoder"
TRAILER = 0xDEADBEEF
N_SPARE = 4
MAW_TEST, PILE_UP = 1 << 27, 1 << 26


@dataclass(frozen=True)
class VmeCard:
    """A card in a crate: what its entry in the header says besides its place."""

    crate: int
    slot: int
    model: str  # e.g. "ORSIS3302Model"
    settings: Mapping[str, Any] = field(default_factory=dict)

    def location(self, channel: int) -> int:
        """Return the bits of a packet's second word that tell where it comes from."""
        return self.crate << 21 | self.slot << 16 | channel << 8


def vme_header(cards: Sequence[VmeCard], decoders: Sequence[str], *, start_time: int = 0) -> bytes:
    """Return the header packet of a run with VME cards; crates stand in it in falling order, as they may."""
    crates = []
    for number in sorted({card.crate for card in cards}, reverse=True):
        entries = [
            {"Card": card.slot, "Class Name": card.model, **card.settings} for card in cards if card.crate == number
        ]
        crates.append({"CrateNumber": number, "ClassName": "ORVme64CrateModel", "FirstSlot": 0, "Cards": entries})
    extra = {"ObjectInfo": {"Crates": crates}, "ReadoutDescription": []}
    records = ("ORRunDecoderForRun", *decoders)
    return header(OrcaHeader((), n_samples=0, start_time=start_time, records=records, extra=extra))


@dataclass(frozen=True, eq=False)
class Sis3302Event:
    """One record of a SIS3302.

    Parameters
    ----------
    timestamp : 48 bits [clock ticks]
    samples : (even n,) uint16
    wrap : number of samples in the ring buffer and index of the first one; None if the buffer was not in wrap mode
    """

    channel: int
    timestamp: int
    samples: np.ndarray
    energy: int = 0
    energy_first: int = 0
    flags: int = 0
    energy_waveform: tuple[int, ...] = ()
    n_lost: int = 0
    wrap: tuple[int, int] | None = None


def sis3302_packet(card: VmeCard, event: Sis3302Event) -> bytes:
    """Return an energy record; with ``wrap`` the samples are stored rotated, as the card does."""
    lost = event.n_lost >> 7 << 25 | (event.n_lost & 0x7F) << 1
    location = card.location(event.channel) | lost | int(event.wrap is not None)
    stored = np.asarray(event.samples, "<u2")
    words = [location, len(stored) // 2, len(event.energy_waveform)]
    words += [event.timestamp >> 32 << 16 | event.channel & 7, event.timestamp & 0xFFFFFFFF]
    if event.wrap is not None:
        n_wrapped, first = event.wrap
        stored = np.concatenate([np.roll(stored[:n_wrapped], first), stored[n_wrapped:]])
        words += [n_wrapped, first]
    tail = [*event.energy_waveform, event.energy, event.energy_first, event.flags, TRAILER]
    return packet(SIS3302, _words(words) + stored.astype("<u2").tobytes() + _words(tail))


@dataclass(frozen=True, eq=False)
class Sis3316Event:
    """One event of a SIS3316.

    Parameters
    ----------
    number : channel id of 12 bits; the channel is in the last 4
    timestamp : 48 bits [clock ticks]
    samples : (even n,) uint16
    format_bits : which groups follow the timestamp
    peak : index and value of the largest sample
    sums : accumulators 1 to 8
    maw, energies : (3,) and (2,) values of the moving-average window and of the energy filter
    maw_test : test data
    averaged : averaged samples and how many raw samples the average was off (llamaDAQ only)
    """

    number: int
    timestamp: int
    samples: np.ndarray
    format_bits: int = 0xF
    peak: tuple[int, int] = (0, 0)
    information: int = 0
    sums: tuple[int, ...] = (0,) * 8
    maw: tuple[int, int, int] = (0, 0, 0)
    energies: tuple[int, int] = (0, 0)
    is_pile_up: bool = False
    maw_test: tuple[int, ...] = ()
    averaged: np.ndarray | None = None
    average_count: int = 0


def sis3316_event(event: Sis3316Event) -> bytes:
    """Return the bytes of an event."""
    words = [event.format_bits | event.number << 4 | event.timestamp >> 32 << 16, event.timestamp & 0xFFFFFFFF]
    groups = (
        (event.peak[0] << 16 | event.peak[1], event.information << 24 | event.sums[0], *event.sums[1:6]),
        event.sums[6:8],
        event.maw,
        event.energies,
    )
    for bit, group in enumerate(groups):
        words += group if event.format_bits >> bit & 1 else ()
    samples = np.asarray(event.samples, "<u2")
    length = len(samples) // 2 | (MAW_TEST if event.maw_test else 0) | (PILE_UP if event.is_pile_up else 0)
    if event.averaged is None:
        return _words([*words, 0xE << 28 | length]) + samples.tobytes() + _words(event.maw_test)
    averaged = np.asarray(event.averaged, "<u2")
    words += [0xA << 28 | length, 0xE << 28 | event.average_count << 16 | len(averaged) // 2]
    return _words(words) + samples.tobytes() + averaged.tobytes() + _words(event.maw_test)


def sis3316_packet(card: VmeCard, channel: int, events: Sequence[Sis3316Event], *, by_sbc: bool = True) -> bytes:
    """Return a packet of events of one channel and one size; without a single-board computer it holds one event."""
    data = [sis3316_event(event) for event in events]
    n_words = len(data[0]) // 4
    n_header = n_words - len(events[0].samples) // 2 - len(events[0].maw_test)
    counts = [len(events), n_words, len(events), n_header] if by_sbc else [1, n_words, 0, 0]
    return packet(SIS3316, _words([card.location(channel), *counts, *[0] * N_SPARE]) + b"".join(data))


def _words(values: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)
