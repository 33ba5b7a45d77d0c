"""What the built-in experiment consists of: detectors, sources and runs, read from ``config/simulation.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pygama_core.channelmap import Channel, ChannelMap
from pygama_core.configfile import read_mapping
from pygama_core.errors import ConfigError

SAMPLE_PERIOD = 16  # [ns] FlashCam with 16-bit ADCs
FEP = 2614.511  # [keV] full-energy peak of 208Tl
DaqFormat = Literal[
    "fcio",
    "orca-flashcam",
    "orca-fcio",
    "orca-sis3302",
    "orca-sis3316",
    "orca-gretina",
    "compass",
    "compass-v1",
    "llama",
    "llama-v1",
]
SUFFIXES = {"compass": "BIN", "llama": "bin"}  # by the part of the name before the first dash; else that part itself

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9]*$")]
Timestamp = Annotated[str, Field(pattern=r"^\d{8}T\d{6}Z$")]
Probability = Annotated[float, Field(ge=0, le=1)]


class _Settings(BaseModel):
    """Immutable, and a typo is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FrontEnd(_Settings):
    """Amplifier and digitiser of one channel."""

    gain: float = Field(gt=0, description="signal height per unit of charge [ADC/keV], for SiPMs [ADC/photoelectron]")
    baseline: float = Field(gt=0, lt=65520, description="level without signal [ADC]")
    decay_time: float = Field(gt=0, description="exponential decay time of the amplifier [us]")
    rise_time: float = Field(gt=0, description="10 % to 90 % rise time of the amplifier [ns]")
    white_noise: float = Field(ge=0, description="standard deviation of the noise of each sample [ADC]")
    slow_noise: float = Field(0, ge=0, description="standard deviation of the low-frequency noise [ADC]")
    slow_noise_time: float = Field(20, gt=0, description="correlation time of the low-frequency noise [us]")


class Germanium(FrontEnd):
    """One HPGe detector."""

    resolution: tuple[float, float] = Field(
        description="a [keV^2] and b [keV] of FWHM(E) = sqrt(a + b * E), electronics noise not included"
    )
    drift_time: tuple[float, float] = Field(description="shortest and longest charge collection time [ns]")
    current_width: float = Field(gt=0, description="sigma of the current peak when charge reaches the contact [ns]")
    diffusion: float = Field(0, ge=0, description="growth of that sigma per drift time, added in quadrature [ns/ns]")
    slow_charge: float = Field(ge=0, lt=1, description="share of the charge signal that rises evenly during the drift")
    tail_fraction: Probability = Field(0, description="share of deposits that lose charge by trapping")
    tail_length: float = Field(0, ge=0, description="mean relative loss of charge of those [1]")

    def fwhm(self, energy: float | np.ndarray) -> Any:
        """Return the true resolution, full width at half maximum [keV], at ``energy`` [keV]."""
        a, b = self.resolution
        return np.sqrt(a + b * np.maximum(energy, 0))


class Photomultiplier(FrontEnd):
    """One SiPM channel."""

    gain_spread: float = Field(ge=0, lt=1, description="relative standard deviation of single-photoelectron heights")
    dark_rate: float = Field(ge=0, description="rate of dark counts [1/s]")
    crosstalk: float = Field(ge=0, lt=0.5, description="chance that a photoelectron fires a neighbouring cell at once")
    afterpulse: float = Field(ge=0, lt=0.5, description="chance that a photoelectron is followed by another one")
    afterpulse_time: float = Field(gt=0, description="mean delay of after-pulses [ns]")
    light_share: float = Field(gt=0, description="relative share of the argon light this channel sees")


class Component(_Settings):
    """One part of a source's spectrum."""

    kind: Literal["line", "compton", "flat", "betabeta"] = Field(
        description="line; Klein-Nishina recoil spectrum of a gamma line; flat between two energies; 2-nu double beta"
    )
    weight: float = Field(gt=0, description="relative number of deposits")
    energy: float = Field(description="line, gamma, upper end or Q value [keV]; negative: discharge")
    energy_min: float = Field(0, description="lower end of a flat component [keV]")
    extra_fwhm: float = Field(0, ge=0, description="more width of a line, e.g. by the Doppler effect [keV]")
    single_site: Probability = Field(description="share of deposits at one site")
    light: Probability = Field(0, description="share of deposits that come with light in the argon")
    light_yield: float = Field(0, ge=0, description="mean number of photoelectrons of those, over all SiPMs")


class Source(_Settings):
    """What the detectors see in one kind of run."""

    rate: float = Field(gt=0, le=2000, description="deposits in all detectors together [1/s]")
    threshold: float = Field(gt=0, description="trigger threshold, magnitude of the energy [keV]")
    coincidence: Probability = Field(0, description="share of deposits with a second one in another detector")
    coincidence_energy: tuple[float, float] = Field((60, 800), description="range of the second energy [keV]")
    pulser_period: float = Field(gt=0, description="time between pulser events [s]")
    forced_period: float = Field(gt=0, description="time between forced triggers [s]")
    dead_rate: float = Field(0, ge=0, le=1, description="rate of intervals in which the DAQ is blocked [1/s]")
    dead_time: float = Field(0.01, gt=0, le=0.2, description="length of such an interval [s]")
    discarded: Probability = Field(0, description="share of physics events the software trigger refuses (header only)")
    components: dict[str, Component] = Field(min_length=1, description="parts of the spectrum by name")


