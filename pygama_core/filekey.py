"""Names of DAQ cycles and runs: ``{experiment}-{period}-{run}-{datatype}-{timestamp}``, and every path made from them.

A *cycle* is one DAQ file; a *run* has many cycles of each datatype.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pygama_core.errors import ConfigError

FIELDS = {
    "experiment": r"\w+",
    "period": r"p\d+",
    "run": r"r\d+",
    "datatype": r"[a-z]+",
    "timestamp": r"\d{8}T\d{6}Z",
}
KEY = re.compile("-".join(f"(?P<{name}>{pattern})" for name, pattern in FIELDS.items()))
CYCLE_TIERS = ("raw", "tcm", "dsp", "hit")
RUN_TIERS = ("evt",)
COMPRESSION = r"(\.gz|\.bz2|\.zst)?"


@dataclass(frozen=True, order=True)
class RunKey:
    """One run of one datatype, such as the calibration data of p01 r002."""

    experiment: str
    period: str
    run: str
    datatype: str

    def __str__(self) -> str:
        return f"{self.experiment}-{self.period}-{self.run}-{self.datatype}"

    @property
    def directory(self) -> str:
        """The run's place below a tier: ``datatype/period/run``."""
        return f"{self.datatype}/{self.period}/{self.run}"


@dataclass(frozen=True, order=True)
class CycleKey:
    """One DAQ cycle."""

    run_key: RunKey
    timestamp: str

    def __str__(self) -> str:
        return f"{self.run_key}-{self.timestamp}"

    @classmethod
    def parse(cls, text: str) -> CycleKey:
        """Return the key that a text spells; raise ConfigError if it spells none."""
        match = KEY.fullmatch(text)
        if match is None:
            raise ConfigError(
                f"{text!r} is not a cycle key; expected experiment-period-run-datatype-timestamp, "
                f"for example l200-p03-r001-cal-20230318T012144Z"
            )
        return cls.from_fields(match.groupdict())

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> CycleKey:
        """Build the key from its five named fields."""
        run_fields = {name: fields[name] for name in ("experiment", "period", "run", "datatype")}
        return cls(RunKey(**run_fields), fields["timestamp"])


def cycle_path(tier: str, key: CycleKey) -> str:
    """Return a cycle's file of a tier, relative to the tier directory."""
    return f"{tier}/{key.run_key.directory}/{key}-tier_{tier}.lh5"


def run_path(tier: str, key: RunKey) -> str:
    """Return a run's file of a tier, relative to the tier directory."""
    return f"{tier}/{key.directory}/{key}-tier_{tier}.lh5"


def par_path(tier: str, key: RunKey) -> str:
    """Return a run's parameter file of a tier, relative to the parameter directory."""
    return f"{tier}/{key.directory}/{key}-par_{tier}.yaml"


@dataclass(frozen=True)
class FilePattern:
    """How a site names its DAQ files.

    Parameters
    ----------
    text
        a path below the DAQ directory with the fields ``{experiment} {period} {run} {datatype} {timestamp}``, in which
        ``*`` stands for anything but a slash
    defaults
        values of fields that the names do not contain
    """

    text: str
    defaults: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        named = set(re.findall(r"\{(\w*)\}", self.text))
        unknown = sorted(named - set(FIELDS))
        missing = sorted(set(FIELDS) - named - set(dict(self.defaults)))
        if unknown or missing:
            raise ConfigError(
                f"daq.pattern {self.text!r}: unknown fields {unknown}, fields without a value {missing}; "
                f"it may use {', '.join(FIELDS)}, and daq.defaults gives what the file names do not say"
            )

    def regex(self) -> re.Pattern[str]:
        """Return the pattern as a regular expression over relative paths."""
        seen: set[str] = set()
        parts = []
        for part in re.split(r"(\{\w+\}|\*)", self.text):
            name = part[1:-1]
            if part == "*":
                parts.append("[^/]*")
            elif part.startswith("{"):
                parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>{FIELDS[name]})")
                seen.add(name)
            else:
                parts.append(re.escape(part))
        return re.compile("".join(parts) + COMPRESSION)

    def find(self, paths: Iterable[str]) -> dict[CycleKey, str]:
        """Return the cycles among relative paths; raise ConfigError when two files are the same cycle."""
        regex = self.regex()
        cycles: dict[CycleKey, str] = {}
        for path in sorted(paths):
            if path.endswith(".lh5") or (match := regex.fullmatch(path)) is None:
                continue  # an LH5 file beside DAQ files is a product, such as a simulation's truth
            key = CycleKey.from_fields({**dict(self.defaults), **match.groupdict()})
            if key in cycles:
                raise ConfigError(f"DAQ files {cycles[key]} and {path} are both the cycle {key}; remove one of them")
            cycles[key] = path
        return cycles


def list_files(directory: Path) -> list[str]:
    """Return all files below a directory as relative paths; links to directories are followed."""
    found = []
    for parent, _, names in os.walk(directory, followlinks=True):
        found += [os.path.relpath(os.path.join(parent, name), directory) for name in names]
    return sorted(found)
