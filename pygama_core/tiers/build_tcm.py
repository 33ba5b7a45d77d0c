"""raw -> tcm: group the hits of all channels of a cycle into events."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pygama_core import lh5
from pygama_core.errors import EventError
from pygama_core.evt.tcm import Tcm, build_tcm_from_times, fpga_time, unix_time
from pygama_core.provenance import provenance_struct

FPGA_COLUMNS = ("ts_pps", "ts_ticks")
RAWIDS_PER_STREAM = 1_000_000  # rawid = fcid * 1000000 + card address * 100 + input


@dataclass(frozen=True)
class TcmReport:
    """What one time coincidence map was made of."""

    name: str  # of the LH5 table
    clock: str  # "fpga": integer ticks; "timestamp": float64 seconds; "none": no channel
    window_ns: int
    n_channels: int
    n_hits: int
    n_events: int
    n_coincident: int  # events with more than one hit
    n_empty_channels: int
    n_without_time: Mapping[str, int]  # channel -> hits left out, because their time is NaN or infinite
    n_unsorted: Mapping[str, int]  # channel -> hits earlier than the one before them; they were sorted in

    @property
    def warnings(self) -> list[str]:
        """What the reader of a log should know."""
        found = [f"{name}: {n} hits without a time left out" for name, n in self.n_without_time.items()]
        found += [f"{name}: {n} hits out of time order, sorted" for name, n in self.n_unsorted.items()]
        if self.n_channels - self.n_empty_channels > 1 and self.n_coincident == 0:
            found.append(f"no event has more than one hit; is the window of {self.window_ns} ns too short?")
        return [f"{self.name}: {text}" for text in found]


@dataclass(frozen=True, eq=False)
class _Times:
    """The times of one table's rows."""

    table: str
    fpga: np.ndarray | None  # (n_rows,) int64 [ns], or None: no such columns
    unix: np.ndarray | None  # (n_rows,) int64 [ns]
    unix_valid: np.ndarray | None  # (n_rows,) bool


def build_tcm(
    raw_file: Path, tcm_file: Path, *, window_ns: int | Mapping[int, int], tables: str = "ch*/raw"
) -> list[TcmReport]:
    """Write the time coincidence map of a raw file.

    The integer clock of the DAQ is used if all channels have it and it never runs backwards, otherwise the
    ``timestamp`` of all channels.

    Parameters
    ----------
    raw_file, tcm_file : input; output, which appears complete or not at all
    window_ns : [ns]; longest time between neighbouring hits of an event. One number: all channels are one system, with
        the table ``hardware_tcm_1``. A mapping FlashCam id -> window: a table ``hardware_tcm_{id}`` for each system
    tables : pattern of the tables' names; the first number in a name is the table key

    Raises
    ------
    EventError : if a table has no time columns, two tables have the same number, or a FlashCam id has no window
    """
    with lh5.Reader(raw_file) as raw:
        names = _by_key(raw.ls(tables), raw_file)
        times = {key: _read_times(raw, name, raw_file) for key, name in names.items()}
    reports = []
    with lh5.Writer(tcm_file) as out:
        for name, window, keys in _systems(list(names), window_ns, raw_file):
            tcm, report = _build({key: times[key] for key in keys}, name, window)
            out.append(name, tcm.to_table([names[key] for key in keys]))
            reports.append(report)
        settings = {"window_ns": window_ns, "tables": tables}
        out.write("provenance", provenance_struct("build_tcm", [raw_file], settings))
    return reports


def _by_key(tables: list[str], raw_file: Path) -> dict[int, str]:
    """Return table key -> name, sorted by key."""
    names: dict[int, str] = {}
    for name in tables:
        match = re.search(r"\d+", name)
        if match is None:
            raise EventError(f"{raw_file}: table {name!r} has no number, which would be its table key; rename it")
        key = int(match.group())
        if key in names:
            both = f"{names[key]!r} and {name!r}"
            raise EventError(f"{raw_file}: tables {both} have the same number {key}; narrow 'tables' to one of them")
        names[key] = name
    return dict(sorted(names.items()))


def _systems(keys: list[int], window_ns: int | Mapping[int, int], raw_file: Path) -> list[tuple[str, int, list[int]]]:
    """Return (table name, window, table keys) of each system."""
    if not isinstance(window_ns, Mapping):
        return [("hardware_tcm_1", window_ns, keys)]
    unknown = sorted({key // RAWIDS_PER_STREAM for key in keys} - set(window_ns))
    if unknown:
        raise EventError(
            f"{raw_file}: FlashCam id {unknown[0]} has no coincidence window; windows are given for "
            f"{', '.join(map(str, sorted(window_ns)))}. Add it to window_ns"
        )
    return [
        (f"hardware_tcm_{fcid}", window, [key for key in keys if key // RAWIDS_PER_STREAM == fcid])
        for fcid, window in sorted(window_ns.items())
    ]


def _read_times(raw: lh5.Reader, name: str, raw_file: Path) -> _Times:
    has_fpga = all(raw.exists(f"{name}/{column}") for column in FPGA_COLUMNS)
    has_unix = raw.exists(f"{name}/timestamp")
    if not has_fpga and not has_unix:
        raise EventError(
            f"{raw_file}: {name} has neither {' and '.join(FPGA_COLUMNS)} nor timestamp; "
            f"it cannot take part in events, narrow 'tables' to leave it out"
        )
    columns = [*(FPGA_COLUMNS if has_fpga else ()), *(("timestamp",) if has_unix else ())]
    table = raw.read(name, columns=columns)
    fpga = fpga_time(*(table.array(column) for column in FPGA_COLUMNS)) if has_fpga else None
    unix, unix_valid = unix_time(table.array("timestamp").astype(np.float64)) if has_unix else (None, None)
    return _Times(name, fpga, unix, unix_valid)


def _build(times: Mapping[int, _Times], name: str, window_ns: int) -> tuple[Tcm, TcmReport]:
    clock = _choose_clock(times)
    columns: dict[int, np.ndarray] = {}
    valid: dict[int, np.ndarray] = {}
    for key, channel in times.items():
        column = channel.fpga if clock == "fpga" else channel.unix
        if column is None:
            raise EventError(
                f"{channel.table}: has no timestamp, but other tables of {name} have no integer clock that never runs "
                f"backwards; their times cannot be compared, split the systems with window_ns = {{fcid: window}}"
            )
        is_valid = np.ones(len(column), bool) if clock == "fpga" or channel.unix_valid is None else channel.unix_valid
        columns[key], valid[key] = column, is_valid
    tcm = build_tcm_from_times(columns, window_ns, valid)
    n_lost = {times[key].table: int(np.count_nonzero(~valid[key])) for key in times}
    n_unsorted = {times[key].table: _n_backwards(columns[key][valid[key]]) for key in times}
    report = TcmReport(
        name,
        clock,
        window_ns,
        len(times),
        tcm.n_hits,
        tcm.n_events,
        tcm.n_coincident,
        sum(len(column) == 0 for column in columns.values()),
        {table: n for table, n in n_lost.items() if n},
        {table: n for table, n in n_unsorted.items() if n},
    )
    return tcm, report


def _choose_clock(times: Mapping[int, _Times]) -> str:
    """Prefer the exact clock; concatenated files restart it, which only ``timestamp`` survives."""
    if not times:
        return "none"
    exact = all(channel.fpga is not None and _n_backwards(channel.fpga) == 0 for channel in times.values())
    return "fpga" if exact or all(channel.unix is None for channel in times.values()) else "timestamp"


def _n_backwards(time: np.ndarray) -> int:
    return int(np.count_nonzero(np.diff(time) < 0))
