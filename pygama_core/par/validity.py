"""Which parameter files are valid from when: the field's ``validity.yaml``.

The file is a list of entries ``{valid_from, apply, mode, category}``:

* ``valid_from``: ``YYYYMMDDTHHMMSSZ`` in UTC; entries count in order of time, whatever their order in the file;
* ``apply``: one file name or a list of them, relative to the catalogue's directory;
* ``category`` (older name ``system``): ``all`` (default), a data type such as ``cal``, or a list of them;
* ``mode``: ``append`` (default: previous files and these), ``reset`` (only these), ``remove`` (previous without these),
  ``replace`` (``[old, new]``: old is dropped, new comes last).

Every category has a history of its own; its first entry always acts as ``reset``. At a time before a category's first
entry, the history of ``all`` answers.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from pygama_core.errors import ParameterError
from pygama_core.par.yaml_file import load_yaml, write_yaml

CATALOG_NAME = "validity.yaml"
ALL = "all"
MODES = ("append", "reset", "remove", "replace")
_TIMESTAMP = re.compile(r"\d{8}T\d{6}Z")
_KEYS = {"valid_from", "apply", "mode", "category", "system"}


def check_timestamp(timestamp: Any, where: str = "timestamp") -> str:
    """Return `timestamp` if it is a ``YYYYMMDDTHHMMSSZ`` text that names a real time; these sort as text."""
    if isinstance(timestamp, str) and _TIMESTAMP.fullmatch(timestamp):
        try:
            datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        except ValueError as error:
            raise ParameterError(f"{where}: {timestamp!r} is no existing time ({error})") from error
        return timestamp
    raise ParameterError(f"{where}: got {timestamp!r}, expected a text YYYYMMDDTHHMMSSZ such as 20230318T012144Z")


@dataclass(frozen=True)
class ValidityEntry:
    """One line of the catalogue."""

    valid_from: str
    apply: tuple[str, ...]
    mode: str = "append"
    category: tuple[str, ...] = (ALL,)


@dataclass(frozen=True)
class ValidityCatalog:
    """All entries of a ``validity.yaml``, and the directory its file names are relative to."""

    entries: tuple[ValidityEntry, ...]
    directory: Path
    source: str = CATALOG_NAME

    @classmethod
    def read(cls, path: Path) -> ValidityCatalog:
        """Read a catalogue, or the ``validity.yaml`` of a directory.

        Raises
        ------
        ParameterError : if the file is missing, malformed or contradicts itself
        """
        path = path / CATALOG_NAME if path.is_dir() else path
        content = load_yaml(path)
        if not isinstance(content, list):
            raise ParameterError(f"{path}: got {type(content).__name__}, expected a list of validity entries")
        entries = tuple(_entry(item, f"{path}: entry {i}") for i, item in enumerate(content, start=1))
        catalog = cls(entries, path.parent, str(path))
        _ = catalog.histories  # contradictions are found when reading, not at the first look-up
        return catalog

    @classmethod
    def from_runs(
        cls, files: Mapping[str, Sequence[str]], directory: Path, category: str | None = None
    ) -> ValidityCatalog:
        """Build the catalogue of generated files: from each timestamp on, exactly its files are valid."""
        categories = (category or ALL,)
        entries = tuple(
            ValidityEntry(check_timestamp(start), tuple(files[start]), "reset", categories) for start in sorted(files)
        )
        return cls(entries, directory, str(directory / CATALOG_NAME))

    def write(self, path: Path) -> None:
        """Write the entries in order of time; order and mode of each entry are kept as they are."""
        write_yaml(path, [_as_dict(entry) for entry in _sorted(self.entries)])

    @cached_property
    def histories(self) -> dict[str, tuple[list[str], list[tuple[str, ...]]]]:
        """Per category: the times of change, and the file list from each on."""
        result: dict[str, tuple[list[str], list[tuple[str, ...]]]] = {}
        for entry in _sorted(self.entries):
            for category in entry.category:
                times, lists = result.setdefault(category, ([], []))
                where = f"{self.source}: {entry.valid_from} (category {category})"
                if times and times[-1] == entry.valid_from:
                    raise ParameterError(
                        f"{where}: two entries have this timestamp; write one entry with mode reset and all its files"
                    )
                lists.append(_next_files(lists[-1], entry, where) if lists else entry.apply)
                times.append(entry.valid_from)
        return result

    def names_on(self, timestamp: str, category: str = ALL) -> tuple[str, ...] | None:
        """Return the file names valid at a time, in order of merging; None before the first entry."""
        check_timestamp(timestamp, f"{self.source}: look-up")
        for name in (category, ALL):
            times, lists = self.histories.get(name, ([], []))
            position = bisect_right(times, timestamp)
            if position:
                return lists[position - 1]
        return None

    def files_on(self, timestamp: str, category: str = ALL) -> tuple[Path, ...]:
        """Return the paths of the files valid at a time, in order of merging.

        Raises
        ------
        ParameterError : if the time is before the first entry
        """
        names = self.names_on(timestamp, category)
        if names is None:
            first = min((entry.valid_from for entry in self.entries), default="never (no entries)")
            raise ParameterError(
                f"{self.source}: nothing is valid at {timestamp} for category {category}; the first entry starts "
                f"{first}: calibrate an earlier run or add an entry"
            )
        return tuple(self.directory / name for name in names)

    def problems(self) -> list[str]:
        """Say what is suspicious but not wrong: missing files, entries out of order in the file."""
        names = sorted({name for entry in self.entries if entry.mode != "remove" for name in entry.apply})
        found = [
            f"{self.source}: {self.directory / name} does not exist; produce it or remove it from the catalogue"
            for name in names
            if not (self.directory / name).is_file()
        ]
        times = [entry.valid_from for entry in self.entries]
        found += [
            f"{self.source}: entry {i + 2} ({later}) is earlier than the one before it ({earlier}); entries count in "
            f"order of time"
            for i, (earlier, later) in enumerate(pairwise(times))
            if later < earlier
        ]
        return found


def _sorted(entries: Iterable[ValidityEntry]) -> list[ValidityEntry]:
    return sorted(entries, key=lambda entry: entry.valid_from)


def _next_files(previous: tuple[str, ...], entry: ValidityEntry, where: str) -> tuple[str, ...]:
    if entry.mode == "reset":
        return entry.apply
    if entry.mode == "append":
        return previous + entry.apply
    gone = entry.apply[:1] if entry.mode == "replace" else entry.apply
    missing = [name for name in gone if name not in previous]
    if missing:
        raise ParameterError(
            f"{where}: mode {entry.mode} names {', '.join(missing)}, not valid before; valid are {', '.join(previous)}"
        )
    kept = list(previous)
    for name in gone:
        kept.remove(name)
    return (*kept, *entry.apply[1:]) if entry.mode == "replace" else tuple(kept)


def _entry(item: Any, where: str) -> ValidityEntry:
    if not isinstance(item, Mapping) or not {"valid_from", "apply"} <= set(item):
        raise ParameterError(f"{where}: got {item!r}, expected a mapping with at least valid_from and apply")
    unknown = sorted(str(key) for key in set(item) - _KEYS)
    if unknown:
        raise ParameterError(f"{where}: unknown keys {', '.join(unknown)}; known are {', '.join(sorted(_KEYS))}")
    mode = item.get("mode", "append")
    if mode not in MODES:
        raise ParameterError(f"{where}: mode is {mode!r}, expected one of {', '.join(MODES)}")
    apply = _texts(item["apply"], f"{where}: apply")
    if mode == "replace" and len(apply) != 2:
        raise ParameterError(f"{where}: mode replace has {len(apply)} files, expected exactly two: [old, new]")
    category = _texts(item.get("category", item.get("system", ALL)), f"{where}: category")
    return ValidityEntry(check_timestamp(item["valid_from"], f"{where}: valid_from"), apply, mode, category)


def _texts(value: Any, where: str) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(text, str) for text in values):
        raise ParameterError(f"{where}: got {value!r}, expected a text or a list of texts")
    return tuple(values)


def _as_dict(entry: ValidityEntry) -> dict[str, Any]:
    category = entry.category[0] if len(entry.category) == 1 else list(entry.category)
    return {
        "valid_from": entry.valid_from,
        "mode": entry.mode,
        "category": category,
        "apply": list(entry.apply),
    }
