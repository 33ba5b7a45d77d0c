"""The channels of one DAQ cycle: which are there, in trace-map order, with their electronics as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from pygama_core.channelmap import Channel
from pygama_core.errors import ConfigError
from pygama_core.sim.settings import SAMPLE_PERIOD, FrontEnd, Run, SimulationSettings

STREAM, CARD = 1_000_000, 100  # rawid = stream * STREAM + card address * CARD + input
RISE_TO_TIME_CONSTANT = np.log(9)  # 10-90 % rise time of a one-pole low-pass over its time constant

ELECTRONICS = np.dtype(
    [
        ("gain", "f8"),  # [ADC/keV] or [ADC/photoelectron]
        ("baseline", "f8"),  # [ADC]
        ("decay", "f8"),  # signal left after one sample
        ("smoothing", "f8"),  # low-pass: share of its state left after one sample
        ("white_noise", "f8"),  # [ADC]
        ("slow_noise", "f8"),  # [ADC]
        ("slow_noise_time", "f8"),  # [samples]
    ]
)


@dataclass(frozen=True, eq=False)
class Layout:
    """The channels present in a cycle, sorted by rawid."""

    names: tuple[str, ...]
    channels: tuple[Channel, ...]
    electronics: np.ndarray  # (n_channels,) of ELECTRONICS

    def of_system(self, system: str) -> np.ndarray:
        """Return the trace indices of one system, (n,) int64."""
        return np.array([i for i, channel in enumerate(self.channels) if channel.system == system], dtype=np.int64)

    @property
    def streamid(self) -> int:
        """Stream (FlashCam listener) of all channels."""
        return int(self.rawids[0]) // STREAM

    @property
    def rawids(self) -> np.ndarray:
        """Return the rawid of each trace index, (n_channels,) int64."""
        return np.array([channel.rawid for channel in self.channels], dtype=np.int64)


def card_input(rawid: int) -> tuple[int, int]:
    """Return the card address and the input on that card."""
    return rawid % STREAM // CARD, rawid % CARD


def check_channels(settings: SimulationSettings, channels: Mapping[str, Channel]) -> None:
    """Raise ConfigError unless settings and channel map name the same channels, in one stream."""
    parts: dict[str, Mapping[str, FrontEnd]]
    parts = {"geds": settings.germanium, "spms": settings.sipm, "puls": settings.pulser}
    for system, described in parts.items():
        mapped = {name for name, channel in channels.items() if channel.system == system}
        if mapped != set(described):
            raise ConfigError(
                f"channel map, system {system}: settings describe {_list(described)}, the map has {_list(mapped)}; "
                f"differing: {_list(mapped ^ set(described))}; add or remove them in one of the two files"
            )
    streams = {channel.rawid // STREAM for channel in channels.values()}
    if len(streams) != 1:
        raise ConfigError(f"channel map: rawids of {len(streams)} streams {sorted(streams)}; the simulation writes one")


def make_layout(settings: SimulationSettings, channels: Mapping[str, Channel], run: Run, timestamp: str) -> Layout:
    """Return the channels of one cycle; those listed as absent are left out."""
    check_channels(settings, channels)
    absent = set(run.absent.get(timestamp, []))
    names = sorted(set(channels) - absent, key=lambda name: channels[name].rawid)
    described: dict[str, FrontEnd] = {**settings.germanium, **settings.sipm, **settings.pulser}
    rows = [electronics_row(described[name], run.gain_factors.get(name, 1.0)) for name in names]
    return Layout(tuple(names), tuple(channels[name] for name in names), np.array(rows, dtype=ELECTRONICS))


def electronics_row(front_end: FrontEnd, gain_factor: float = 1.0) -> tuple[float, ...]:
    """Return one row of ELECTRONICS: times become factors per sample."""
    decay = float(np.exp(-SAMPLE_PERIOD / (1000 * front_end.decay_time)))
    smoothing = float(np.exp(-SAMPLE_PERIOD * RISE_TO_TIME_CONSTANT / front_end.rise_time))
    slow_noise_time = 1000 * front_end.slow_noise_time / SAMPLE_PERIOD
    noise = (front_end.white_noise, front_end.slow_noise, slow_noise_time)
    return (front_end.gain * gain_factor, front_end.baseline, decay, smoothing, *noise)


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
