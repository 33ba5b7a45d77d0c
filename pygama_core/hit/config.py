"""Hit configuration: outputs, operations, aggregations; a misspelt key is an error that names it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pygama_core.configfile import read_mapping
from pygama_core.errors import ConfigError
from pygama_core.expression import Expression
from pygama_core.lh5.types import Attrs

_TOP_KEYS = frozenset({"outputs", "operations", "aggregations"})
_OPERATION_KEYS = frozenset({"expression", "parameters", "description", "lgdo_attrs", "optional"})
MAX_BITS = 64


@dataclass(frozen=True, eq=False)
class Operation:
    """One computed column."""

    name: str
    expression: Expression
    where: str  # file and key, for messages
    parameters: Mapping[str, Any] = field(default_factory=dict)
    attrs: Attrs = field(default_factory=dict)
    optional: bool = False  # leave the column out, instead of failing, where an input is absent

    @property
    def inputs(self) -> frozenset[str]:
        """Columns that the expression needs: its names without its parameters."""
        return self.expression.names - frozenset(self.parameters)

    @property
    def nan_parameters(self) -> list[str]:
        """Names of the parameters that hold a NaN: left by a calibration that failed."""
        return [name for name, value in self.parameters.items() if _has_nan(value)]


@dataclass(frozen=True, eq=False)
class HitConfig:
    """A whole hit configuration of one channel."""

    where: str
    operations: Mapping[str, Operation]
    aggregations: Mapping[str, tuple[str, ...]]  # bit field -> columns, first is bit 0
    outputs: tuple[str, ...] | None = None  # None: every input and every result


def load_mapping(source: Path | Mapping[str, Any], default_where: str) -> tuple[str, Mapping[str, Any]]:
    """Return where a configuration comes from and its content.

    Raises
    ------
    ConfigError : if the file is missing, is not YAML or JSON, or holds no mapping
    """
    if isinstance(source, Mapping):
        return default_where, source
    return str(source), read_mapping(Path(source))


def check_keys(config: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    """Raise ConfigError if ``config`` has a key that is not known."""
    if unknown := sorted(set(map(str, config)) - known):
        raise ConfigError(f"{where}: unknown key {unknown[0]!r}; known keys: {', '.join(sorted(known))}")


def merge(base: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``update`` merged over it, mappings key by key; neither is changed."""
    merged = dict(base)
    for key, value in update.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def column_attrs(config: Mapping[str, Any], where: str) -> Attrs:
    """Return the attributes of a result: ``lgdo_attrs`` and ``description``; writer options are left out."""
    attrs = config.get("lgdo_attrs", {})
    if not isinstance(attrs, Mapping):
        raise ConfigError(f"{where}.lgdo_attrs: found {type(attrs).__name__}, expected a mapping of attributes")
    merged: Attrs = {str(name): value for name, value in attrs.items() if name != "hdf5_settings"}
    if "description" in config:
        merged["description"] = str(config["description"])
    return merged


def parse_hit_config(config: Mapping[str, Any], where: str) -> HitConfig:
    """Check a hit configuration and compile its expressions.

    Raises
    ------
    ConfigError : on an unknown key, a missing expression, a wrong type; ExpressionError on a bad expression
    """
    check_keys(config, _TOP_KEYS, where)
    operations = {
        str(name): _parse_operation(str(name), block, f"{where}: operations.{name}")
        for name, block in dict(config.get("operations") or {}).items()
    }
    outputs = config.get("outputs")
    if outputs is not None and (isinstance(outputs, str) or not all(isinstance(name, str) for name in outputs)):
        raise ConfigError(f"{where}: outputs: found {outputs!r}, expected a list of column names")
    aggregations = {
        str(name): _parse_bits(block, f"{where}: aggregations.{name}")
        for name, block in dict(config.get("aggregations") or {}).items()
    }
    if clash := sorted(set(aggregations) & set(operations)):
        raise ConfigError(f"{where}: {clash[0]!r} is both an operation and an aggregation; rename one")
    return HitConfig(where, operations, aggregations, None if outputs is None else tuple(dict.fromkeys(outputs)))


def _parse_operation(name: str, block: Any, where: str) -> Operation:
    if not isinstance(block, Mapping) or not isinstance(block.get("expression"), str):
        raise ConfigError(f"{where}: found {block!r}, expected a mapping with a text 'expression'")
    check_keys(block, _OPERATION_KEYS, where)
    return Operation(
        name,
        Expression(block["expression"], where=where),
        where,
        parse_parameters(block),
        column_attrs(block, where),
        bool(block.get("optional", False)),
    )


def parse_parameters(block: Mapping[str, Any]) -> dict[str, Any]:
    """Return an operation's parameters; lists become arrays."""
    return {str(name): _parameter(value) for name, value in dict(block.get("parameters") or {}).items()}


def _parameter(value: Any) -> Any:
    """Return a number or an array; "nan" and "inf" may be written as text."""
    if isinstance(value, str) and value.removeprefix("-").removeprefix("np.") in {"nan", "inf"}:
        return float(value.replace("np.", ""))
    return np.asarray(value) if isinstance(value, list) else value


def _parse_bits(block: Any, where: str) -> tuple[str, ...]:
    if not isinstance(block, Mapping) or not block:
        raise ConfigError(f"{where}: found {block!r}, expected a mapping of bit labels to columns")
    if len(block) > MAX_BITS:
        raise ConfigError(f"{where}: {len(block)} bits, at most {MAX_BITS} fit; split the aggregation")
    return tuple(str(column) for column in block.values())


def _has_nan(value: Any) -> bool:
    values = np.asarray(value)
    return bool(values.dtype.kind == "f" and np.isnan(values).any())
