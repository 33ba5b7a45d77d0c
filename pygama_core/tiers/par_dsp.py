"""raw of a calibration run -> dsp parameters: the pole-zero decay constant of every channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from pygama_core.cal.pole_zero import DecayTime, DecayTimeSettings, fit_decay_time
from pygama_core.cal.results import pole_zero_entry, write_parameters
from pygama_core.channelmap import ChannelMap
from pygama_core.configfile import read_mapping
from pygama_core.dsp.chain import ProcessingChain
from pygama_core.errors import CalibrationError, ConfigError, ProcessorError
from pygama_core.expression import Expression
from pygama_core.provenance import describe
from pygama_core.tiers.run_data import ChannelFiles, find_channels, read_settings

SLOPE = "tail_slope"
BLOCK_ROWS = 512


class ParDspSettings(BaseModel, frozen=True, extra="forbid"):
    """Which events give the decay constant."""

    selection: str = Field(
        default="wf_max > 0", description="expression of the chain's outputs: events with a tail above the noise"
    )
    max_events: int = Field(default=4000, ge=1, description="stop reading when this many events were selected")
    decay_time: DecayTimeSettings = DecayTimeSettings()


def par_dsp(
    raw_files: Sequence[Path],
    par_file: Path,
    *,
    chain: Path,
    settings: Path | None = None,
    channelmap: ChannelMap | None = None,
    systems: Sequence[str] = (),
) -> dict[str, str]:
    """Fit the pole-zero decay constant of a run's channels and write the dsp parameters.

    A channel whose fit fails does not stop the others: its status says why, and signal processing uses the default
    of its configuration.

    Parameters
    ----------
    raw_files
        raw files of the run's cycles; a channel may be missing in some
    par_file
        YAML file to write: detector -> ``pz``, status
    chain
        processing chain with the output ``tail_slope`` [1/sample]: slope of the tail's logarithm
    settings
        YAML file of :class:`ParDspSettings`
    channelmap, systems
        which channels to fit, and their detector names; default: all, named by their tables

    Returns
    -------
    detector -> status, one line each

    Raises
    ------
    ConfigError
        if a configuration is wrong
    LH5Error
        if a file cannot be read
    """
    chosen = read_settings(settings, ParDspSettings)
    config = read_mapping(chain)
    selection = Expression(chosen.selection, f"{settings or 'par_dsp settings'}: selection")
    entries: dict[str, dict[str, Any]] = {}
    for channel in find_channels(raw_files, "raw", channelmap or ChannelMap(), systems):
        try:
            slopes, dt = _tail_slopes(channel, chain, selection, chosen.max_events)
            result: DecayTime | CalibrationError = fit_decay_time(slopes, dt, chosen.decay_time)
        except (CalibrationError, ProcessorError, ConfigError) as error:
            result = CalibrationError(str(error))
        entries[channel.name] = pole_zero_entry(result)
    provenance = describe("par_dsp", raw_files, {"settings": chosen.model_dump(mode="json"), "chain": config})
    write_parameters(par_file, entries, provenance)
    return {name: _status(entry) for name, entry in entries.items()}


def _tail_slopes(
    channel: ChannelFiles, chain: Path, selection: Expression, max_events: int
) -> tuple[np.ndarray, float]:
    """Return the selected events' slopes [1/sample] and the sampling period [ns]."""
    processing = ProcessingChain(chain, outputs=sorted({SLOPE, *selection.names}), name=channel.table)
    slopes: list[np.ndarray] = []
    periods: set[float] = set()
    for block in channel.blocks(["waveform"], BLOCK_ROWS):
        if block.n_rows == 0:
            continue
        waveform = block["waveform"]
        if not hasattr(waveform, "array"):
            raise CalibrationError(f"{channel.table}/raw: column waveform is no waveform table")
        periods.update(np.unique(waveform.array("dt")).tolist())
        values = processing.execute(block)
        keep = np.asarray(selection.evaluate({name: values.array(name) for name in selection.names}), bool)
        slopes.append(values.array(SLOPE)[keep])
        if sum(map(len, slopes)) >= max_events:
            break
    if len(periods) > 1:
        raise CalibrationError(f"sampling periods {sorted(periods)} ns in one run; expected one")
    if not periods:
        raise CalibrationError("no waveforms in this run")
    return np.concatenate(slopes), periods.pop()


def _status(entry: Mapping[str, Any]) -> str:
    status = str(entry["status"]["pz"])
    return f"{status}, tau1 {entry['pz']['tau1']} +- {entry['pz']['tau1_err']}" if "pz" in entry else status
