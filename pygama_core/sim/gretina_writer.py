"""Write GRETINA4M records of the MAJORANA firmware as ORCA packets, plain or with a presummed tail.

Layout: ``shared/formats/orca.md``, section 7.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pygama_core.errors import ConfigError
from pygama_core.sim.orca_writer import packet

DECODER = "ORGretina4MWaveformDecoder"
N_SAMPLES = 2018
N_CHANNELS = 10
EVENT_MARK = 0xAAAAAAAA
FACTORS = (2, 4, 8, 10)
DIVISORS = (1, 2, 4, 8)
N_RESERVED = 10  # words between header and samples


@dataclass(frozen=True)
class Multirate:
    """How a trace is recorded: ``n_full`` samples as digitised, then sums of ``factor`` samples over ``divisor``."""

    n_full: int
    factor: int = 4
    divisor: int = 4

    @property
    def n_presummed(self) -> int:
        """Samples of the tail."""
        return N_SAMPLES - self.n_full

    @property
    def n_raw(self) -> int:
        """Samples that the recorded trace covers."""
        return self.n_full + self.factor * self.n_presummed


def gretina_settings(modes: Sequence[Multirate | None]) -> dict[str, Any]:
    """Return the settings of a card with these channels; None records a plain trace."""
    settings: dict[str, Any] = {"Enabled": [True] * len(modes) + [False] * (N_CHANNELS - len(modes))}
    padded = [*modes, *[None] * (N_CHANNELS - len(modes))]
    settings["Mrpsrt"] = [FACTORS.index(mode.factor) if mode else 0 for mode in padded]
    settings["Mrpsdv"] = [DIVISORS.index(mode.divisor) if mode else 0 for mode in padded]
    settings["FtCnt"] = [mode.n_presummed - 8 if mode else 0 for mode in padded]
    settings["Prerecnt"] = [mode.n_full // 2 if mode else 1000 for mode in padded]
    settings["Postrecnt"] = [mode.n_full - mode.n_full // 2 + 1 if mode else 1018 for mode in padded]
    for name in ("Chpsrt", "Chpsdv"):
        settings[name] = [0] * N_CHANNELS
    return settings | {"PreSum Enabled": [False] * N_CHANNELS, "Down Sample": 0, "Integration Time": 450}


def presum(trace: np.ndarray, mode: Multirate) -> np.ndarray:
    """Return what the card records, (2018,) int16, of a trace of at least ``mode.n_raw`` samples."""
    if len(trace) < mode.n_raw:
        raise ConfigError(f"GRETINA writer: trace of {len(trace)} samples; the recorded one covers {mode.n_raw}")
    tail = np.asarray(trace[mode.n_full : mode.n_raw], np.int64).reshape(-1, mode.factor).sum(axis=1) // mode.divisor
    return np.concatenate([trace[: mode.n_full], tail]).astype(np.int16)


@dataclass(frozen=True, eq=False)
class GretinaEvent:
    """One event: ``timestamp`` of 48 bits [10 ns], signed ``energy`` of 25 bits, samples (2018,) int16 as recorded."""

    channel: int
    timestamp: int
    samples: np.ndarray
    energy: int = 0
    board_id: int = 0

    def to_bytes(self) -> bytes:
        """Return the 1024 words of the event."""
        energy = self.energy & 0x1FFFFFF
        words = [EVENT_MARK, self.board_id << 4 | self.channel, self.timestamp & 0xFFFFFFFF]
        words += [(energy & 0xFFFF) << 16 | self.timestamp >> 32, energy >> 16, *[0] * N_RESERVED]
        return struct.pack(f"<{len(words)}I", *words) + np.asarray(self.samples, "<i2").tobytes()


def gretina_packet(crate: int, slot: int, events: Sequence[GretinaEvent], *, serial: int = 0) -> bytes:
    """Return a packet; ORCA puts one event into each."""
    location = crate << 21 | slot << 16 | serial
    return packet(DECODER, struct.pack("<I", location) + b"".join(event.to_bytes() for event in events))
