"""Simulate one DAQ cycle: a file in a real format, and the truth about it."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from pygama_core import lh5
from pygama_core.atomic import replacing
from pygama_core.channelmap import Channel
from pygama_core.sim import truth
from pygama_core.sim.cycle import SECOND, Cycle
from pygama_core.sim.digitizers import CompassRecorder, numbered
from pygama_core.sim.frontend import Digitised, Traces, digitise
from pygama_core.sim.germanium import Hits, charges_in_traces, draw_hits
from pygama_core.sim.layout import Layout, check_channels, make_layout
from pygama_core.sim.light import Flashes, draw_flashes, draw_photoelectrons, photoelectron_charges
from pygama_core.sim.output import compressed
from pygama_core.sim.recorder import RECORDERS
from pygama_core.sim.settings import SAMPLE_PERIOD, SimulationSettings, Source, find_cycle, in_format
from pygama_core.sim.timeline import PHYSICS, Timeline, make_timeline

BLOCK_TRACES = 512  # about 30 MB of arrays with 4096 samples


@dataclass(frozen=True, eq=False)
class Experiment:
    """One cycle, before any waveform is made."""

    settings: SimulationSettings
    source: Source
    channels: dict[str, Channel]
    cycle: Cycle
    hits: Hits
    flashes: Flashes
    rng: np.random.Generator  # for the waveforms

    @property
    def trace_start(self) -> np.ndarray:
        """Time of the first sample of each event's traces, (n_events,) int64 [ns]."""
        return self.cycle.timeline.trigger_time - self.settings.trigger_sample * SAMPLE_PERIOD


@dataclass(frozen=True, eq=False)
class Block:
    """The traces of some events."""

    traces: Traces
    digitised: Digitised
    n_hits: np.ndarray  # (n_traces,) int64 deposits or photoelectrons inside
    photoelectrons: np.ndarray  # of light.PHOTOELECTRON_DTYPE


def simulate_cycle(
    settings: SimulationSettings,
    channels: Mapping[str, Channel],
    key: str,
    daq_file: Path,
    truth_file: Path | None = None,
    *,
    format: str | None = None,
) -> dict[str, Channel]:
    """Write a cycle's DAQ file and, if asked for, its truth; both appear whole or not at all.

    A CoMPASS file comes with the settings file that belongs to it, ``<name>_settings.xml``.

    Parameters
    ----------
    settings
        the experiment
    channels
        name -> channel; must name the same channels as the settings
    key
        which cycle, such as ``demo-p01-r001-cal-20260101T000000Z``; it also seeds the random numbers
    daq_file
        the file to write; compressed if its name ends in .gz, .bz2 or .zst
    truth_file
        LH5 file with ``truth/events``, ``hits``, ``traces``, ``photoelectrons``, ``components`` and ``detectors``
    format
        format of the file; None is that of the cycle's run

    Returns
    -------
    name -> channel, with the numbers the channels have in the file

    Raises
    ------
    ConfigError
        if the settings have no such cycle, or differ from the channel map
    """
    experiment = prepare(settings, channels, key, format)
    with contextlib.ExitStack() as stack:
        out = None if truth_file is None else stack.enter_context(lh5.Writer(truth_file))
        partial = stack.enter_context(replacing(Path(daq_file)))
        file = stack.enter_context(compressed(partial, Path(daq_file).suffix))
        _write_once(out, experiment)
        recorder = RECORDERS[experiment.cycle.run.format](file, experiment.cycle)
        recorder.begin()
        for block in blocks(experiment):
            bounds = np.flatnonzero(np.diff(block.traces.event, prepend=-1, append=-1))
            for begin, end in itertools.pairwise(bounds):
                indices, words = block.traces.channel[begin:end], block.digitised.words[begin:end]
                recorder.event(int(block.traces.event[begin]), indices, words)
            _write_block(out, experiment, block)
        recorder.end()
    if isinstance(recorder, CompassRecorder):
        beside = Path(daq_file).with_name(f"{Path(daq_file).name.split('.')[0]}_settings.xml")
        with replacing(beside) as partial:
            partial.write_bytes(recorder.settings())
    return experiment.channels


