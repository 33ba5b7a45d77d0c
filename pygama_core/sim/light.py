"""Photoelectrons in SiPM traces: argon light, dark counts, crosstalk and after-pulses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pygama_core.sim.frontend import CHARGE_DTYPE, Traces
from pygama_core.sim.germanium import COMPONENT_COINCIDENT, Hits
from pygama_core.sim.layout import Layout
from pygama_core.sim.settings import SAMPLE_PERIOD, Photomultiplier, SimulationSettings, Source

# argon scintillation, Hitachi et al., Phys. Rev. B 27 (1983) 5279, doi:10.1103/PhysRevB.27.5279; electron recoils
SINGLET_TIME, TRIPLET_TIME, SINGLET_SHARE = 7.0, 1600.0, 0.23  # [ns], [ns], [1]
WIDTH = 8.0  # [ns] sigma of a photoelectron's current: spread of the transit time
LIGHT, DARK, CROSSTALK, AFTERPULSE = 0, 1, 2, 3
LEAD_TIME = 2000.0  # [ns] dark counts are drawn from this long before the trace

PHOTOELECTRON_DTYPE = np.dtype(
    [
        ("row", "i8"),  # trace
        ("time", "f8"),  # [ns] since the start of the trace
        ("amplitude", "f8"),  # [photoelectrons] height
        ("origin", "u1"),  # LIGHT, DARK, CROSSTALK or AFTERPULSE
    ]
)


@dataclass(frozen=True, eq=False)
class Flashes:
    """Light detected in each event: what of it each SiPM sees."""

    time: np.ndarray  # (n_events,) float64 [ns] since the start of the FPGA clock
    n_detected: np.ndarray  # (n_events, n_sipms) int64 photoelectrons
    channels: np.ndarray  # (n_sipms,) int64 trace indices


def draw_flashes(
    settings: SimulationSettings, source: Source, layout: Layout, hits: Hits, rng: np.random.Generator
) -> Flashes:
    """Decide which deposits come with light and how many photoelectrons it gives in each SiPM."""
    channels = layout.of_system("spms")
    n_events = int(hits.rows["event"].max(initial=-1)) + 1
    components = source.components.values()
    # two more for the negative numbers: a coincident second deposit and the pulser make no light of their own
    chance = np.array([component.light for component in components] + [0.0, 0.0])
    mean = np.array([component.light_yield for component in components] + [0.0, 0.0])
    order = np.argsort(hits.rows["time"], kind="stable")
    rows = hits.rows[order]
    rows = rows[(rows["event"] >= 0) & (rows["component"] > COMPONENT_COINCIDENT)]
    lit = rows[rng.random(len(rows)) < chance[rows["component"]]]
    events, first = np.unique(lit["event"], return_index=True)  # one flash per event: the first
    time = np.full(n_events, np.nan)
    time[events] = lit["time"][first]
    expected = np.zeros(n_events)
    expected[events] = rng.exponential(mean[lit["component"][first]])
    share = np.array([settings.sipm[layout.names[index]].light_share for index in channels])
    n_detected = rng.poisson(expected[:, np.newaxis] * share / max(share.sum(), 1e-9))
    return Flashes(time, n_detected.reshape(n_events, len(channels)), channels)


def draw_photoelectrons(
    settings: SimulationSettings, layout: Layout, flashes: Flashes, traces: Traces, rng: np.random.Generator
) -> np.ndarray:
    """Return the photoelectrons of all SiPM traces of a block, (n,) of PHOTOELECTRON_DTYPE, ordered by trace."""
    parts = [np.empty(0, dtype=PHOTOELECTRON_DTYPE)]
    for column, channel in enumerate(flashes.channels):
        rows = np.flatnonzero(traces.channel == channel)
        sipm = settings.sipm[layout.names[channel]]
        primary = np.concatenate([_light(flashes, column, traces, rows, rng), _dark(sipm, traces, rows, rng)])
        crosstalk = primary[rng.random(len(primary)) < sipm.crosstalk]
        crosstalk["origin"] = CROSSTALK
        fired = np.concatenate([primary, crosstalk])
        after = fired[rng.random(len(fired)) < sipm.afterpulse]
        after["origin"] = AFTERPULSE
        after["time"] += rng.exponential(sipm.afterpulse_time, len(after))
        pulses = np.concatenate([fired, after])
        pulses["amplitude"] = 1 + sipm.gain_spread * rng.standard_normal(len(pulses))
        parts.append(pulses[pulses["time"] < traces.n_samples * SAMPLE_PERIOD])
    photoelectrons = np.concatenate(parts)
    return photoelectrons[np.lexsort((photoelectrons["time"], photoelectrons["row"]))]


def photoelectron_charges(photoelectrons: np.ndarray, layout: Layout, traces: Traces) -> np.ndarray:
    """Return photoelectrons as arrivals of charge, (n,) of CHARGE_DTYPE; one has the height of the gain."""
    electronics = layout.electronics[traces.channel[photoelectrons["row"]]]
    charges = np.zeros(len(photoelectrons), dtype=CHARGE_DTYPE)
    charges["row"] = photoelectrons["row"]
    charges["time"] = photoelectrons["time"] / SAMPLE_PERIOD
    charges["width"] = WIDTH / SAMPLE_PERIOD
    height = peak_height(electronics["decay"], electronics["smoothing"])
    charges["charge"] = photoelectrons["amplitude"] * electronics["gain"] / height
    return charges


def peak_height(decay: np.ndarray, smoothing: np.ndarray) -> np.ndarray:
    """Return the highest sample of the amplifier's answer to one unit of charge in one sample."""
    n = np.arange(1, 200)[:, np.newaxis]
    # partial fractions of two recursions in a row: (1 - s) (d^n - s^n) / (d - s)
    answer = (1 - smoothing) * (decay**n - smoothing**n) / (decay - smoothing)
    return np.asarray(answer.max(axis=0))


def _light(flashes: Flashes, column: int, traces: Traces, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    event = traces.event[rows]
    known = event < len(flashes.time)
    count = np.zeros(len(rows), dtype=np.int64)
    count[known] = flashes.n_detected[event[known], column]
    row = np.repeat(rows, count)
    is_singlet = rng.random(len(row)) < SINGLET_SHARE
    delay = rng.exponential(np.where(is_singlet, SINGLET_TIME, TRIPLET_TIME))
    return _photoelectrons(row, flashes.time[traces.event[row]] - traces.start[row] + delay, LIGHT)


def _dark(sipm: Photomultiplier, traces: Traces, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    length = LEAD_TIME + traces.n_samples * SAMPLE_PERIOD
    row = np.repeat(rows, rng.poisson(sipm.dark_rate * length * 1e-9, len(rows)))
    return _photoelectrons(row, rng.uniform(-LEAD_TIME, length - LEAD_TIME, len(row)), DARK)


def _photoelectrons(row: np.ndarray, time: np.ndarray, origin: int) -> np.ndarray:
    result = np.zeros(len(row), dtype=PHOTOELECTRON_DTYPE)
    result["row"], result["time"], result["origin"] = row, time, origin
    return result
