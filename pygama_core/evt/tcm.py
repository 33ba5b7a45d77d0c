"""Time coincidence map: which rows of which channels belong to one event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pygama_core.errors import EventError
from pygama_core.lh5.types import Table, VectorOfVectors

NS_PER_S = 1_000_000_000
NS_PER_TICK = 4  # FlashCam counts 250 MHz ticks since the last pulse per second
HASH_FUNC = r"\d+"


@dataclass(frozen=True, eq=False)
class Tcm:
    """Events as rows of hits; event i is hits ``cumulative_length[i-1]:cumulative_length[i]``."""

    table_key: np.ndarray  # (n_hits,) int64; number of each hit's channel
    row_in_table: np.ndarray  # (n_hits,) int64; row in that channel's table
    cumulative_length: np.ndarray  # (n_events,) int64

    @property
    def n_events(self) -> int:
        return len(self.cumulative_length)

    @property
    def n_hits(self) -> int:
        return len(self.table_key)

    @property
    def n_coincident(self) -> int:
        """Number of events with more than one hit."""
        return int(np.count_nonzero(np.diff(self.cumulative_length, prepend=0) > 1))

    def to_table(self, tables: Sequence[str]) -> Table:
        """Return the LH5 table; ``tables`` are the names of all tables that took part, also of those without hits."""
        ends = self.cumulative_length
        columns = {
            "table_key": VectorOfVectors(self.table_key, ends),
            "row_in_table": VectorOfVectors(self.row_in_table, ends),
        }
        return Table(dict(columns), {"tables": str(list(tables)), "hash_func": HASH_FUNC})

    @classmethod
    def from_table(cls, table: Table, where: str) -> Tcm:
        """Return the map stored in an LH5 table; raise EventError if it is none."""
        columns = [table.columns.get(name) for name in ("table_key", "row_in_table")]
        keys, rows = columns
        if not isinstance(keys, VectorOfVectors) or not isinstance(rows, VectorOfVectors):
            raise EventError(
                f"{where}: no time coincidence map: found columns {', '.join(table)}, expected the ragged columns "
                f"table_key and row_in_table"
            )
        flat_keys, flat_rows = np.asarray(keys.flattened_data), np.asarray(rows.flattened_data)
        if not np.array_equal(keys.cumulative_length, rows.cumulative_length):
            raise EventError(f"{where}: table_key and row_in_table have different lengths; the file is damaged")
        return cls(flat_keys.astype(np.int64), flat_rows.astype(np.int64), keys.cumulative_length)


def fpga_time(ts_pps: np.ndarray, ts_ticks: np.ndarray) -> np.ndarray:
    """Return the FlashCam time, (n,) int64 [ns], exact.

    The clock is shared by all channels of a stream. The offset to unix time is left out: it is the same for all of
    them but is read out once per record and may jitter.
    """
    return ts_pps.astype(np.int64) * NS_PER_S + ts_ticks.astype(np.int64) * NS_PER_TICK


def unix_time(timestamp: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round times in float64 [s] to int64 [ns].

    Returns
    -------
    time : (n,) int64 [ns]; 0 where there is none
    is_valid : (n,) bool; False for NaN and infinity

    Notes
    -----
    Near the present a float64 of seconds has a resolution of 240 ns.
    """
    is_valid = np.isfinite(timestamp)
    seconds = np.where(is_valid, timestamp, 0.0)
    whole = np.floor(seconds)
    return whole.astype(np.int64) * NS_PER_S + np.rint((seconds - whole) * NS_PER_S).astype(np.int64), is_valid


def build_tcm_from_times(
    times: Mapping[int, np.ndarray], window_ns: int, valid: Mapping[int, np.ndarray] | None = None
) -> Tcm:
    """Group hits in time: a hit starts a new event if it is more than the window later than the hit before it.

    The window counts from the previous hit, so an event can last longer than one window. Hits of an event are
    ordered by time, then channel, then row.

    Parameters
    ----------
    times : channel number -> (n_rows,) int64 [ns], in any order
    window_ns : [ns], >= 0
    valid : channel number -> (n_rows,) bool; hits that are False have no time and are left out

    Raises
    ------
    EventError : if the window is negative
    """
    if window_ns < 0:
        raise EventError(f"coincidence window is {window_ns} ns, expected 0 or more")
    keys = sorted(times)
    n_rows = [len(times[key]) for key in keys]
    time = np.concatenate([np.empty(0, np.int64), *(times[key] for key in keys)])
    table_key = np.repeat(np.array(keys, np.int64), n_rows)
    row = np.concatenate([np.empty(0, np.int64), *(np.arange(n, dtype=np.int64) for n in n_rows)])
    if valid is not None:
        keep = np.concatenate([np.empty(0, bool), *(valid.get(key, np.ones(len(times[key]), bool)) for key in keys)])
        time, table_key, row = time[keep], table_key[keep], row[keep]
    order = np.argsort(time, kind="stable")  # channels and rows are in order already
    starts_event = np.diff(time[order]) > window_ns
    ends = np.append(np.flatnonzero(starts_event) + 1, len(time)) if len(time) else np.empty(0, np.int64)
    return Tcm(table_key[order], row[order], ends.astype(np.int64))