class Run(_Settings):
    """Some DAQ cycles taken under the same conditions."""

    period: str = Field(pattern=r"^p\d{2}$", description="data-taking period")
    run: str = Field(pattern=r"^r\d{3}$", description="run in the period")
    datatype: Literal["cal", "phy"] = Field(description="calibration or physics")
    source: str = Field(description="name of the source")
    format: DaqFormat = Field(description="file format and record type")
    readout: Literal["sparse", "all"] = Field(description="read out the channels that saw something, or all of them")
    gps: bool = Field(description="external clock: unix time from the offset to the master, not from the server")
    events: int = Field(gt=0, description="triggers in each cycle")
    cycles: list[Timestamp] = Field(min_length=1, description="start of each cycle, UTC")
    gain_factors: dict[str, float] = Field(default_factory=dict, description="gain relative to the nominal one")
    absent: dict[Timestamp, list[str]] = Field(
        default_factory=dict, description="channels that are switched off in a cycle"
    )


class SimulationSettings(_Settings):
    """The whole experiment."""

    experiment: str = Field(pattern=r"^[a-z0-9]+$", description="first part of every file name")
    seed: int = Field(ge=0, description="all random numbers follow from this and the file key")
    n_samples: int = Field(4096, ge=256, le=32768, description="samples per waveform, 16 ns each")
    trigger_sample: int = Field(1900, ge=64, description="where the edge of a signal stands")
    trigger_jitter: int = Field(3, ge=0, description="greatest deviation from there [samples]")
    pulser_energy: float = Field(gt=0, description="height of pulser signals in HPGe channels [keV]")
    germanium: dict[Name, Germanium] = Field(description="HPGe detectors by name")
    sipm: dict[Name, Photomultiplier] = Field(description="SiPM channels by name")
    pulser: dict[Name, FrontEnd] = Field(description="channels that record the pulser itself, by name")
    sources: dict[str, Source] = Field(description="sources by name")
    runs: list[Run] = Field(min_length=1, description="what was taken, in order of time")

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        channels = {*self.germanium, *self.sipm, *self.pulser}
        for number, run in enumerate(self.runs):
            if run.source not in self.sources:
                raise ValueError(f"runs[{number}].source: {run.source!r} is not one of {', '.join(self.sources)}")
            used = {*run.gain_factors, *(name for names in run.absent.values() for name in names)}
            if unknown := sorted(used - channels):
                raise ValueError(f"runs[{number}]: no channel is called {', '.join(unknown)}")
            if stray := sorted(set(run.absent) - set(run.cycles)):
                raise ValueError(f"runs[{number}].absent: {', '.join(stray)} is not one of the run's cycles")
        if self.trigger_sample + self.trigger_jitter >= self.n_samples:
            raise ValueError(f"trigger_sample: {self.trigger_sample} lies outside of {self.n_samples} samples")
        return self


def load_settings(path: Path) -> SimulationSettings:
    """Read the experiment's settings; raise ConfigError naming the file and each wrong key."""
    try:
        return SimulationSettings.model_validate(read_mapping(Path(path)))
    except ValidationError as error:
        raise ConfigError(f"{path}: {_problems(error)}") from error


def load_channelmap(path: Path) -> dict[str, Channel]:
    """Read the channel map as name -> channel; raise ConfigError naming the file and what is wrong in it."""
    return {channel.name: channel for channel in ChannelMap.read(path).channels}


def daq_keys(settings: SimulationSettings) -> dict[str, str]:
    """Return every cycle's key and the path of its DAQ file below the ``daq`` directory."""
    paths = {}
    for run in settings.runs:
        for timestamp in run.cycles:
            key = f"{settings.experiment}-{run.period}-{run.run}-{run.datatype}-{timestamp}"
            paths[key] = f"{run.datatype}/{run.period}/{run.run}/{key}.{suffix(run.format)}"
    return paths


def suffix(format: str) -> str:
    """Return how the names of a format's files end."""
    kind = format.partition("-")[0]
    return SUFFIXES.get(kind, kind)


def in_format(run: Run, format: str | None) -> Run:
    """Return the run written in another format; None keeps its own, ConfigError if there is none of that name."""
    if format is not None and format not in get_args(DaqFormat):
        raise ConfigError(f"simulation: unknown format {format!r}; known: {', '.join(get_args(DaqFormat))}")
    return run if format is None else run.model_copy(update={"format": format})


def find_cycle(settings: SimulationSettings, key: str) -> tuple[Run, str]:
    """Return the run and the timestamp of a key; raise ConfigError when the settings have no such cycle."""
    for run in settings.runs:
        prefix = f"{settings.experiment}-{run.period}-{run.run}-{run.datatype}-"
        timestamp = key.removeprefix(prefix)
        if key.startswith(prefix) and timestamp in run.cycles:
            return run, timestamp
    known = list(daq_keys(settings))
    raise ConfigError(f"simulation: no cycle {key!r}; the settings have {len(known)}, from {known[0]} to {known[-1]}")


def _problems(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}" for e in error.errors())
