"""One call for the data of an analysis: these columns of these tiers for these runs where this holds.

>>> table = load(
...     ["hit.cuspEmax_ctc_cal", "raw.waveform_windowed"],
...     "generated/tier",
...     runs=["l200-p03-r001-cal"],
...     where=["hit.cuspEmax_ctc_cal > 2610", "hit.cuspEmax_ctc_cal < 2620"],
... )  # doctest: +SKIP
"""

from __future__ import annotations

import contextlib
import difflib
import fnmatch
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from pygama_core.errors import LH5Error
from pygama_core.expression import Expression
from pygama_core.lh5.fileset import Cycle, find_cycles
from pygama_core.lh5.query import (
    EventHits,
    concatenate_rows,
    group_by_event,
    hits_of_events,
    matches,
)
from pygama_core.lh5.reader import Reader
from pygama_core.lh5.types import Array, Table

Source: TypeAlias = "str | os.PathLike[str] | Mapping[str, str | os.PathLike[str] | Sequence[str | os.PathLike[str]]]"
EVENT_TIERS = ("evt",)


def load(
    columns: str | Sequence[str],
    source: Source,
    *,
    runs: str | Sequence[str] = "*",
    channels: str | int | Sequence[str | int] | None = None,
    where: str | Sequence[str] = (),
    by: Literal["hit", "event"] = "hit",
) -> Table:
    """Read columns of any tiers, joined, for all cycles of some runs.

    The tiers ``raw``, ``dsp`` and ``hit`` of a channel are joined by position, and to ``evt`` by the time coincidence
    map. Only the columns of the conditions are read whole, all others for the rows that are left.

    Parameters
    ----------
    columns
        ``tier.column``, such as ``hit.energy``, ``raw.waveform.values`` or ``evt.geds.energy``; with wildcards
        (``hit.*``, ``dsp.tp_*``) what the channels have
    source
        directory of the tiers (``<tier>/<datatype>/<period>/<run>/<cycle>-tier_<tier>.lh5``), or tier -> file or files,
        one for each cycle (``evt``: or one for all of them)
    runs
        runs (``l200-p03-r001-cal``) or cycles, as patterns or parts between dashes (``p03``, ``r001-cal``); unused with
        a mapping
    channels
        names, numbers or patterns such as ``ch1104*``; None: all that have all columns
    where
        conditions that must all hold, in the names of columns; those on ``evt`` alone are decided before a hit is read
    by
        "hit": a row is a hit, columns of ``evt`` are repeated; "event": a row is an event, columns of hits are ragged
        and hold the hits that pass; events without one are dropped if there is a condition on hits

    Returns
    -------
    table : one nested table for each tier, and the columns ``cycle``, ``event`` (row in the tcm) and, for hits,
        ``rawid`` (the number in the channel's name, or -1) and ``row``; in order of cycle, then event or channel, row

    Raises
    ------
    LH5Error
        if nothing matches, a file of a cycle is missing, no channel has all columns, or files do not belong together
    """
    texts = _listed(where)
    conditions = [Expression(text, where=f"where {text!r}") for text in texts]
    query = _Query(_by_tier(_listed(columns)), tuple(conditions), _channel_patterns(channels), by)
    cycles = find_cycles(source, _listed(runs), query.file_tiers)
    parts = [part for cycle in cycles for part in query.read(cycle)]
    if not parts:
        raise LH5Error(f"no channel has all of {', '.join(sorted(query.names))}; {query.example or 'none has events'}")
    return concatenate_rows(parts)


