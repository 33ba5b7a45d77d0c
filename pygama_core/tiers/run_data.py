"""What the parameter steps share: the channels of a run's cycles, their columns, and settings files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from pygama_core import lh5
from pygama_core.channelmap import ChannelMap
from pygama_core.configfile import read_mapping
from pygama_core.errors import ConfigError

Settings = TypeVar("Settings", bound=BaseModel)


@dataclass(frozen=True)
class ChannelFiles:
    """One channel in the cycles of a run that have it."""

    name: str  # detector
    table: str  # such as ch1104000
    tier: str
    files: tuple[Path, ...]

    def read_columns(self, names: Iterable[str]) -> tuple[dict[str, np.ndarray], set[str]]:
        """Return plain columns, (n_rows of all cycles,) each, and the names that a cycle with rows does not have."""
        wanted = sorted(set(names))
        parts: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
        missing: set[str] = set()
        for file in self.files:
            with lh5.Reader(file) as reader:
                group = f"{self.table}/{self.tier}"
                absent = {name for name in wanted if not reader.exists(f"{group}/{name}")}
                missing |= absent
                table = reader.read(group, columns=[name for name in wanted if name not in absent])
                for name in table:
                    parts[name].append(table.array(name))
        return {name: np.concatenate(p) for name, p in parts.items() if p and name not in missing}, missing

    def blocks(self, columns: Sequence[str], n_rows: int) -> Iterator[lh5.Table]:
        """Yield the columns of all cycles in blocks of rows."""
        for file in self.files:
            with lh5.Reader(file) as reader:
                group = f"{self.table}/{self.tier}"
                for start in range(0, reader.n_rows(group), n_rows):
                    yield reader.read(group, columns=columns, rows=slice(start, start + n_rows))


def find_channels(
    files: Sequence[Path], tier: str, channelmap: ChannelMap, systems: Sequence[str]
) -> list[ChannelFiles]:
    """Return the wanted channels that are in at least one file, sorted by table."""
    present: dict[str, list[Path]] = {}
    for file in files:
        for name in lh5.ls(file, f"ch*/{tier}"):
            present.setdefault(name.removesuffix(f"/{tier}"), []).append(file)
    tables = channelmap.select(present, systems)
    return [ChannelFiles(channelmap.name(table), table, tier, tuple(present[table])) for table in tables]


def read_settings(path: Path | None, kind: type[Settings]) -> Settings:
    """Return the settings in a YAML file, or the defaults; raise ConfigError that names file and key."""
    if path is None:
        return kind()
    try:
        return kind.model_validate(read_mapping(path))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"{path}: {problems}") from error
