"""When something happens in a cycle, and which of it the DAQ records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pygama_core.sim.settings import SAMPLE_PERIOD, SimulationSettings, Source

SECOND = 1_000_000_000  # [ns]
ENABLE_TIME = 100_000_000  # [ns] after the start of the FPGA clock: triggers are enabled
FIRST_ARRIVAL = 200_000_000  # [ns]
PHYSICS, PULSER, FORCED = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Timeline:
    """Arrivals in order of time, and the triggers they make; times count from the start of the FPGA clock."""

    arrival_time: np.ndarray  # (n_arrivals,) float64 [ns]
    arrival_kind: np.ndarray  # (n_arrivals,) uint8: PHYSICS, PULSER or FORCED
    arrival_event: np.ndarray  # (n_arrivals,) int64 event that records it, -1 if the DAQ was blocked
    trigger_time: np.ndarray  # (n_events,) int64 [ns], a multiple of the sample period
    trigger_kind: np.ndarray  # (n_events,) uint8 kind of the first arrival
    is_discarded: np.ndarray  # (n_events,) bool: refused by the software trigger
    dead_interval: np.ndarray  # (n_events, 2) int64 [ns] start and stop of the blocked time before it; 0: none


def make_timeline(settings: SimulationSettings, source: Source, n_events: int, rng: np.random.Generator) -> Timeline:
    """Draw Poisson arrivals among periodic pulser and forced triggers until ``n_events`` triggers are recorded."""
    times, kinds = _arrivals(source, n_events, rng)
    dead = _dead_intervals(source, times[-1], rng)
    slot = np.searchsorted(dead[:, 0], times, side="right") - 1
    is_dead = (slot >= 0) & (times < dead[slot, 1]) if len(dead) else np.zeros(len(times), dtype=bool)
    trace_end = (settings.n_samples - settings.trigger_sample) * SAMPLE_PERIOD
    first, event = _trigger(times, is_dead, trace_end)
    first = first[:n_events]
    kept = int(np.searchsorted(times, times[first[-1]] + trace_end))
    jitter = rng.integers(-settings.trigger_jitter, settings.trigger_jitter, len(first), endpoint=True)
    trigger_time = (times[first] // SAMPLE_PERIOD).astype(np.int64) * SAMPLE_PERIOD + jitter * SAMPLE_PERIOD
    kind = kinds[first]
    return Timeline(
        arrival_time=times[:kept],
        arrival_kind=kinds[:kept],
        arrival_event=event[:kept],
        trigger_time=trigger_time,
        trigger_kind=kind,
        is_discarded=(kind == PHYSICS) & (rng.random(len(first)) < source.discarded),
        dead_interval=_interval_before(trigger_time, dead),
    )


def _arrivals(source: Source, n_events: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return sorted times [ns] and kinds; half as many again as needed, since some make no trigger of their own."""
    n_physics = n_events + n_events // 2 + 100
    physics = np.cumsum(rng.exponential(SECOND / source.rate, n_physics))
    parts = [physics]
    for period in (source.pulser_period, source.forced_period):
        step = round(period * SECOND)
        parts.append(np.arange(rng.uniform(0, step), physics[-1], step))
    times = np.concatenate(parts) + FIRST_ARRIVAL
    kinds = np.repeat(np.array([PHYSICS, PULSER, FORCED], dtype=np.uint8), [len(part) for part in parts])
    order = np.argsort(times, kind="stable")
    return times[order], kinds[order]


def _dead_intervals(source: Source, end: float, rng: np.random.Generator) -> np.ndarray:
    """Return (n, 2) int64 [ns] start and stop of the intervals in which the DAQ is blocked."""
    length = round(source.dead_time * SECOND)
    n = rng.poisson(source.dead_rate * end / SECOND)
    starts = FIRST_ARRIVAL + np.sort(rng.uniform(0, end, n)).astype(np.int64) // SAMPLE_PERIOD * SAMPLE_PERIOD
    if len(starts):
        starts = starts[np.diff(starts, prepend=-length) >= length]  # blocked already: no new interval
    return np.column_stack([starts, starts + length])


def _trigger(times: np.ndarray, is_dead: np.ndarray, trace_end: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the arrivals that trigger and each arrival's event; what comes before a trace ends belongs to it."""
    first = []
    event = np.full(len(times), -1, dtype=np.int64)
    last = -np.inf
    for i in np.flatnonzero(~is_dead):
        if times[i] - last >= trace_end:
            first.append(i)
            last = times[i]
        event[i] = len(first) - 1
    return np.array(first, dtype=np.int64), event


def _interval_before(trigger_time: np.ndarray, dead: np.ndarray) -> np.ndarray:
    """Return the last blocked interval that ended between an event and the one before it.

    A record has room for one interval only; the first record's says when triggers were enabled instead.
    """
    result = np.zeros((len(trigger_time), 2), dtype=np.int64)
    event = np.searchsorted(trigger_time, dead[:, 1])
    inside = (event > 0) & (event < len(trigger_time))
    result[event[inside]] = dead[inside]
    return result
