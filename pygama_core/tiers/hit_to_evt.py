"""tcm, dsp, hit -> evt: all cycles of a run into one event table."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pygama_core import lh5
from pygama_core.errors import EventError, LH5Error
from pygama_core.evt.build import build_events
from pygama_core.evt.config import EventConfig, parse_event_config
from pygama_core.evt.hits import HitColumn, Hits, column_template
from pygama_core.evt.tcm import Tcm
from pygama_core.hit.config import load_mapping
from pygama_core.lh5.types import Array, Table
from pygama_core.provenance import provenance_struct

_CYCLE = re.compile(r"-p(?P<period>\d+)-r(?P<run>\d+)-[a-z]+-(?P<cycle>\d{8}T\d{6}Z)")


@dataclass(frozen=True)
class EventReport:
    """What an event file was made of."""

    n_events: Mapping[str, int] = field(default_factory=dict)  # tcm file -> events, in the order of the rows
    n_hits: Mapping[str, int] = field(default_factory=dict)
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # "tier.column" -> cycle: channels without it

    @property
    def n_empty_cycles(self) -> int:
        """Number of cycles without an event."""
        return sum(n == 0 for n in self.n_events.values())

    def __str__(self) -> str:
        n_events, n_hits = sum(self.n_events.values()), sum(self.n_hits.values())
        cycles = f"{len(self.n_events)} cycles, {self.n_empty_cycles} of them without events"
        return f"{n_events} events of {n_hits} hits in {cycles}"

    @property
    def warnings(self) -> list[str]:
        """What the reader of a log should know."""
        found = [f"{name}: no events" for name, n in self.n_events.items() if n == 0]
        found += [f"{name}: hits not counted: absent in {'; '.join(where)}" for name, where in self.missing.items()]
        return found


@dataclass(eq=False)
class _Run:
    """The files of all cycles, and what is the same in all of them."""

    files: Sequence[Mapping[str, Path]]
    config: EventConfig
    needs: Mapping[str, Mapping[int, set[str]]]
    tcm_name: str
    templates: dict[str, HitColumn | None] = field(default_factory=dict)

    def template(self, name: str, found: Mapping[int, HitColumn]) -> HitColumn | None:
        """Return what ``tier.column`` is like: as in the first cycle that has it, so that all cycles agree."""
        if name not in self.templates:
            self.templates[name] = column_template(found.values() if found else self._search(name))
        return self.templates[name]

    def _search(self, name: str) -> list[HitColumn]:
        tier, _, column = name.partition(".")
        keys = [key for key, columns in self.needs.get(tier, {}).items() if column in columns]
        for files in self.files:
            with lh5.Reader(files["tcm"]) as tcm, lh5.Reader(files[tier]) as reader:
                tables = _table_names(tcm, self.tcm_name)
                paths = [f"{_group(tables, key, tier)}/{column}" for key in keys]
                found = [reader.read(path, rows=slice(0, 0)) for path in paths if reader.exists(path)]
            if found:
                return found
        return []


@dataclass(eq=False)
class _CycleSource:
    """Columns of one cycle, read from its open files."""

    run: _Run
    readers: Mapping[str, lh5.Reader]
    tables: Mapping[int, str]

    def read(self, tier: str, key: int, columns: frozenset[str]) -> Table:
        reader, group = self.readers[tier], _group(self.tables, key, tier)
        present = sorted(column for column in columns if reader.exists(f"{group}/{column}"))
        if not present:
            return Table({})
        table = reader.read(group, columns=present)
        if not isinstance(table, Table):
            raise EventError(f"{reader.path}: {group} is a {type(table).__name__}, expected a table; remake the file")
        return table

    def template(self, name: str, found: Mapping[int, HitColumn]) -> HitColumn | None:
        return self.run.template(name, found)


def hit_to_evt(
    files: Sequence[Mapping[str, Path]],
    evt_file: Path,
    *,
    config: Path | Mapping[str, Any],
    channels: Mapping[str, Sequence[int | str]] | None = None,
    names: Mapping[str, int] | None = None,
    tcm_name: str = "hardware_tcm_1",
) -> EventReport:
    """Build the events of a run.

    ``tcm.index`` counts through all cycles, so it is unique in the file. If the names of the tcm files spell a cycle,
    ``trigger`` gets the columns period, run and cycle.

    Parameters
    ----------
    files : for each cycle in order, tier -> file; ``tcm`` and the tiers that the configuration uses
    evt_file : output with the table ``evt``; appears complete or not at all
    config : event configuration or its file
    channels : group -> channels (rawid, name, or ``ch<rawid>``); a group with channels replaces that of the
        configuration. ``"*"`` stands for every channel of the tcm files that no group names
    names : detector name -> rawid
    tcm_name : table with the time coincidence map

    Returns
    -------
    report : channels and columns that are absent, and cycles without events

    Raises
    ------
    ConfigError : if the configuration is wrong
    EventError : if there are no files, or the files of a cycle do not belong together
    """
    if not files or any("tcm" not in cycle for cycle in files):
        raise EventError(f"{evt_file}: {len(files)} cycles, of which each needs a 'tcm' file; give at least one cycle")
    where, content = load_mapping(config, "event config")
    tiers = set.intersection(*(set(cycle) for cycle in files)) - {"tcm"}
    parsed = parse_event_config(content, where, tiers, channels, names, _found(files, tcm_name))
    run = _Run(files, parsed, parsed.columns_by_tier(), tcm_name)
    n_events: dict[str, int] = {}
    n_hits: dict[str, int] = {}
    missing: dict[str, list[str]] = {}
    with lh5.Writer(evt_file) as out:
        for cycle in files:
            events, hits = _build_cycle(run, cycle, first_index=sum(n_hits.values()))
            out.append("evt", events)
            label = Path(cycle["tcm"]).name
            n_events[label], n_hits[label] = hits.tcm.n_events, hits.tcm.n_hits
            for name, keys in sorted(_by_column(hits).items()):
                missing.setdefault(name, []).append(f"{label}: {', '.join(f'ch{key:07d}' for key in keys)}")
        inputs = [Path(cycle[tier]) for cycle in files for tier in sorted(cycle)]
        out.write("provenance", provenance_struct("hit_to_evt", inputs, {"config": content, "channels": channels}))
    return EventReport(n_events, n_hits, {name: tuple(places) for name, places in missing.items()})


def _build_cycle(run: _Run, cycle: Mapping[str, Path], first_index: int) -> tuple[Table, Hits]:
    with contextlib.ExitStack() as stack:
        readers = {tier: stack.enter_context(lh5.Reader(cycle[tier])) for tier in ("tcm", *sorted(run.needs))}
        where = f"{cycle['tcm']}: {run.tcm_name}"
        tcm = Tcm.from_table(_read_tcm(readers["tcm"], run.tcm_name), where)
        source = _CycleSource(run, readers, _table_names(readers["tcm"], run.tcm_name))
        hits = Hits(tcm, source, run.needs, first_index)
        events = build_events(run.config, hits)
    return _add_cycle(events, Path(cycle["tcm"]).name, tcm.n_events), hits


def _read_tcm(reader: lh5.Reader, name: str) -> Table:
    table = reader.read(name)
    if not isinstance(table, Table):
        raise EventError(f"{reader.path}: {name} is a {type(table).__name__}, expected a time coincidence map")
    return table


def _table_names(tcm: lh5.Reader, name: str) -> dict[int, str]:
    """Return table key -> channel group, such as ``ch1104000``, from the list kept with the map."""
    try:
        listed = str(tcm.attrs(name).get("tables", ""))
    except LH5Error:
        return {}
    groups = re.findall(r"['\"]([^'\"]*\d[^'\"]*)['\"]", listed)
    return {int(number[0]): group.partition("/")[0] for group in groups if (number := re.findall(r"\d+", group))}


def _found(files: Sequence[Mapping[str, Path]], tcm_name: str) -> list[int]:
    """Return the sorted keys of all channels that took part in any map, with or without hits."""
    keys: set[int] = set()
    for cycle in files:
        with lh5.Reader(cycle["tcm"]) as tcm:
            keys |= set(_table_names(tcm, tcm_name))
    return sorted(keys)


def _group(tables: Mapping[int, str], key: int, tier: str) -> str:
    return f"{tables.get(key, f'ch{key:07d}')}/{tier}"


def _by_column(hits: Hits) -> dict[str, list[int]]:
    columns: dict[str, list[int]] = {}
    for (tier, key), names in sorted(hits.missing.items()):
        for name in names:
            columns.setdefault(f"{tier}.{name}", []).append(key)
    return columns


def _add_cycle(events: Table, file_name: str, n_events: int) -> Table:
    """Add the period, run and cycle of a file name to the table ``trigger``."""
    match = _CYCLE.search(file_name)
    trigger = events.columns.get("trigger", Table({}))
    if match is None or not isinstance(trigger, Table):
        return events
    added: dict[str, Any] = {
        "period": Array(np.full(n_events, int(match["period"]))),
        "run": Array(np.full(n_events, int(match["run"]))),
        "cycle": Array(np.full(n_events, match["cycle"].encode(), "S16")),
    }
    return Table({**events.columns, "trigger": Table({**trigger.columns, **added}, trigger.attrs)}, events.attrs)
