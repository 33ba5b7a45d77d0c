"""dsp -> hit: apply hit configurations and calibration parameters to every channel of a cycle."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pygama_core import lh5
from pygama_core.errors import ConfigError, LH5Error
from pygama_core.hit.config import HitConfig, load_mapping, merge, parse_hit_config
from pygama_core.hit.operations import HitPlan, plan_hit, run_hit
from pygama_core.provenance import provenance_struct
from pygama_core.tiers.outcome import Outcomes

_PARAMETER_SECTIONS = ("operations", "aggregations")


@dataclass(frozen=True)
class HitReport:
    """What became of each channel of a dsp file; channels are named as in the file, such as ``ch1104000``."""

    n_rows: Mapping[str, int] = field(default_factory=dict)  # channels in the output
    failed: Mapping[str, str] = field(default_factory=dict)  # left out -> why
    not_configured: tuple[str, ...] = ()  # no configuration pattern fits; left out
    without_parameters: tuple[str, ...] = ()  # configuration alone was used
    uncalibrated: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # -> parameters that are NaN
    skipped: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # -> optional operation -> why
    absent: tuple[str, ...] = ()  # parameters given, no table in the file

    @property
    def warnings(self) -> list[str]:
        """What the reader of a log should know."""
        found = [f"{channel}: left out: {why}" for channel, why in self.failed.items()]
        found += [f"{channel}: left out: no hit configuration" for channel in self.not_configured]
        found += [f"{channel}: parameters given, but not in the dsp file" for channel in self.absent]
        for channel, names in self.uncalibrated.items():
            found.append(f"{channel}: uncalibrated, NaN parameters: {', '.join(names)}")
        for channel, operations in self.skipped.items():
            found += [f"{channel}: {name} skipped: {why}" for name, why in operations.items()]
        return found


def dsp_to_hit(
    dsp_file: Path,
    hit_file: Path,
    *,
    configs: Mapping[str, Path | Mapping[str, Any]],
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
) -> HitReport:
    """Compute the hit tier of one cycle.

    Parameters
    ----------
    dsp_file, hit_file : input; output, which appears complete or not at all
    configs : pattern of channels (``ch1104*`` or ``ch1104000``), first that fits -> hit configuration or its file
    parameters : channel -> mapping whose ``operations`` and ``aggregations``, possibly under ``pars``, are merged over
        the configuration

    Returns
    -------
    report : names every channel that is left out, and why; a failing channel does not stop the others

    Raises
    ------
    ConfigError : if a configuration file is missing or no mapping, or one suits none of its channels; if no channel of
        the file has a configuration
    """
    loaded = _load_all(configs)
    parameters = parameters or {}
    report: dict[str, dict[str, Any]] = {"n_rows": {}, "failed": {}, "uncalibrated": {}, "skipped": {}}
    not_configured = []
    outcomes = Outcomes(dsp_file)
    with lh5.Reader(dsp_file) as dsp, lh5.Writer(hit_file) as out:
        tables = dsp.ls("ch*/dsp")
        channels = [table.removesuffix("/dsp") for table in tables]
        for channel, table in zip(channels, tables, strict=True):
            found = next((loaded[p] for p in loaded if fnmatch.fnmatchcase(channel, p)), None)
            if found is None:
                outcomes.not_configured(channel)
                not_configured.append(channel)
                continue
            try:
                plan, hits = _process(dsp, table, _configure(*found, parameters.get(channel)))
            except (ConfigError, LH5Error) as error:
                report["failed"][channel] = str(error)
                outcomes.failed(found[0], str(error))
                continue
            outcomes.good(found[0])
            out.append(f"{channel}/hit", hits)
            _record(report, channel, plan, hits.n_rows)
        outcomes.check(configs)
        done = {channel: "done" for channel in report["n_rows"]} | report["failed"]
        done |= {channel: "no config" for channel in not_configured}
        out.write("processing", lh5.Struct({channel: lh5.Scalar(done[channel]) for channel in sorted(done)}))
        settings = {"configs": {p: config for p, (_, config) in loaded.items()}, "parameters": parameters}
        out.write("provenance", provenance_struct("dsp_to_hit", [dsp_file], settings))
    return HitReport(
        **report,
        not_configured=tuple(not_configured),
        without_parameters=tuple(c for c in channels if c not in parameters and c in report["n_rows"]),
        absent=tuple(sorted(set(parameters) - set(channels))),
    )


def _load_all(configs: Mapping[str, Path | Mapping[str, Any]]) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Read each configuration once, also if many channels share it."""
    paths = {source for source in configs.values() if isinstance(source, Path)}
    files = {path: load_mapping(path, "") for path in sorted(paths)}
    return {
        pattern: files[source] if isinstance(source, Path) else load_mapping(source, f"hit config {pattern!r}")
        for pattern, source in configs.items()
    }


def _configure(where: str, config: Mapping[str, Any], parameters: Mapping[str, Any] | None) -> HitConfig:
    entry = parameters or {}
    entry = entry.get("pars", entry)  # parameter files keep the operations beside results and status
    sections = {name: entry.get(name) or {} for name in _PARAMETER_SECTIONS}
    return parse_hit_config(merge(config, {name: block for name, block in sections.items() if block}), where)


def _process(dsp: lh5.Reader, table: str, config: HitConfig) -> tuple[HitPlan, lh5.Table]:
    columns = [name.rpartition("/")[2] for name in dsp.ls(f"{table}/*")]
    plan = plan_hit(config, columns, table)
    inputs = dsp.read(table, columns=plan.reads) if plan.reads else {}
    n_rows = dsp.n_rows(table)
    return plan, run_hit(plan, inputs, n_rows, table)


def _record(report: dict[str, dict[str, Any]], channel: str, plan: HitPlan, n_rows: int) -> None:
    report["n_rows"][channel] = n_rows
    if plan.nan_parameters:
        report["uncalibrated"][channel] = tuple(plan.nan_parameters)
    if plan.skipped:
        report["skipped"][channel] = dict(plan.skipped)