def prepare(
    settings: SimulationSettings, channels: Mapping[str, Channel], key: str, format: str | None = None
) -> Experiment:
    """Draw everything that happens in a cycle, except for noise and single photoelectrons."""
    run, timestamp = find_cycle(settings, key)
    run = in_format(run, format)
    check_channels(settings, channels)
    channels = numbered(channels, run.format)
    source = settings.sources[run.source]
    layout = make_layout(settings, channels, run, timestamp)
    digest = hashlib.sha256(f"{settings.seed} {key}".encode()).digest()
    seeds = np.random.SeedSequence(int.from_bytes(digest[:16], "little")).spawn(4)
    streams = [np.random.Generator(np.random.PCG64(seed)) for seed in seeds]
    timeline = make_timeline(settings, source, run.events, streams[0])
    hits = draw_hits(settings, source, layout, timeline, streams[1])
    flashes = draw_flashes(settings, source, layout, hits, streams[2])
    opened = datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    # without an external clock the server's time has microseconds; a GPS clock starts on a whole second
    microseconds = 0 if run.gps else int.from_bytes(digest[16:20], "little") % 1_000_000
    start_ns = int(opened.timestamp()) * SECOND + microseconds * 1000
    cycle = Cycle(run, layout, timeline, start_ns, settings.n_samples, settings.trigger_sample)
    return Experiment(settings, source, channels, cycle, hits, flashes, streams[3])


def blocks(experiment: Experiment) -> Iterator[Block]:
    """Make the waveforms, a bounded number of traces at a time; whole events in order."""
    settings, layout = experiment.settings, experiment.cycle.layout
    events, channels = read_out(experiment)
    for begin, end in itertools.pairwise(_block_bounds(events)):
        event = events[begin:end]
        traces = Traces(event, channels[begin:end], experiment.trace_start[event], settings.n_samples)
        photoelectrons = draw_photoelectrons(settings, layout, experiment.flashes, traces, experiment.rng)
        charges = [charges_in_traces(experiment.hits, layout, traces)]
        charges.append(photoelectron_charges(photoelectrons, layout, traces))
        digitised = digitise(
            traces, np.concatenate(charges), layout.electronics, settings.trigger_sample, experiment.rng
        )
        inside = photoelectrons["row"][photoelectrons["time"] >= 0]
        n_hits = truth.hits_in_traces(experiment.hits, traces) + np.bincount(inside, minlength=len(traces))
        yield Block(traces, digitised, n_hits, photoelectrons)


def read_out(experiment: Experiment) -> tuple[np.ndarray, np.ndarray]:
    """Return event number and trace index of every trace in the file, sorted.

    A sparse readout has the channels that saw a deposit or argon light; pulser and forced triggers read out all.
    """
    timeline, n_channels = experiment.cycle.timeline, len(experiment.cycle.layout.names)
    seen = np.zeros((len(timeline.trigger_time), n_channels), dtype=bool)
    rows = experiment.hits.rows
    rows = rows[rows["event"] >= 0]
    seen[rows["event"], rows["channel"]] = True
    flashes = experiment.flashes
    seen[: len(flashes.time), flashes.channels] |= flashes.n_detected > 0
    seen[timeline.trigger_kind != PHYSICS] = True
    if experiment.cycle.run.readout == "all":
        seen[:] = True
    events, channels = np.nonzero(seen)
    return events, channels


def multiplicity(hits: Hits, timeline: Timeline) -> np.ndarray:
    """Return the number of HPGe detectors with a physics deposit in each event, (n_events,) int64."""
    rows = hits.rows
    rows = rows[(rows["event"] >= 0) & (rows["component"] != -1)]
    pairs = np.unique(np.column_stack([rows["event"], rows["channel"]]), axis=0)
    return np.bincount(pairs[:, 0], minlength=len(timeline.trigger_time))


def _block_bounds(events: np.ndarray) -> np.ndarray:
    """Return where blocks of about BLOCK_TRACES traces begin, and the end; an event is never divided."""
    first = np.flatnonzero(np.diff(events, prepend=-1))
    new_block = np.diff(first // BLOCK_TRACES, prepend=-1) > 0
    return np.append(first[new_block], len(events))


def _write_once(out: lh5.Writer | None, experiment: Experiment) -> None:
    if out is None:
        return
    cycle = experiment.cycle
    detectors = multiplicity(experiment.hits, cycle.timeline)
    out.write("truth/events", truth.events_table(cycle.timeline, cycle.start_ns, detectors))
    out.write("truth/hits", truth.hits_table(experiment.hits, cycle.layout, experiment.trace_start))
    out.write("truth/components", truth.components_table(experiment.source))
    out.write("truth/detectors", truth.detectors_struct(experiment.settings, cycle.run, cycle.layout))


def _write_block(out: lh5.Writer | None, experiment: Experiment, block: Block) -> None:
    if out is None:
        return
    layout: Layout = experiment.cycle.layout
    out.append("truth/traces", truth.traces_table(block.traces, layout, block.digitised, block.n_hits))
    out.append("truth/photoelectrons", truth.photoelectrons_table(block.photoelectrons, block.traces, layout))
