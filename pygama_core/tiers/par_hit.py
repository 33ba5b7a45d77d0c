"""dsp of a calibration run -> hit parameters: energy scale and resolution of every channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from pygama_core.cal.energy import EnergyCalibration, EnergyCalibrationSettings, calibrate_energy
from pygama_core.cal.results import energy_entry, write_parameters
from pygama_core.channelmap import ChannelMap
from pygama_core.errors import CalibrationError
from pygama_core.expression import Expression
from pygama_core.provenance import describe
from pygama_core.tiers.run_data import ChannelFiles, find_channels, read_settings


class ParHitSettings(BaseModel, frozen=True, extra="forbid"):
    """What is calibrated, with which events."""

    estimators: tuple[str, ...] = Field(
        default=("trapEmax",), min_length=1, description="dsp columns to calibrate; the first is the channel's energy"
    )
    selection: str | None = Field(default=None, description="expression of dsp columns: events to use")
    calibration: EnergyCalibrationSettings = EnergyCalibrationSettings()


def par_hit(
    dsp_files: Sequence[Path],
    par_file: Path,
    *,
    settings: Path | None = None,
    channelmap: ChannelMap | None = None,
    systems: Sequence[str] = (),
) -> dict[str, str]:
    """Calibrate the energy scale of a run's channels and write the hit parameters.

    A channel that cannot be calibrated does not stop the others: its status says why, and its operations give NaN
    energies that are flagged as uncalibrated.

    Parameters
    ----------
    dsp_files
        dsp files of the run's cycles; a channel may be missing in some
    par_file
        YAML file to write: detector -> operations, results, status
    settings
        YAML file of :class:`ParHitSettings`; default: Th-228 lines
    channelmap, systems
        which channels to calibrate, and their detector names; default: all, named by their tables

    Returns
    -------
    detector -> status, one line each

    Raises
    ------
    ConfigError
        if the settings are wrong
    LH5Error
        if a file cannot be read
    """
    chosen = read_settings(settings, ParHitSettings)
    channels = find_channels(dsp_files, "dsp", channelmap or ChannelMap(), systems)
    where = f"{settings or 'par_hit settings'}: selection"
    selection = Expression(chosen.selection, where) if chosen.selection else None
    entries = {channel.name: energy_entry(_calibrate(channel, chosen, selection)) for channel in channels}
    provenance = describe("par_hit", dsp_files, {"settings": chosen.model_dump(mode="json")})
    write_parameters(par_file, entries, provenance)
    return {name: _status(entry, chosen.estimators[0]) for name, entry in entries.items()}


def _calibrate(
    channel: ChannelFiles, settings: ParHitSettings, selection: Expression | None
) -> dict[str, EnergyCalibration | CalibrationError]:
    results: dict[str, EnergyCalibration | CalibrationError] = {}
    wanted = {*settings.estimators, *(selection.names if selection else ())}
    columns, missing = channel.read_columns(wanted)
    for estimator in settings.estimators:
        try:
            needed = sorted(missing & {estimator, *(selection.names if selection else ())})
            if needed:
                raise CalibrationError(f"no column {', '.join(needed)} in {channel.table}/dsp")
            values = columns[estimator]
            if selection is not None:
                values = values[np.asarray(selection.evaluate(columns), bool)]
            results[estimator] = calibrate_energy(values, settings.calibration)
        except CalibrationError as error:
            results[estimator] = error
    return results


def _status(entry: Mapping[str, Any], estimator: str) -> str:
    status = str(entry["status"][f"ecal_{estimator}"])
    result = entry["results"]["ecal"].get(f"{estimator}_cal")
    if result is None:
        return status
    resolution = result["eres_linear"]
    return f"{status}, FWHM at Qbb {resolution.get('Qbb_fwhm_in_keV', float('nan')):.3f} keV"