def _listed(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _channel_patterns(channels: str | int | Sequence[str | int] | None) -> tuple[str, ...] | None:
    if channels is None:
        return None
    listed = [channels] if isinstance(channels, str | int) else channels
    return tuple(f"ch{channel}" if isinstance(channel, int) else channel for channel in listed) or None


def _by_tier(names: Sequence[str]) -> dict[str, list[str]]:
    """Return tier -> columns as paths inside the table, sorted."""
    found: dict[str, set[str]] = {}
    for name in names:
        tier, _, column = name.replace("/", ".").partition(".")
        if not tier or not column:
            raise LH5Error(f"column {name!r}: expected tier.column, for example hit.energy")
        found.setdefault(tier, set()).add(column.replace(".", "/"))
    return {tier: sorted(columns) for tier, columns in sorted(found.items())}


@dataclass
class _Query:
    columns: Mapping[str, list[str]]
    conditions: tuple[Expression, ...]
    channels: tuple[str, ...] | None
    by: str
    example: str = ""  # of a channel that was left out
    needed: Mapping[str, list[str]] = field(init=False)  # of columns and conditions

    def __post_init__(self) -> None:
        wanted = [f"{tier}.{column}" for tier, columns in self.columns.items() for column in columns]
        self.names = {*wanted, *(name for condition in self.conditions for name in condition.names)}
        self.needed = _by_tier(sorted(self.names))
        self.hit_tiers = [tier for tier in self.needed if tier not in EVENT_TIERS]
        if not wanted or self.by not in ("hit", "event"):
            raise LH5Error(f"load: {len(wanted)} columns by {self.by!r}; give one or more, by 'hit' or by 'event'")

    @property
    def uses_events(self) -> bool:
        return self.by == "event" or "evt" in self.needed

    @property
    def file_tiers(self) -> list[str]:
        return [*self.needed, *(["tcm"] if self.uses_events and self.hit_tiers else [])]

    def split(self) -> tuple[list[Expression], list[Expression]]:
        """Return the conditions on events alone, and the others."""
        early = [c for c in self.conditions if c.names and all(n.partition(".")[0] in EVENT_TIERS for n in c.names)]
        return early, [condition for condition in self.conditions if condition not in early]

    def read(self, cycle: Cycle) -> Iterator[Table]:
        with contextlib.ExitStack() as stack:
            readers = {tier: stack.enter_context(Reader(path)) for tier, path in cycle.files.items()}
            if not self.uses_events:
                yield from self._hits(cycle, readers)
            elif not self.hit_tiers:
                yield self._events(cycle, readers)
            else:
                yield from self._hits_of_events(cycle, readers)

    def _hits(self, cycle: Cycle, readers: Mapping[str, Reader]) -> Iterator[Table]:
        for channel in self._channels(readers):
            groups = {tier: f"{channel}/{tier}" for tier in self.hit_tiers}
            n_rows = {tier: readers[tier].n_rows(group) for tier, group in groups.items()}
            if len(set(n_rows.values())) > 1:
                raise LH5Error(f"{cycle.name}: {channel} has different numbers of rows: {n_rows}; remake the files")
            rows = np.arange(next(iter(n_rows.values())))
            for condition in self.conditions:
                rows = rows[matches(_tables(readers, groups, [condition], rows), condition)]
            found = {tier: readers[tier].read(groups[tier], columns=c, rows=rows) for tier, c in self.columns.items()}
            yield Table({**_labels(cycle, len(rows), rawid=np.full(len(rows), _rawid(channel)), row=rows), **found})

    def _events(self, cycle: Cycle, readers: Mapping[str, Reader]) -> Table:
        first, last = cycle.evt_rows(readers["evt"].n_rows("evt"))
        rows = self._passing_events(cycle, readers, np.arange(last - first))
        evt = readers["evt"].read("evt", columns=self.columns["evt"], rows=rows + first)
        return Table({**_labels(cycle, len(rows), event=rows), "evt": evt})

    def _passing_events(self, cycle: Cycle, readers: Mapping[str, Reader], events: np.ndarray) -> np.ndarray:
        early, _ = self.split()
        for condition in early:
            first, _ = cycle.evt_rows(readers["evt"].n_rows("evt"))
            events = events[matches(_tables(readers, {"evt": "evt"}, [condition], events + first), condition)]
        return events

    def _hits_of_events(self, cycle: Cycle, readers: Mapping[str, Reader]) -> Iterator[Table]:
        tcm = readers["tcm"].read(cycle.tcm_name(readers["tcm"]))
        n_events = len(tcm["table_key"])
        events = self._passing_events(cycle, readers, np.arange(n_events))
        evt_first = 0
        if "evt" in readers:
            evt_first, evt_last = cycle.evt_rows(readers["evt"].n_rows("evt"))
            if evt_last - evt_first != n_events:
                raise LH5Error(
                    f"{cycle.name}: {n_events} events in tcm, {evt_last - evt_first} in evt; remake the evt file"
                )
        hits = hits_of_events(tcm, events)
        parts, places = [], []
        for channel in self._channels(readers):
            place = np.flatnonzero(hits.rawid == _rawid(channel))
            place, part = self._channel_hits(readers, channel, place, (hits, evt_first))
            parts.append(part)
            places.append(place)
        if not parts:
            return
        place = np.concatenate(places)
        order = np.argsort(place)
        table, chosen = concatenate_rows(parts).rows(order), hits.of(place[order])
        yield (
            self._as_hits(cycle, readers, table, chosen, evt_first)
            if self.by == "hit"
            else self._as_events(cycle, readers, table, chosen, (events, evt_first))
        )

    def _channel_hits(
        self, readers: Mapping[str, Reader], channel: str, place: np.ndarray, context: tuple[EventHits, int]
    ) -> tuple[np.ndarray, Table]:
        hits, evt_first = context
        groups = {tier: f"{channel}/{tier}" for tier in self.hit_tiers}
        for condition in self.split()[1]:
            tiers = {name.partition(".")[0] for name in condition.names}
            tables = _tables(readers, groups, [condition], hits.row[place]).columns if tiers - set(EVENT_TIERS) else {}
            if tiers & set(EVENT_TIERS):
                rows = hits.event[place] + evt_first
                tables = {**tables, **_tables(readers, {"evt": "evt"}, [condition], rows).columns}
            place = place[matches(Table(tables), condition)]
        rows = hits.row[place]
        wanted = {tier: columns for tier, columns in self.columns.items() if tier not in EVENT_TIERS}
        return place, Table(
            {
                "row": Array(rows),
                **{tier: readers[tier].read(groups[tier], columns=c, rows=rows) for tier, c in wanted.items()},
            }
        )

    def _as_hits(
        self, cycle: Cycle, readers: Mapping[str, Reader], table: Table, hits: EventHits, evt_first: int
    ) -> Table:
        labels = _labels(cycle, len(hits.row), event=hits.event, rawid=hits.rawid)
        if "evt" not in self.columns:
            return Table({**labels, **table.columns})
        evt = readers["evt"].read("evt", columns=self.columns["evt"], rows=hits.event + evt_first)
        return Table({**labels, **table.columns, "evt": evt})

    def _as_events(
        self,
        cycle: Cycle,
        readers: Mapping[str, Reader],
        table: Table,
        hits: EventHits,
        context: tuple[np.ndarray, int],
    ) -> Table:
        events, evt_first = context
        if self.split()[1]:
            events = np.unique(hits.event)
        ragged = group_by_event(Table({"rawid": Array(hits.rawid), **table.columns}), hits.event, events)
        found = {**_labels(cycle, len(events), event=events), **ragged.columns}
        if "evt" in self.columns:
            found["evt"] = readers["evt"].read("evt", columns=self.columns["evt"], rows=events + evt_first)
        return Table(found)

    def _channels(self, readers: Mapping[str, Reader]) -> list[str]:
        """Return the channels that match and have all columns; raise LH5Error if one that was named has not."""
        tier = self.hit_tiers[0]
        all_names = [name.partition("/")[0] for name in readers[tier].ls(f"*/{tier}")]
        patterns = self.channels or ("*",)
        unknown = [pattern for pattern in patterns if not fnmatch.filter(all_names, pattern)]
        if self.channels and unknown:
            raise LH5Error(
                f"{readers[tier].path}: no channel {', '.join(unknown)}; there are {', '.join(all_names[:9])} …"
            )
        chosen = [name for name in all_names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]
        missing = {name: self._missing(readers, name) for name in chosen}
        named = [name for name in chosen if missing[name] and name in patterns]
        if named:
            raise LH5Error(f"{cycle_of(readers)}: {missing[named[0]]}")
        self.example = self.example or next(filter(None, missing.values()), "")
        return [name for name in chosen if not missing[name]]

    def _missing(self, readers: Mapping[str, Reader], channel: str) -> str:
        """Return what a channel lacks, or nothing."""
        for tier in self.hit_tiers:
            group = f"{channel}/{tier}"
            for column in self.needed[tier]:
                if not readers[tier].ls(f"{group}/{column}"):
                    known = [name.rpartition("/")[2] for name in readers[tier].ls(f"{group}/*")]
                    near = difflib.get_close_matches(column, known, 3) or known[:5]
                    return f"{channel} has no {tier}/{column}; near it are {', '.join(near) or 'none'}"
        return ""


def cycle_of(readers: Mapping[str, Reader]) -> str:
    """Return the names of the files of a cycle, for messages."""
    return ", ".join(str(reader.path) for reader in readers.values())


def _tables(
    readers: Mapping[str, Reader], groups: Mapping[str, str], conditions: Sequence[Expression], rows: np.ndarray
) -> Table:
    """Return the columns that conditions need, for some rows."""
    needed = _by_tier(sorted({name for condition in conditions for name in condition.names}))
    tiers = {tier: columns for tier, columns in needed.items() if tier in groups}
    return Table({t: readers[t].read(groups[t], columns=columns, rows=rows) for t, columns in tiers.items()})


def _labels(cycle: Cycle, n_rows: int, **columns: np.ndarray) -> dict[str, Array]:
    name = np.full(n_rows, cycle.name.encode())
    return {"cycle": Array(name), **{key: Array(values.astype(np.int64)) for key, values in columns.items()}}


def _rawid(channel: str) -> int:
    number = re.search(r"\d+", channel)
    return int(number.group()) if number else -1
