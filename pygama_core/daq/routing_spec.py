"""The output specification of a raw file: which keys of which decoder go to which table of which file.

The language is that of the field's decoding package: decoder -> name -> key_list, out_stream, out_name, proc_spec.
This module reads and checks it; :mod:`pygama_core.daq.routing` applies it.
"""

from __future__ import annotations

import difflib
import os
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from pygama_core.daq.daqfile import Key
from pygama_core.daq.proc_spec import ProcSpec, parse_proc_spec
from pygama_core.errors import ConfigError

ENTRIES = ("key_list", "out_stream", "out_name", "proc_spec")
ANY = "*"
INTEGER_FORMATS = tuple("bcdoxXn")


@dataclass(frozen=True)
class KeyList:
    """The keys an entry takes.

    Parameters
    ----------
    ranges : (first, last) of channel numbers, both included; a single number is a range of one
    names : keys of what is no channel, such as ``fcid_1/evt_hdr``; with ``*`` in them they are patterns
    is_wild : takes every key that no other entry of its decoder names
    """

    ranges: tuple[tuple[int, int], ...] = ()
    names: tuple[str, ...] = ()
    is_wild: bool = False

    def match(self, key: Key) -> str | tuple[int, int] | None:
        """Return the listed name or range that a key belongs to."""
        if isinstance(key, int):
            return next((r for r in self.ranges if r[0] <= key <= r[1]), None)
        return next((name for name in self.names if fnmatchcase(key, name)), None)

    @property
    def listed(self) -> tuple[str | tuple[int, int], ...]:
        """All that is listed, as :meth:`match` returns it."""
        return (*self.ranges, *self.names)


@dataclass(frozen=True, eq=False)
class Rule:
    """One entry of an output specification.

    Parameters
    ----------
    where : what messages call it, such as ``FCEventDecoder.geds``
    decoder : name of the decoder, or ``*`` for those without an entry of their own
    name, out_stream, out_name : as specified, with ``{key}``, ``{name}`` and keywords still in them
    keys : the keys it takes
    proc_spec : what is done to its tables
    """

    where: str
    decoder: str
    name: str
    keys: KeyList
    out_stream: str = ""
    out_name: str | None = None
    proc_spec: ProcSpec | None = None

    @property
    def is_keyed(self) -> bool:
        """Whether every key gets a table of its own."""
        return any(_has_key(text) for text in (self.name, self.out_stream, self.out_name or ""))

    def can_name(self, key: Key) -> bool:
        """Whether a key can be put into the names: an integer format takes channel numbers only."""
        return isinstance(key, int) or not any(
            spec.endswith(INTEGER_FORMATS)
            for text in (self.name, self.out_stream, self.out_name or "")
            for _, variable, spec, _ in string.Formatter().parse(text)
            if variable == "key" and spec
        )


@dataclass(frozen=True, eq=False)
class OutputSpec:
    """A whole specification: its entries in order, keywords for their texts, and what of it has no effect."""

    rules: tuple[Rule, ...]
    keywords: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def parse_output_spec(config: Mapping[str, Any], keywords: Mapping[str, str] | None = None) -> OutputSpec:
    """Read an output specification.

    Parameters
    ----------
    config : decoder name (or ``*``) -> table name -> ``key_list``, ``out_stream``, ``out_name``, ``proc_spec``
    keywords : values of further ``{...}`` in names and streams

    Raises
    ------
    ConfigError : if an entry is malformed; the message names it
    """
    rules: list[Rule] = []
    for decoder, entries in config.items():
        if not isinstance(entries, Mapping):
            raise ConfigError(f"output specification: {decoder}: expected a mapping of names, found {entries!r}")
        rules += [_rule(str(decoder), str(name), entry) for name, entry in entries.items()]
    known = dict(keywords or {})
    for rule in rules:
        _check_texts(rule, known)
    warnings = [*_overlaps(rules), *(w for rule in rules if rule.proc_spec for w in rule.proc_spec.warnings)]
    return OutputSpec(tuple(rules), known, tuple(warnings))


def fill(text: str, **values: Any) -> str:
    """Put values into the ``{...}`` of a name or stream."""
    return string.Formatter().vformat(text, (), values)


