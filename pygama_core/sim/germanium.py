"""Deposits in HPGe detectors: energies, sites, collected charge, and when that charge arrives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pygama_core.sim.frontend import CHARGE_DTYPE, Traces
from pygama_core.sim.layout import Layout
from pygama_core.sim.settings import SAMPLE_PERIOD, Germanium, SimulationSettings, Source
from pygama_core.sim.spectra import draw_energies
from pygama_core.sim.timeline import PHYSICS, PULSER, Timeline

FWHM_TO_SIGMA = 1 / (2 * np.sqrt(2 * np.log(2)))
MAX_SITES = 5
MEAN_EXTRA_SITES = 0.8  # multi-site deposits: two sites, and a Poisson number more
PULSER_WIDTH = 10.0  # [ns] sigma of the pulser's current
HISTORY = 20  # [decay times] how long a signal is remembered: e^-20 of 9 MeV is far below 1 ADC
COMPONENT_PULSER, COMPONENT_COINCIDENT = -1, -2

HIT_DTYPE = np.dtype(
    [
        ("time", "f8"),  # [ns] since the start of the FPGA clock
        ("channel", "i8"),  # trace index
        ("event", "i8"),  # event that records it; -1: the DAQ was blocked
        ("component", "i2"),  # number in the source's components, or one of COMPONENT_*
        ("energy", "f8"),  # [keV] deposited
        ("charge_energy", "f8"),  # [keV] energy that the collected charge stands for
        ("n_sites", "i8"),
        ("is_pileup", "?"),  # arrived in an event that something else had triggered
        ("fraction", "f8", (MAX_SITES,)),  # share of each site
        ("drift", "f8", (MAX_SITES,)),  # [ns] drift time from each site
        ("width", "f8", (MAX_SITES,)),  # [ns] sigma of its current peak
        ("slow", "f8"),  # share of the charge signal that rises evenly during the drift
    ]
)


@dataclass(frozen=True, eq=False)
class Hits:
    """All deposits of a cycle, sorted by channel and time."""

    rows: np.ndarray  # (n_hits,) of HIT_DTYPE

    @property
    def drift_time(self) -> np.ndarray:
        """Return the time until all charge is collected, (n_hits,) [ns]."""
        rows = self.rows
        return np.asarray(np.where(rows["fraction"] > 0, rows["drift"], 0).max(axis=1, initial=0))


def draw_hits(
    settings: SimulationSettings, source: Source, layout: Layout, timeline: Timeline, rng: np.random.Generator
) -> Hits:
    """Return every deposit in the HPGe detectors and every signal of the pulser, also in its own channels."""
    detectors = layout.of_system("geds")
    arrival = np.flatnonzero(timeline.arrival_kind == PHYSICS) if len(detectors) else np.empty(0, dtype=np.int64)
    first = _new_hits(timeline, arrival)
    first["channel"] = rng.choice(detectors, len(first)) if len(first) else 0
    _draw_components(first, source, rng)
    second = first[rng.random(len(first)) < (source.coincidence if len(detectors) > 1 else 0)]
    step = rng.integers(1, max(len(detectors), 2), len(second))
    if len(second):
        second["channel"] = detectors[(np.searchsorted(detectors, second["channel"]) + step) % len(detectors)]
    second["component"] = COMPONENT_COINCIDENT
    second["energy"] = rng.uniform(*source.coincidence_energy, len(second))
    physics = np.concatenate([first, second])
    _draw_sites(physics, source, rng)
    for index in detectors:
        _collect(physics, int(index), settings.germanium[layout.names[index]], rng)
    rows = np.concatenate([physics, _pulser_hits(settings, layout, timeline)])
    return Hits(rows[np.lexsort((rows["time"], rows["channel"]))])


def charges_in_traces(hits: Hits, layout: Layout, traces: Traces) -> np.ndarray:
    """Return every arrival of charge that the traces contain or remember, (n,) of CHARGE_DTYPE."""
    rows = hits.rows
    parts = [np.empty(0, dtype=CHARGE_DTYPE)]
    for channel in np.unique(traces.channel):
        lo, hi = np.searchsorted(rows["channel"], [channel, channel + 1])
        own = rows[lo:hi]
        trace = np.flatnonzero(traces.channel == channel)
        memory = -HISTORY * SAMPLE_PERIOD / np.log(layout.electronics["decay"][channel])
        begin = np.searchsorted(own["time"], traces.start[trace] - memory)
        end = np.searchsorted(own["time"], traces.start[trace] + traces.n_samples * SAMPLE_PERIOD)
        parts.append(_expand(own, trace, begin, end, traces.start, layout.electronics["gain"][channel]))
    return np.concatenate(parts)


def _expand(
    hits: np.ndarray, trace: np.ndarray, begin: np.ndarray, end: np.ndarray, start: np.ndarray, gain: float
) -> np.ndarray:
    """Return the sites of hits begin...end of each trace as arrivals of charge."""
    count = end - begin
    row = np.repeat(trace, count)
    index = np.arange(count.sum()) + np.repeat(begin - (np.cumsum(count) - count), count)
    picked = hits[index]
    charges = np.zeros((len(row), MAX_SITES), dtype=CHARGE_DTYPE)
    charges["row"] = row[:, np.newaxis]
    charges["time"] = ((picked["time"] - start[row]) / SAMPLE_PERIOD)[:, np.newaxis]
    charges["drift"] = picked["drift"] / SAMPLE_PERIOD
    charges["width"] = picked["width"] / SAMPLE_PERIOD
    charges["charge"] = gain * picked["charge_energy"][:, np.newaxis] * picked["fraction"]
    charges["slow"] = picked["slow"][:, np.newaxis]
    flat: np.ndarray = charges.ravel()
    return np.compress(flat["charge"] != 0, flat)


def _new_hits(timeline: Timeline, arrival: np.ndarray) -> np.ndarray:
    hits = np.zeros(len(arrival), dtype=HIT_DTYPE)
    hits["time"] = timeline.arrival_time[arrival]
    event = timeline.arrival_event[arrival]
    hits["event"] = event
    previous = np.concatenate([[-1], timeline.arrival_event[:-1]])
    hits["is_pileup"] = (event >= 0) & (previous[arrival] == event)
    return hits


def _draw_components(hits: np.ndarray, source: Source, rng: np.random.Generator) -> None:
    """Choose a part of the spectrum for each hit and draw its energy and whether it is single-site (n_sites 1)."""
    components = list(source.components.values())
    weights = np.array([component.weight for component in components])
    hits["component"] = rng.choice(len(components), len(hits), p=weights / weights.sum())
    for number, component in enumerate(components):
        mine = np.flatnonzero(hits["component"] == number)
        energies = draw_energies(component, source.threshold, len(mine), rng)
        sigma = component.extra_fwhm * FWHM_TO_SIGMA
        hits["energy"][mine] = energies + sigma * rng.standard_normal(len(mine)) if sigma else energies


def _draw_sites(hits: np.ndarray, source: Source, rng: np.random.Generator) -> None:
    """Share each deposit among one site, or among two to five."""
    components = source.components.values()
    single = np.array([component.single_site for component in components] + [0.5, 0.0])  # -2: coincident, -1: unused
    n_multi = np.minimum(2 + rng.poisson(MEAN_EXTRA_SITES, len(hits)), MAX_SITES)
    hits["n_sites"] = np.where(rng.random(len(hits)) < single[hits["component"]], 1, n_multi)
    share = rng.exponential(size=(len(hits), MAX_SITES))
    share[np.arange(MAX_SITES) >= hits["n_sites"][:, np.newaxis]] = 0
    hits["fraction"] = share / share.sum(axis=1, keepdims=True)


def _collect(hits: np.ndarray, channel: int, detector: Germanium, rng: np.random.Generator) -> None:
    """Draw drift times and the collected charge (resolution, trapping) of one detector's hits."""
    mine = np.flatnonzero(hits["channel"] == channel)
    drift = rng.uniform(*detector.drift_time, (len(mine), MAX_SITES))
    hits["drift"][mine] = drift
    hits["width"][mine] = np.hypot(detector.current_width, detector.diffusion * drift)
    hits["slow"][mine] = detector.slow_charge
    energy = hits["energy"][mine]
    spread = detector.fwhm(energy) * FWHM_TO_SIGMA * rng.standard_normal(len(mine))
    is_trapped = rng.random(len(mine)) < detector.tail_fraction
    loss = np.where(is_trapped, rng.exponential(detector.tail_length, len(mine)), 0)
    hits["charge_energy"][mine] = energy * (1 - loss) + spread


def _pulser_hits(settings: SimulationSettings, layout: Layout, timeline: Timeline) -> np.ndarray:
    """Return the pulser's signals: the same fast step in every HPGe and pulser channel."""
    channels = np.concatenate([layout.of_system("geds"), layout.of_system("puls")])
    pulses = _new_hits(timeline, np.flatnonzero(timeline.arrival_kind == PULSER))
    hits = np.tile(pulses, len(channels))
    hits["channel"] = np.repeat(channels, len(pulses))
    hits["component"] = COMPONENT_PULSER
    hits["energy"] = hits["charge_energy"] = settings.pulser_energy
    hits["n_sites"] = 1
    hits["fraction"][:, 0] = 1
    hits["width"] = PULSER_WIDTH
    return hits
