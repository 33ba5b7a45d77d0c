"""The channel map: which detector is read out by which DAQ channel, and to which system it belongs.

.. code-block:: yaml

    V01: {rawid: 1104000, system: geds}

Without a map every channel is its own detector, named by its table (``ch1104000``), of the system ``default``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pygama_core.configfile import read_mapping
from pygama_core.errors import ConfigError

DEFAULT_SYSTEM = "default"


def table_name(rawid: int) -> str:
    """Return the name of a channel's group in every tier."""
    return f"ch{rawid:07d}"


@dataclass(frozen=True)
class Channel:
    """One DAQ channel."""

    name: str
    rawid: int
    system: str

    @property
    def table(self) -> str:
        """Name of the channel's group in every tier."""
        return table_name(self.rawid)


@dataclass(frozen=True)
class ChannelMap:
    """All channels, in the order of the file; empty when there is no map."""

    channels: tuple[Channel, ...] = ()

    @classmethod
    def read(cls, path: Path | None) -> ChannelMap:
        """Read a map; None gives the empty one.

        Raises
        ------
        ConfigError
            if the file is missing, an entry lacks a key or has one too many, or two detectors share a rawid
        """
        if path is None:
            return cls()
        channels = tuple(_channel(path, name, entry) for name, entry in read_mapping(path).items())
        owners: dict[int, str] = {}
        for channel in channels:
            if channel.rawid in owners:
                raise ConfigError(
                    f"{path}: {channel.name} and {owners[channel.rawid]} both have the rawid {channel.rawid}"
                )
            owners[channel.rawid] = channel.name
        return cls(channels)

    @property
    def names(self) -> dict[int, str]:
        """Detector names by rawid."""
        return {channel.rawid: channel.name for channel in self.channels}

    def groups(self, found: Iterable[int] = ()) -> dict[str, list[int]]:
        """Return the rawids of each system; without a map, all found channels are of the system ``default``."""
        if not self.channels:
            return {DEFAULT_SYSTEM: sorted(found)}
        groups: dict[str, list[int]] = {}
        for channel in self.channels:
            groups.setdefault(channel.system, []).append(channel.rawid)
        return groups

    def configs(self, by_system: Mapping[str, Path]) -> dict[str, Path]:
        """Return table patterns and their configurations; ``default`` applies to channels that no other one names."""
        known = {channel.system for channel in self.channels} | {DEFAULT_SYSTEM}
        unknown = sorted(set(by_system) - known)
        if unknown and self.channels:
            raise ConfigError(
                f"configurations for the systems {', '.join(unknown)}, of which the channel map has no channel; "
                f"it has {', '.join(sorted(known))}"
            )
        configs = {c.table: by_system[c.system] for c in self.channels if c.system in by_system}
        if DEFAULT_SYSTEM in by_system:
            configs["*"] = by_system[DEFAULT_SYSTEM]
        return configs

    def name(self, table: str) -> str:
        """Return the detector of a table; the table's own name if the map does not know it."""
        return next((c.name for c in self.channels if c.table == table), table)

    def by_table(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Re-key parameters from detector names to tables; names outside the map are kept as they are."""
        tables = {channel.name: channel.table for channel in self.channels}
        return {tables.get(name, name): value for name, value in parameters.items()}

    def select(self, found: Iterable[str], systems: Iterable[str]) -> list[str]:
        """Return those of the found tables that belong to the systems; without a map, all of them."""
        if not self.channels:
            return sorted(found)
        wanted = set(systems)
        members = {channel.table for channel in self.channels if channel.system in wanted}
        return [table for table in sorted(found) if table in members]


def _channel(path: Path, name: str, entry: Any) -> Channel:
    expected = {"rawid", "system"}
    if not isinstance(entry, dict) or set(entry) != expected:
        raise ConfigError(f"{path}: {name}: found {entry!r}; expected the keys {', '.join(sorted(expected))}")
    if not isinstance(entry["rawid"], int) or entry["rawid"] < 0:
        raise ConfigError(f"{path}: {name}: rawid {entry['rawid']!r} is not a whole number >= 0")
    return Channel(str(name), entry["rawid"], str(entry["system"]))
