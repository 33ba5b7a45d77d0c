"""Parameter files as YAML: the same values always give the same bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pygama_core.atomic import replacing
from pygama_core.errors import ParameterError

SIGNIFICANT_DIGITS = 10  # finer than any fit, coarser than the last bits that differ between math libraries

# the safe loader builds plain values only, never objects
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def to_plain(value: Any, where: str = "") -> Any:
    """Convert to dicts, lists, str, bool, int, None and rounded floats.

    Parameters
    ----------
    value : numpy arrays and numbers, mappings and sequences of them, at any depth
    where : dotted path of the value, for the error text

    Returns
    -------
    plain : same content; mappings sorted by the text of their keys, floats with `SIGNIFICANT_DIGITS` digits

    Raises
    ------
    ParameterError : if a value has no YAML form
    """
    if isinstance(value, Mapping):
        pairs = sorted(((_plain_key(key, where), item) for key, item in value.items()), key=lambda pair: str(pair[0]))
        return {key: to_plain(item, f"{where}.{key}".lstrip(".")) for key, item in pairs}
    if isinstance(value, np.ndarray):
        return to_plain(value.tolist(), where)
    if isinstance(value, list | tuple):
        return [to_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, np.generic):
        return to_plain(value.item(), where)
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if math.isfinite(value) else value
    if value is None or isinstance(value, str | bool | int):
        return value
    raise ParameterError(
        f"{where or 'value'}: {type(value).__name__} cannot be written to a parameter file; expected numbers, text, "
        f"arrays, lists or mappings"
    )


def _plain_key(key: Any, where: str) -> str | int | float:
    plain = to_plain(key, f"key in {where}")
    if isinstance(plain, str | int | float):
        return plain
    raise ParameterError(f"{where}: key {key!r} is not text or a number; it cannot be looked up")


def dump_yaml(value: Any) -> str:
    """Return `value` as YAML text."""
    text: str = yaml.dump(to_plain(value), Dumper=_DUMPER, sort_keys=False, width=120, allow_unicode=True)
    return text


def write_yaml(path: Path, value: Any) -> None:
    """Write `value`; the file appears complete or not at all."""
    with replacing(path) as partial:
        partial.write_text(dump_yaml(value), encoding="utf-8")


def load_yaml(path: Path) -> Any:
    """Return the content of a YAML (or JSON) file.

    Raises
    ------
    ParameterError : if it cannot be read or parsed
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path}: cannot be read ({error}); expected a YAML file of parameters") from error
    try:
        return yaml.load(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        raise ParameterError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
