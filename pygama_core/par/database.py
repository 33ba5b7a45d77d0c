"""Look up parameters valid at a time, with overrides, and say which file supplied a value.

A parameter file is a mapping ``{detector: {...}}``; its optional top-level key ``provenance`` says what made the file,
belongs to no detector and is not merged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from pygama_core.errors import ParameterError
from pygama_core.par.validity import ALL, ValidityCatalog
from pygama_core.par.yaml_file import load_yaml

PROVENANCE = "provenance"
Key: TypeAlias = "str | Sequence[str | int | float]"

_MISSING = object()


@dataclass(frozen=True)
class ParameterFile:
    """One parameter file as read."""

    path: Path
    content: Mapping[str, Any]  # by detector
    provenance: Mapping[str, Any]


@dataclass(frozen=True)
class ValueSource:
    """A file that sets a value; of several, the last one counts."""

    path: Path
    value: Any
    provenance: Mapping[str, Any]


@dataclass(frozen=True)
class Parameters:
    """Parameters valid at one time: the files merged from left to right."""

    files: tuple[ParameterFile, ...]
    merged: Mapping[str, Any]

    @property
    def detectors(self) -> tuple[str, ...]:
        """Names of all detectors, sorted."""
        return tuple(sorted(self.merged))

    def detector(self, name: str) -> dict[str, Any]:
        """Return all parameters of a detector.

        Raises
        ------
        ParameterError : if no file knows the detector
        """
        if name not in self.merged:
            raise ParameterError(f"detector {name}: not in {self._names()}; known are {', '.join(self.detectors)}")
        parameters: dict[str, Any] = self.merged[name]
        return parameters

    def get(self, detector: str, key: Key) -> Any:
        """Return one value, say ``get("V01", "pars.operations.trapEmax_cal.parameters.b")``.

        Parameters
        ----------
        detector : its name
        key : dotted path; or a sequence of keys where these contain dots or are numbers

        Raises
        ------
        ParameterError : if the detector or the key does not exist
        """
        steps = _steps(key)
        value: Any = self.detector(detector)
        for i, step in enumerate(steps):
            if not isinstance(value, Mapping) or step not in value:
                path = ".".join(map(str, steps[: i + 1]))
                there = ", ".join(map(str, value)) if isinstance(value, Mapping) else repr(value)
                raise ParameterError(f"detector {detector}: no {path} in {self._names()}; there is: {there}")
            value = value[step]
        return value

    def explain(self, detector: str, key: Key) -> list[ValueSource]:
        """List every file that sets the value (or a part of it), in order of merging."""
        found = []
        for file in self.files:
            value: Any = file.content.get(detector, _MISSING)
            for step in _steps(key):
                value = value.get(step, _MISSING) if isinstance(value, Mapping) else _MISSING
            if value is not _MISSING:
                found.append(ValueSource(file.path, value, file.provenance))
        return found

    def _names(self) -> str:
        return ", ".join(str(file.path) for file in self.files) or "no file"


class ParameterDatabase:
    """Directories of parameter files, each with its ``validity.yaml``."""

    def __init__(self, directories: Sequence[Path], overrides: Sequence[Path] = ()) -> None:
        """Read the catalogues.

        Parameters
        ----------
        directories : generated parameters; a time before the first entry of one of them is an error
        overrides : merged after them; may have nothing valid at a time
        """
        self.catalogs = tuple(ValidityCatalog.read(path) for path in directories)
        self.overrides = tuple(ValidityCatalog.read(path) for path in overrides)

    def files_on(self, timestamp: str, category: str = ALL) -> tuple[Path, ...]:
        """Return the valid files in order of merging, overrides last."""
        generated = [path for catalog in self.catalogs for path in catalog.files_on(timestamp, category)]
        override = [
            catalog.directory / name
            for catalog in self.overrides
            for name in catalog.names_on(timestamp, category) or ()
        ]
        return (*generated, *override)

    def on(self, timestamp: str, category: str = ALL) -> Parameters:
        """Return the parameters valid at a time (``YYYYMMDDTHHMMSSZ``) for a category such as ``cal`` or ``phy``.

        Raises
        ------
        ParameterError : if nothing is valid yet, or a valid file is missing or malformed
        """
        return merge_files(self.files_on(timestamp, category))

    def problems(self, timestamp: str, category: str = ALL) -> list[str]:
        """Say what is suspicious: problems of the catalogues, overrides of detectors without generated parameters."""
        found = [text for catalog in (*self.catalogs, *self.overrides) for text in catalog.problems()]
        if not all(path.is_file() for path in self.files_on(timestamp, category)):
            return found
        n_generated = sum(len(catalog.files_on(timestamp, category)) for catalog in self.catalogs)
        files = self.on(timestamp, category).files
        known = {detector for file in files[:n_generated] for detector in file.content}
        return found + [
            f"{file.path}: overrides detector {detector}, which has no generated parameters at {timestamp}"
            for file in files[n_generated:]
            for detector in sorted(set(file.content) - known)
        ]


def read_file(path: Path) -> ParameterFile:
    """Read one parameter file.

    Raises
    ------
    ParameterError : if it is not a mapping of detectors to mappings
    """
    content = load_yaml(path)
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise ParameterError(f"{path}: got {type(content).__name__}, expected a mapping of detectors to parameters")
    provenance = content.pop(PROVENANCE, {})
    for detector, parameters in content.items():
        if not isinstance(parameters, dict):
            raise ParameterError(f"{path}: {detector}: got {parameters!r}, expected a mapping of parameters")
    return ParameterFile(path, content, provenance)


def merge_files(paths: Sequence[Path]) -> Parameters:
    """Read files and merge them from left to right, see `deep_merge`."""
    files = tuple(read_file(path) for path in paths)
    merged: dict[str, Any] = {}
    for file in files:
        merged = deep_merge(merged, file.content)
    return Parameters(files, merged)


def read_parameters(paths: Sequence[Path]) -> dict[str, Any]:
    """Return the parameters by detector of files merged from left to right."""
    return dict(merge_files(paths).merged)


def deep_merge(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Merge mappings recursively into a new one; other values of `second` (lists, null too) replace."""
    merged = dict(first)
    for key, value in second.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = deep_merge(old or {}, value) if both else _copy(value)
    return merged


def _copy(value: Any) -> Any:
    """Copy the containers, so that no two merged results share one."""
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _steps(key: Key) -> tuple[Any, ...]:
    return tuple(key.split(".")) if isinstance(key, str) else tuple(key)
