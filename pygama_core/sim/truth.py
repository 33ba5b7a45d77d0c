"""What really happened in a cycle, as LH5 beside the DAQ file."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pygama_core.lh5 import Array, Scalar, Struct, Table
from pygama_core.lh5.types import Attrs
from pygama_core.sim.frontend import Digitised, Traces
from pygama_core.sim.germanium import Hits
from pygama_core.sim.layout import Layout
from pygama_core.sim.settings import FEP, SAMPLE_PERIOD, Run, SimulationSettings, Source
from pygama_core.sim.timeline import Timeline


def events_table(timeline: Timeline, start_ns: int, multiplicity: np.ndarray) -> Table:
    """Return one row per trigger; the row number is the event number."""
    unix = timeline.trigger_time + start_ns
    dead = np.diff(timeline.dead_interval, axis=1)[:, 0]
    return _table(
        eventnumber=(np.arange(len(unix), dtype=np.int32), None, "event number in the DAQ file"),
        timestamp=(unix / 1e9, "s", "unix time of the trigger"),
        timestamp_ns=(unix, "ns", "unix time of the trigger"),
        type=(timeline.trigger_kind, None, "0 physics, 1 pulser, 2 forced trigger"),
        is_discarded=(timeline.is_discarded, None, "refused by the software trigger: only a header is in the file"),
        multiplicity=(multiplicity.astype(np.int32), None, "number of HPGe detectors with a physics deposit"),
        dead_interval=(dead, "ns", "blocked time that ended between the event before and this one"),
    )


def hits_table(hits: Hits, layout: Layout, trace_start: np.ndarray) -> Table:
    """Return one row per deposit or pulser signal, in order of time; ``trace_start`` (n_events,) [ns]."""
    rows = hits.rows
    order = np.lexsort((rows["channel"], rows["time"]))
    rows = rows[order]
    event = rows["event"]
    start = trace_start[event]
    time = np.where(event >= 0, rows["time"] - start, np.nan)
    return _table(
        event=(event, None, "row in truth/events; -1: lost because the DAQ was blocked"),
        rawid=(layout.rawids[rows["channel"]], None, "channel"),
        time=(time, "ns", "time of the deposit since the first sample of its event's traces"),
        energy=(rows["energy"], "keV", "deposited energy"),
        charge_energy=(rows["charge_energy"], "keV", "collected charge: with resolution and trapping"),
        drift_time=(hits.drift_time[order], "ns", "time until all charge is collected"),
        n_sites=(rows["n_sites"].astype(np.int32), None, "number of sites that share the energy"),
        component=(rows["component"], None, "row in truth/components; -1 pulser, -2 coincident second deposit"),
        is_pulser=(rows["component"] == -1, None, "signal of the pulser"),
        is_pileup=(rows["is_pileup"], None, "arrived in the traces of an event that something else had triggered"),
    )


def traces_table(traces: Traces, layout: Layout, digitised: Digitised, n_hits: np.ndarray) -> Table:
    """Return one row per trace in the file."""
    return _table(
        event=(traces.event, None, "row in truth/events"),
        rawid=(layout.rawids[traces.channel], None, "channel"),
        n_hits=(n_hits.astype(np.int32), None, "deposits, pulser signals or photoelectrons inside the trace"),
        baseline=(layout.electronics["baseline"][traces.channel], "ADC", "level without signals"),
        history=(digitised.history, "ADC", "signal that earlier deposits have left at the start"),
        n_low=(digitised.n_low.astype(np.int32), None, "samples at 0"),
        n_high=(digitised.n_high.astype(np.int32), None, "samples at full scale"),
        is_saturated=(digitised.n_high > 0, None, "whether any sample is at full scale"),
    )


def photoelectrons_table(photoelectrons: np.ndarray, traces: Traces, layout: Layout) -> Table:
    """Return one row per photoelectron of SiPM traces."""
    row = photoelectrons["row"]
    return _table(
        event=(traces.event[row], None, "row in truth/events"),
        rawid=(layout.rawids[traces.channel[row]], None, "channel"),
        time=(photoelectrons["time"], "ns", "time since the first sample; negative: before"),
        amplitude=(photoelectrons["amplitude"], "pe", "height in units of the mean single photoelectron"),
        origin=(photoelectrons["origin"], None, "0 argon light, 1 dark count, 2 crosstalk, 3 after-pulse"),
    )


def components_table(source: Source) -> Table:
    """Return one row per part of the source's spectrum."""
    parts = source.components
    return _table(
        name=(np.array(list(parts), dtype="S"), None, "name"),
        kind=(np.array([part.kind for part in parts.values()], dtype="S"), None, "kind of spectrum"),
        energy=(np.array([part.energy for part in parts.values()]), "keV", "line, gamma, upper end or Q value"),
    )


def detectors_struct(settings: SimulationSettings, run: Run, layout: Layout) -> Struct:
    """Return each channel's true parameters by name."""
    members: dict[str, Struct] = {}
    for name, channel, row in zip(layout.names, layout.channels, layout.electronics, strict=True):
        rawid = Scalar(channel.rawid, {"description": "channel"})
        described = {**settings.germanium, **settings.sipm, **settings.pulser}[name]
        unit = "ADC/pe" if name in settings.sipm else "ADC/keV"
        values: dict[str, tuple[float, str]] = {"gain": (float(row["gain"]), unit)}
        values["baseline"] = (described.baseline, "ADC")
        values["tau"] = (1000 * described.decay_time, "ns")
        if name in settings.germanium:
            detector = settings.germanium[name]
            values["fwhm_2614"] = (float(detector.fwhm(FEP)), "keV")
            values["fwhm_a"], values["fwhm_b"] = (detector.resolution[0], "keV^2"), (detector.resolution[1], "keV")
        numbers = {key: Scalar(value, {"units": units}) for key, (value, units) in values.items()}
        members[name] = Struct({"rawid": rawid, "system": Scalar(channel.system), **numbers})
    attrs: Mapping[str, str] = {"description": f"true parameters in {run.period} {run.run} {run.datatype}"}
    return Struct(dict(members), dict(attrs))


def hits_in_traces(hits: Hits, traces: Traces) -> np.ndarray:
    """Return how many deposits or pulser signals fall inside each trace, (n_traces,) int64."""
    rows = hits.rows
    count = np.zeros(len(traces), dtype=np.int64)
    for channel in np.unique(traces.channel):
        lo, hi = np.searchsorted(rows["channel"], [channel, channel + 1])
        mine = traces.channel == channel
        start = traces.start[mine]
        edges = np.searchsorted(rows["time"][lo:hi], [start, start + traces.n_samples * SAMPLE_PERIOD])
        count[mine] = edges[1] - edges[0]
    return count


def _table(**columns: tuple[np.ndarray, str | None, str]) -> Table:
    arrays = {}
    for name, (values, units, description) in columns.items():
        attrs: Attrs = {"description": description}
        if units:
            attrs["units"] = units
        arrays[name] = Array(values, attrs)
    return Table(dict(arrays))