def _rule(decoder: str, name: str, entry: Any) -> Rule:
    where = f"{decoder}.{name}"
    if not isinstance(entry, Mapping):
        raise ConfigError(f"output specification: {where}: expected key_list, out_stream, ..., found {entry!r}")
    for key in entry:
        if key not in ENTRIES:
            close = difflib.get_close_matches(str(key), ENTRIES, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ConfigError(f"output specification: {where}: unknown entry {key!r}{hint} Known: {', '.join(ENTRIES)}")
    if "key_list" not in entry:
        raise ConfigError(f"output specification: {where}: no key_list; list keys, ranges [first, last], or '*'")
    proc = entry.get("proc_spec")
    return Rule(
        where=where,
        decoder=decoder,
        name=name,
        keys=_key_list(entry["key_list"], where),
        out_stream=str(entry.get("out_stream") or ""),
        out_name=None if entry.get("out_name") is None else str(entry["out_name"]),
        proc_spec=None if proc is None else parse_proc_spec(proc, where),
    )


def _key_list(listed: Any, where: str) -> KeyList:
    if isinstance(listed, str | int) or not isinstance(listed, Sequence):
        listed = [listed]
    ranges: list[tuple[int, int]] = []
    names: list[str] = []
    for item in listed:
        if isinstance(item, str):
            names.append(item)
        elif isinstance(item, int) and not isinstance(item, bool):
            ranges.append((item, item))
        else:
            ranges.append(_range(item, where))
    return KeyList(tuple(ranges), tuple(n for n in names if n != ANY), ANY in names)


def _range(item: Any, where: str) -> tuple[int, int]:
    is_pair = isinstance(item, Sequence) and len(item) == 2 and all(isinstance(end, int) for end in item)
    if not is_pair or item[0] > item[1]:
        raise ConfigError(
            f"output specification: {where}: key_list holds {item!r}; expected a channel number, "
            f"a range [first, last] with first <= last, a name, or '*'"
        )
    return int(item[0]), int(item[1])


def _has_key(text: str) -> bool:
    return any(variable == "key" for _, variable, _, _ in string.Formatter().parse(text))


def _check_texts(rule: Rule, keywords: Mapping[str, str]) -> None:
    """Try all texts of an entry, so that a typo is told before anything is decoded."""
    sample: Key = 0 if rule.keys.ranges or (rule.keys.is_wild and not rule.keys.names) else "key"
    for what, text in (("name", rule.name), ("out_stream", rule.out_stream), ("out_name", rule.out_name or "")):
        try:
            fill(text, **{**keywords, "key": sample, "name": ""})
        except KeyError as error:
            known = ", ".join(sorted({"key", "name", *keywords}))
            raise ConfigError(
                f"output specification: {rule.where}: {what} {text!r} holds {{{error.args[0]}}}, which has no value; "
                f"known: {known}; give it as a keyword"
            ) from error
        except (ValueError, IndexError, AttributeError) as error:
            raise ConfigError(f"output specification: {rule.where}: {what} {text!r}: {error}") from error


def _overlaps(rules: Sequence[Rule]) -> list[str]:
    """Describe keys that two entries of a decoder list; the later one gets them."""
    found = []
    for i, rule in enumerate(rules):
        for other in rules[:i]:
            if other.decoder == rule.decoder:
                found += [
                    f"output specification: {other.where}: key {_text(item)} goes to {rule.where}, which also lists it"
                    for item in _common(other.keys, rule.keys)
                ]
    return found


def _common(a: KeyList, b: KeyList) -> list[str | tuple[int, int]]:
    ranges = [(max(x[0], y[0]), min(x[1], y[1])) for x in a.ranges for y in b.ranges]
    return [*(r for r in ranges if r[0] <= r[1]), *(name for name in a.names if name in b.names)]


def _text(item: str | tuple[int, int]) -> str:
    if isinstance(item, str):
        return item
    return str(item[0]) if item[0] == item[1] else f"{item[0]}..{item[1]}"


def describe_key(item: str | tuple[int, int]) -> str:
    """Return a listed key or range as messages show it."""
    return _text(item)


def split_stream(stream: str) -> tuple[str, str]:
    """Return file and group of an ``out_stream``, with environment variables and ``~`` expanded."""
    path, _, group = stream.partition(":")
    return os.path.expanduser(os.path.expandvars(path)), group.strip("/")
