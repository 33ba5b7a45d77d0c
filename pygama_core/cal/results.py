"""Calibration results as parameter files: plain numbers under the keys the field's tools read.

A detector that failed is in the file too, with its reason. An uncalibrated energy keeps its operations, with NaN
parameters, so that the column exists and holds NaN, never an energy in wrong units; `is_calibrated` is then false:

.. code-block:: yaml

    V01:
      pars:
        operations:
          trapEmax_cal: {expression: a + b * trapEmax, parameters: {a: .nan, b: .nan}, ...}
          is_calibrated: {expression: (calibrated > 0) & (trapEmax == trapEmax), parameters: {calibrated: 0}, ...}
      status: {ecal_trapEmax: "uncalibrated: 12 of 12 events have ..."}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pygama_core.cal.energy import EnergyCalibration, PeakResult
from pygama_core.cal.lines import QBB
from pygama_core.cal.pole_zero import DecayTime
from pygama_core.cal.resolution import ResolutionCurve
from pygama_core.errors import CalibrationError
from pygama_core.par.database import PROVENANCE
from pygama_core.par.yaml_file import write_yaml

VALID = "valid"


def pole_zero_entry(result: DecayTime | CalibrationError) -> dict[str, Any]:
    """Return a detector's entry in the dsp parameters: ``pz.tau1`` for the signal processing, and the status."""
    if isinstance(result, CalibrationError):
        return {"status": {"pz": f"failed: {result}"}}
    pz = {"tau1": f"{result.tau:.10g}*ns", "tau1_err": f"{result.tau_err:.4g}*ns", "n_events": result.n_events}
    return {"pz": pz, "status": {"pz": VALID}}


def skipped_entry(step: str, why: str) -> dict[str, Any]:
    """Return the entry of a detector for which a step (such as "pz") was not tried."""
    return {"status": {step: f"skipped: {why}"}}


def energy_entry(results: Mapping[str, EnergyCalibration | CalibrationError]) -> dict[str, Any]:
    """Return a detector's entry in the hit parameters.

    Parameters
    ----------
    results : calibration, or why there is none, by name of the energy estimator (a dsp column). The first one is the
        detector's energy, `is_calibrated` tells of it

    Raises
    ------
    CalibrationError : if there is no estimator
    """
    if not results:
        raise CalibrationError("energy calibration: no energy estimators given; name at least one dsp column")
    operations: dict[str, Any] = {}
    ecal, status = {}, {}
    for estimator, result in results.items():
        operations[f"{estimator}_cal"] = _energy_operation(estimator, result)
        if isinstance(result, EnergyCalibration):
            ecal[f"{estimator}_cal"] = _energy_results(result)
            status[f"ecal_{estimator}"] = VALID
        else:
            status[f"ecal_{estimator}"] = f"uncalibrated: {result}"
    operations["is_calibrated"] = _flag_operation(*next(iter(results.items())))
    return {"pars": {"operations": operations}, "results": {"ecal": ecal}, "status": status}


def write_parameters(path: Path, detectors: Mapping[str, Mapping[str, Any]], provenance: Mapping[str, Any]) -> None:
    """Write a parameter file: entries by detector name, and what made them.

    Raises
    ------
    ParameterError : if an entry holds something that is not text, a number or a container of them
    """
    write_yaml(path, {**detectors, PROVENANCE: provenance})


def _energy_operation(estimator: str, result: EnergyCalibration | CalibrationError) -> dict[str, Any]:
    parameters = {"a": float("nan"), "b": float("nan")}
    if isinstance(result, EnergyCalibration):
        parameters = {"a": result.scale.offset, "b": result.scale.gain}
    return {
        "expression": f"a + b * {estimator}",
        "parameters": parameters,
        "description": f"energy from {estimator}",
        "lgdo_attrs": {"units": "keV"},
    }


def _flag_operation(estimator: str, result: EnergyCalibration | CalibrationError) -> dict[str, Any]:
    return {
        # a value for every row, not one number; NaN is not equal to itself
        "expression": f"(calibrated > 0) & ({estimator} == {estimator})",
        "parameters": {"calibrated": int(isinstance(result, EnergyCalibration))},
        "description": f"whether {estimator}_cal is an energy in keV",
    }


def _energy_results(result: EnergyCalibration) -> dict[str, Any]:
    valid = [peak for peak in result.peaks if peak.fit is not None]
    scale = result.scale
    return {
        "n_events": result.n_events,
        "scale": {
            "offset_in_keV": scale.offset,
            "gain_in_keV_per_adc": scale.gain,
            "cov": scale.covariance,
            "csqr": [scale.chi2, scale.dof],
            "p_val": scale.p_value,
        },
        "eres_linear": _resolution(result.resolution, result),
        "fitted_peaks": [peak.line.energy for peak in valid],
        "failed_peaks": {peak.line.energy: peak.failure for peak in result.peaks if peak.fit is None},
        "pk_fits": {peak.line.energy: _peak(peak) for peak in valid},
    }


def _resolution(curve: ResolutionCurve | None, result: EnergyCalibration) -> dict[str, Any]:
    if curve is None:
        return {"failure": result.resolution_failure}
    error_a, error_b = np.sqrt(np.diag(curve.covariance)).tolist()
    return {
        "function": "FWHMLinear",
        "expression": "(a + b * x) ** 0.5",
        "parameters": {"a": curve.a, "b": curve.b},
        "uncertainties": {"a": error_a, "b": error_b},
        "cov": curve.covariance,
        "csqr": [curve.chi2, curve.dof],
        "p_val": curve.p_value,
        "interp_energy_in_keV": QBB,
        "Qbb_fwhm_in_keV": result.qbb_fwhm[0],
        "Qbb_fwhm_err_in_keV": result.qbb_fwhm[1],
        "FEP_fwhm_in_keV": result.fep_fwhm[0],
        "FEP_fwhm_err_in_keV": result.fep_fwhm[1],
    }


def _peak(peak: PeakResult) -> dict[str, Any]:
    fit = peak.fit
    if fit is None:
        return {"failure": peak.failure}
    return {
        "function": fit.shape,
        "parameters": fit.parameters,
        "uncertainties": fit.uncertainties,
        "at_limit": list(fit.at_limit),
        "fit_range": list(fit.window),
        "position": [fit.position, fit.position_err],
        "residual_in_keV": peak.residual,
        "fwhm_in_keV": fit.fwhm,
        "fwhm_err_in_keV": fit.fwhm_err,
        "csqr": [fit.chi2, fit.dof],
        "p_val": fit.p_value,
    }
