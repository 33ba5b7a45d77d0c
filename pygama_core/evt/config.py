"""Event configuration: channel groups, outputs and operations, checked before any data are read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pygama_core.errors import ConfigError
from pygama_core.evt.calls import FunctionCall, parse_call
from pygama_core.expression import Expression
from pygama_core.hit.config import check_keys, column_attrs, parse_parameters
from pygama_core.lh5.types import Attrs

_TOP_KEYS = frozenset({"channels", "channel_mapping", "outputs", "operations"})
_OPERATION_KEYS = frozenset(
    {"channels", "exclude_channels", "aggregation_mode", "expression", "query", "parameters", "initial", "sort"}
    | {"dtype", "reduce", "description", "lgdo_attrs"}
)
PLAIN_MODES = ("sum", "any", "all", "gather", "function")
FIELD_MODES = ("first_at", "last_at", "keep_at_ch", "keep_at_idx")
REDUCTIONS = ("sum", "count", "any", "all", "min", "max")
TCM_FIELDS = ("table_key", "row_in_table", "index")
SORT_ORDERS = ("ascend_by", "descend_by")


@dataclass(frozen=True, eq=False)
class EventOperation:
    """One event field."""

    name: str  # nested tables separated by ___
    where: str
    mode: str | None  # None: computed from earlier event fields
    expression: Expression | FunctionCall
    mode_field: str = ""  # tier.field after the colon of the mode
    query: Expression | None = None
    channels: tuple[int, ...] = ()  # table keys in the order of the groups
    excluded: tuple[int, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    initial: Any = None
    sort_field: str = ""
    sort_descending: bool = False
    dtype: np.dtype | None = None
    reduce: str | None = None
    attrs: Attrs = field(default_factory=dict)

    @property
    def hit_names(self) -> frozenset[str]:
        """Every ``tier.field`` that is looked up hit by hit, without event fields and parameters."""
        names = set(self.query.names) if self.query else set()
        if isinstance(self.expression, Expression):
            names |= self.expression.names
        else:
            names |= set(self.expression.observables)
        names |= {name for name in (self.mode_field, self.sort_field) if name}
        return frozenset(name for name in names - set(self.parameters) if tier_of(name) != "evt")


@dataclass(frozen=True, eq=False)
class EventConfig:
    """A whole event configuration."""

    where: str
    operations: tuple[EventOperation, ...]
    outputs: tuple[str, ...]

    def columns_by_tier(self) -> dict[str, dict[int, set[str]]]:
        """Return tier -> table key -> columns that the operations need of that channel."""
        needs: dict[str, dict[int, set[str]]] = {}
        for operation in self.operations:
            for name in operation.hit_names:
                tier, _, column = name.partition(".")
                if tier == "tcm":
                    continue
                for key in set(operation.channels) - set(operation.excluded):
                    needs.setdefault(tier, {}).setdefault(key, set()).add(column)
        return needs


def tier_of(name: str) -> str:
    """Return what stands before the first dot."""
    return name.partition(".")[0]


def event_field(name: str) -> str:
    """Return the field that ``evt.a.b`` or ``evt.a___b`` means: ``a___b``."""
    return name.partition(".")[2].replace(".", "___")


def table_key(channel: int | str, names: Mapping[str, int], where: str) -> int:
    """Return a channel's table key, from the key itself, a detector's name or ``ch1104000``.

    Raises
    ------
    ConfigError : if the name is unknown
    """
    if isinstance(channel, int):
        return channel
    if channel in names:
        return names[channel]
    if (match := re.fullmatch(r"ch(\d+)|(\d+)", channel)) is not None:
        return int(match[1] or match[2])
    known = ", ".join(sorted(names)[:20]) or "none"
    raise ConfigError(f"{where}: unknown channel {channel!r}; write ch<rawid>, or one of the names known: {known}")


def parse_event_config(
    config: Mapping[str, Any],
    where: str,
    tiers: Iterable[str],
    channels: Mapping[str, Sequence[int | str]] | None = None,
    names: Mapping[str, int] | None = None,
    found: Sequence[int] = (),
) -> EventConfig:
    """Check an event configuration and compile its expressions.

    Parameters
    ----------
    config : its content
    where : file, for messages
    tiers : lower tiers that there are files of, such as dsp and hit
    channels : group -> channels; a group with channels replaces that of the configuration. The channel ``"*"`` stands
        for every one in ``found`` that no group names
    names : detector name -> table key
    found : table keys in the data

    Raises
    ------
    ConfigError : on unknown keys, modes, groups, tiers or fields; ExpressionError on a bad expression
    """
    check_keys(config, _TOP_KEYS, where)
    blocks = config.get("operations")
    if not isinstance(blocks, Mapping) or not blocks:
        raise ConfigError(f"{where}: operations: found {blocks!r}, expected a mapping of event fields")
    given = {group: members for group, members in (channels or {}).items() if members}
    empty: dict[str, Sequence[int | str]] = {group: () for group in channels or {}}
    listed = {**empty, **dict(config.get("channels") or {}), **given}
    groups = _groups(listed, names or {}, found, where)
    known_tiers = frozenset(tiers)
    operations: dict[str, EventOperation] = {}
    for name, block in blocks.items():
        operation = _parse_operation(str(name), block, groups, f"{where}: operations.{name}")
        _check_names(operation, known_tiers, frozenset(operations))
        operations[operation.name] = _follow_pointer(operation, block, operations, groups)
    outputs = tuple(config.get("outputs") or operations)
    for output in outputs:
        if output not in blocks:
            known = ", ".join(map(str, blocks))
            raise ConfigError(f"{where}: outputs: {output!r} is no operation; operations: {known}")
    return EventConfig(where, tuple(operations.values()), tuple(dict.fromkeys(outputs)))


def _groups(
    groups: Mapping[str, Any], names: Mapping[str, int], found: Sequence[int], where: str
) -> dict[str, tuple[int, ...]]:
    resolved: dict[str, list[int]] = {}
    open_groups = []
    for group, members in groups.items():
        if isinstance(members, Mapping):
            raise ConfigError(
                f"{where}: channels.{group}: a rule {dict(members)!r}, expected a list of channels; "
                f"resolve it with the channel map and give the list"
            )
        listed = [members] if isinstance(members, str | int) else list(members)
        if "*" in listed:
            open_groups.append(group)
        named = [channel for channel in listed if channel != "*"]
        resolved[group] = [table_key(channel, names, f"{where}: channels.{group}") for channel in named]
    taken = {key for keys in resolved.values() for key in keys}
    for group in open_groups:
        resolved[group] += [key for key in found if key not in taken]
    return {group: tuple(dict.fromkeys(keys)) for group, keys in resolved.items()}


def _parse_operation(name: str, block: Any, groups: Mapping[str, tuple[int, ...]], where: str) -> EventOperation:
    if not isinstance(block, Mapping) or not isinstance(block.get("expression"), str):
        raise ConfigError(f"{where}: found {block!r}, expected a mapping with a text 'expression'")
    check_keys(block, _OPERATION_KEYS, where)
    mode, mode_field = _parse_mode(block.get("aggregation_mode"), where)
    sort_field, descending = _parse_sort(block.get("sort"), mode, where)
    reduce = block.get("reduce")
    if reduce is not None and reduce not in REDUCTIONS:
        raise ConfigError(f"{where}: reduce: found {reduce!r}, expected one of {', '.join(REDUCTIONS)}")
    query = block.get("query")
    text = block["expression"]
    return EventOperation(
        name,
        where,
        mode,
        parse_call(text, where) if mode == "function" else Expression(text, where=where),
        mode_field,
        None if query is None else Expression(str(query), where=f"{where}.query"),
        _channels(block, mode, groups, where),
        _members(block.get("exclude_channels"), groups, f"{where}.exclude_channels"),
        parse_parameters(block),
        _parse_initial(block.get("initial"), where),
        sort_field,
        descending,
        _parse_dtype(block.get("dtype"), where),
        reduce,
        column_attrs(block, where),
    )


def _parse_mode(text: Any, where: str) -> tuple[str | None, str]:
    if text is None:
        return None, ""
    mode, colon, tier_field = str(text).partition(":")
    if (mode in PLAIN_MODES and not colon) or (mode in FIELD_MODES and "." in tier_field):
        if mode.startswith("keep_at") and tier_of(tier_field) != "evt":
            raise ConfigError(f"{where}.aggregation_mode: {text!r}: {mode} needs a field of evt, as in '{mode}:evt.x'")
        return mode, tier_field.strip()
    known = [*PLAIN_MODES, *(f"{name}:tier.field" for name in FIELD_MODES)]
    raise ConfigError(f"{where}.aggregation_mode: found {text!r}, expected one of {', '.join(known)}")


def _parse_sort(text: Any, mode: str | None, where: str) -> tuple[str, bool]:
    if text is None:
        return "", False
    order, _, tier_field = str(text).partition(":")
    if mode != "gather" or order not in SORT_ORDERS or "." not in tier_field:
        raise ConfigError(
            f"{where}.sort: found {text!r} with aggregation_mode {mode}, expected ascend_by:tier.field or "
            f"descend_by:tier.field with gather"
        )
    return tier_field.strip(), order == "descend_by"


def _parse_initial(value: Any, where: str) -> Any:
    if isinstance(value, str):
        if value.removeprefix("-").removeprefix("np.") not in {"nan", "inf"}:
            raise ConfigError(f"{where}.initial: found {value!r}, expected a number, bool, np.nan, np.inf or -np.inf")
        return float(value.replace("np.", ""))
    return value


def _parse_dtype(value: Any, where: str) -> np.dtype | None:
    if value is None:
        return None
    try:
        dtype: np.dtype = np.dtype(value)
    except TypeError as error:
        raise ConfigError(f"{where}.dtype: {value!r} is no NumPy type; write for example float32 or uint16") from error
    if dtype.kind not in "biuf":
        raise ConfigError(f"{where}.dtype: {value!r} is neither a number nor bool; write for example float32 or uint16")
    return dtype


def _channels(
    block: Mapping[str, Any], mode: str | None, groups: Mapping[str, tuple[int, ...]], where: str
) -> tuple[int, ...]:
    if "channels" in block or mode is None or mode == "function":
        return _members(block.get("channels"), groups, f"{where}.channels")
    if mode in ("keep_at_ch", "keep_at_idx"):
        return ()  # the event field says which hits, see _follow_pointer
    raise ConfigError(f"{where}.channels: missing; {mode} needs a channel group: {', '.join(sorted(groups)) or 'none'}")


def _follow_pointer(
    operation: EventOperation,
    block: Mapping[str, Any],
    earlier: Mapping[str, EventOperation],
    groups: Mapping[str, tuple[int, ...]],
) -> EventOperation:
    """Give keep_at_* without channels those of the field it follows; all channels if that field is not of hits."""
    if "channels" in block or operation.mode not in ("keep_at_ch", "keep_at_idx"):
        return operation
    followed = earlier[event_field(operation.mode_field)]
    everything = tuple(dict.fromkeys(key for group in groups.values() for key in group))
    excluded = tuple(dict.fromkeys((*operation.excluded, *followed.excluded)))
    channels = everything if followed.mode is None else followed.channels
    return replace(operation, channels=channels, excluded=excluded)


def _members(value: Any, groups: Mapping[str, tuple[int, ...]], where: str) -> tuple[int, ...]:
    listed = [value] if isinstance(value, str) else list(value or ())
    for group in listed:
        if group not in groups:
            raise ConfigError(f"{where}: no channel group {group!r}; groups: {', '.join(sorted(groups)) or 'none'}")
    return tuple(dict.fromkeys(key for group in listed for key in groups[group]))


def _check_names(operation: EventOperation, tiers: frozenset[str], earlier: frozenset[str]) -> None:
    """Check that every name is a parameter, an earlier event field, a tcm field or a column of a known tier."""
    names = set(operation.hit_names) | _event_names(operation)
    for name in sorted(names):
        tier, _, column = name.partition(".")
        if tier == "evt" and event_field(name) in earlier:
            continue
        if tier == "tcm" and column in TCM_FIELDS and operation.mode is not None:
            continue
        if tier in tiers and column and operation.mode is not None:
            continue
        lower = ", ".join(f"{known}.<column>" for known in sorted(tiers)) if operation.mode else "none without a mode"
        fields = ", ".join(f"evt.{known}" for known in sorted(earlier)) or "none"
        raise ConfigError(
            f"{operation.where}: unknown name {name!r}; known are "
            f"parameters ({', '.join(operation.parameters) or 'none'}), earlier event fields ({fields}), "
            f"columns of lower tiers ({lower}) and tcm.{', tcm.'.join(TCM_FIELDS)}"
        )


def _event_names(operation: EventOperation) -> set[str]:
    names = set(operation.query.names) if operation.query else set()
    names |= set(operation.expression.names)
    names |= {name for name in (operation.mode_field, operation.sort_field) if name}
    return {name for name in names - set(operation.parameters) if tier_of(name) == "evt"}
