"""Which columns: names, nested names, wildcards and what to leave out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

from pygama_core.errors import LH5Error

MAGIC = frozenset("*?[")


def is_pattern(name: str) -> bool:
    """Whether a name has wildcards."""
    return not MAGIC.isdisjoint(name)


def pick(
    names: Iterable[str], columns: Sequence[str], members_of: Callable[[str], list[str]], where: str
) -> dict[str, list[str] | None]:
    """Resolve column patterns on one level.

    Parameters
    ----------
    names
        the columns there are
    columns
        names and patterns such as ``energy*``, ``waveform/t0``, ``*/dt``; with a leading ``!`` they are left out. Only
        patterns to leave out means all others
    members_of
        gives the names of the members of a column, none if it is no table or struct
    where
        names the table in errors

    Returns
    -------
    For each column wanted the patterns for its members, None for all of it

    Raises
    ------
    LH5Error
        if a name is missing or a pattern matches nothing
    """
    names = list(names)
    if isinstance(columns, str):
        raise LH5Error(f"{where}: columns={columns!r} is one string; give a list of names")
    wanted: dict[str, list[str] | None] = {}
    if all(column.startswith("!") for column in columns):
        wanted = dict.fromkeys(names) if columns else {}
    missing = []
    for column in columns:
        found = _matches(names, column.removeprefix("!"), members_of)
        if not found:
            missing.append(column)
        rest = column.removeprefix("!").partition("/")[2]
        for name in found:
            (_leave_out if column.startswith("!") else _take)(wanted, name, rest)
    if missing:
        raise LH5Error(f"{where}: no column {', '.join(missing)}; it has {', '.join(names)}")
    return wanted


def _matches(names: list[str], pattern: str, members_of: Callable[[str], list[str]]) -> list[str]:
    head, _, rest = pattern.partition("/")
    if not is_pattern(head):
        return [head] if head in names else []
    found = [name for name in names if fnmatchcase(name, head)]
    if not rest:
        return found
    inner = rest.partition("/")[0]
    return [name for name in found if any(fnmatchcase(member, inner) for member in members_of(name))]


def _take(wanted: dict[str, list[str] | None], name: str, rest: str) -> None:
    if not rest:
        wanted[name] = None
        return
    inner = wanted.setdefault(name, [])
    if inner is not None:
        inner.append(rest)


def _leave_out(wanted: dict[str, list[str] | None], name: str, rest: str) -> None:
    if not rest:
        wanted.pop(name, None)
    elif name in wanted:
        wanted[name] = [*(wanted[name] or ["*"]), f"!{rest}"]
