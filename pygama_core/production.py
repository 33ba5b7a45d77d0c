"""What there is to do: cycles and runs of a production, their files, and which parameters are valid when.

Pure look-ups over names; the Snakemake rules call them from input functions.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pygama_core.errors import ConfigError
from pygama_core.filekey import CycleKey, FilePattern, RunKey, cycle_path, list_files, par_path, run_path
from pygama_core.settings import Config


def resolve_files(config: Config, base: Path) -> Config:
    """Return the configuration with every configuration file found: in the working directory, else below ``base``.

    Raises
    ------
    ConfigError
        if a file is in neither place; names the key
    """

    def found(key: str, name: str | None) -> str | None:
        if name is None or Path(name).is_file():
            return name
        if (base / name).is_file():
            return str(base / name)
        raise ConfigError(f"{key}: no file {name!r} in {Path.cwd()} or in {base}")

    par = {name: found(f"par.{name}", getattr(config.par, name)) for name in ("dsp", "dsp_chain", "hit")}
    return config.model_copy(
        update={
            "simulation": found("simulation", config.simulation),
            "channelmap": found("channelmap", config.channelmap),
            "par": config.par.model_copy(update=par),
            "dsp": {system: found(f"dsp.{system}", name) for system, name in config.dsp.items()},
            "hit": {system: found(f"hit.{system}", name) for system, name in config.hit.items()},
            "evt": found("evt", config.evt),
        }
    )


def find_cycles(config: Config) -> dict[CycleKey, str]:
    """Return the selected cycles and their DAQ files relative to ``paths.daq``.

    Raises
    ------
    ConfigError
        if the DAQ directory is missing, a file that the configuration names is missing, or no cycle is found
    """
    directory = Path(config.paths.daq)
    if config.simulation:
        from pygama_core.sim.settings import daq_keys, load_settings

        found = {CycleKey.parse(key): path for key, path in daq_keys(load_settings(Path(config.simulation))).items()}
    elif not directory.is_dir():
        raise ConfigError(f"paths.daq: {directory.resolve()} is not a directory; set it to where your DAQ files are")
    elif config.daq.files:
        found = _named_files(config, directory)
    else:
        pattern = FilePattern(config.daq.pattern, tuple(sorted(config.daq.defaults.items())))
        found = pattern.find(list_files(directory))
    selected = {key: path for key, path in sorted(found.items()) if _selected(config, key)}
    if not selected:
        raise ConfigError(
            f"no DAQ cycle to process: {len(found)} files below {directory.resolve()} match daq.pattern "
            f"{config.daq.pattern!r}, none of them is selected by `select`"
        )
    return selected


def _named_files(config: Config, directory: Path) -> dict[CycleKey, str]:
    missing = [path for path in config.daq.files.values() if not (directory / path).is_file()]
    if missing:
        raise ConfigError(f"daq.files: {', '.join(missing)} not found below {directory.resolve()}")
    return {CycleKey.parse(key): path for key, path in config.daq.files.items()}


def _selected(config: Config, key: CycleKey) -> bool:
    select, run = config.select, key.run_key
    return (
        (not select.periods or run.period in select.periods)
        and (not select.runs or run.run in select.runs)
        and (not select.datatypes or run.datatype in select.datatypes)
        and str(key) not in select.ignore
    )


@dataclass(frozen=True)
class Production:
    """Files of a production.

    Parameters
    ----------
    config
        the validated configuration
    cycles
        cycle -> DAQ file below ``paths.daq``, as :func:`find_cycles` gives
    """

    config: Config
    cycles: dict[CycleKey, str]
    runs: dict[RunKey, list[CycleKey]] = field(init=False)
    _starts: list[tuple[str, RunKey]] = field(init=False)

    def __post_init__(self) -> None:
        runs: dict[RunKey, list[CycleKey]] = {}
        for key in sorted(self.cycles):
            runs.setdefault(key.run_key, []).append(key)
        starts = [(keys[0].timestamp, run) for run, keys in runs.items() if run.datatype == self.config.par.datatype]
        object.__setattr__(self, "runs", runs)
        object.__setattr__(self, "_starts", sorted(starts))

    @property
    def calibration_runs(self) -> list[tuple[str, RunKey]]:
        """First timestamp of each calibration run, in time order."""
        return self._starts

    def cycle(self, key: str) -> CycleKey:
        """Return a known cycle; raise ConfigError for an unknown one."""
        parsed = CycleKey.parse(key)
        if parsed not in self.cycles:
            raise ConfigError(f"cycle {key} has no DAQ file below {self.config.paths.daq}, or is not selected")
        return parsed

    def run(self, key: str) -> list[CycleKey]:
        """Return the cycles of a known run, in time order; raise ConfigError for an unknown one."""
        for run, cycles in self.runs.items():
            if str(run) == key:
                return cycles
        raise ConfigError(f"run {key} has no DAQ files below {self.config.paths.daq}, or is not selected")

    def daq_file(self, key: CycleKey) -> str:
        """Return a cycle's DAQ file."""
        return f"{self.config.paths.daq}/{self.cycles[key]}"

    def tier_file(self, tier: str, key: CycleKey | RunKey) -> str:
        """Return a cycle's or a run's file of a tier."""
        path = cycle_path(tier, key) if isinstance(key, CycleKey) else run_path(tier, key)
        return f"{self.config.paths.generated}/tier/{path}"

    def tier_files(self, tier: str, keys: Iterable[CycleKey | RunKey]) -> list[str]:
        """Return the files of a tier for several cycles or runs."""
        return [self.tier_file(tier, key) for key in keys]

    def par_file(self, tier: str, run: RunKey) -> str:
        """Return a calibration run's parameter file."""
        return f"{self.config.paths.generated}/par/{par_path(tier, run)}"

    def parameter_files(self, tier: str, timestamp: str, datatype: str = "all") -> list[str]:
        """Return the parameter files valid at a time: those of the latest calibration run, then hand-written ones.

        The list is empty before the first calibration run: such data are processed with the defaults of their
        configuration, and their hits are recorded as uncalibrated.
        """
        index = bisect.bisect_right([start for start, _ in self._starts], timestamp) - 1
        generated = [self.par_file(tier, self._starts[index][1])] if index >= 0 else []
        return generated + self._overrides(tier, timestamp, datatype)

    def _overrides(self, tier: str, timestamp: str, datatype: str) -> list[str]:
        if self.config.paths.overrides is None:
            return []
        path = Path(self.config.paths.overrides) / tier / "validity.yaml"
        if not path.is_file():
            return []
        from pygama_core.par.validity import ValidityCatalog

        return [str(path.parent / name) for name in ValidityCatalog.read(path).names_on(timestamp, datatype) or ()]
