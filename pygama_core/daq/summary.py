"""What was found in a DAQ file, what was converted, and what was lost: nothing is dropped without being counted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pygama_core.lh5.types import Array, LH5Object, Scalar, Struct, Table

MAX_RANGES = 100  # byte ranges kept in full; beyond, only the count and the sum of bytes
MAX_NOTES = 100


@dataclass(frozen=True)
class DaqSummary:
    """Account of one DAQ file.

    Parameters
    ----------
    file, format : name of the file and of its format
    n_bytes : bytes of (decompressed) content
    records : records found, by type
    not_converted : records that were read but have no output table, by type
    rows : rows of each output table, by key
    n_gaps, records_lost : damaged places, and records known to be lost in them (a lower limit)
    bytes_skipped, skipped : bytes lost in gaps; the first (start, stop) byte ranges
    truncated_tail : bytes of an incomplete record at the end of the file
    dead_time_reliable : False after a gap: dead, run and life times are sums over all records before
    first_timestamp, last_timestamp : [s] of the first and last event in the file; NaN without events
    notes : other findings, in file order; n_notes counts them all
    container_damaged : whether the compressed stream around the content is cut or damaged
    first_packet_id, last_packet_id : smallest and largest record number of the rows; -1 without rows
    rows_not_written : rows that the output specification sends nowhere, by key
    warnings : what of the output specification had no effect
    """

    file: str
    format: str
    n_bytes: int
    records: Mapping[str, int]
    not_converted: Mapping[str, int]
    rows: Mapping[str, int]
    n_gaps: int
    records_lost: int
    bytes_skipped: int
    skipped: tuple[tuple[int, int], ...]
    truncated_tail: int
    dead_time_reliable: bool
    first_timestamp: float
    last_timestamp: float
    notes: tuple[str, ...]
    n_notes: int
    container_damaged: bool = False
    first_packet_id: int = -1
    last_packet_id: int = -1
    rows_not_written: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def is_lossless(self) -> bool:
        """Whether nothing was lost: no damaged place, no cut record, no damaged container."""
        return not (self.n_gaps or self.truncated_tail or self.records_lost or self.container_damaged)

    def losses(self) -> list[str]:
        """Return what of the file is not in the tables, one text for each kind of loss."""
        parts = {
            f"{self.n_gaps} damaged places of {self.bytes_skipped} bytes": self.n_gaps,
            f"at least {self.records_lost} records lost": self.records_lost,
            f"the last {self.truncated_tail} bytes are an incomplete record": self.truncated_tail,
            "the compressed stream is damaged": self.container_damaged,
        }
        lost = [text for text, is_lost in parts.items() if is_lost]
        return lost + [f"{n} records {name} have no table" for name, n in self.not_converted.items()]

    @property
    def is_clean(self) -> bool:
        """Whether every byte was understood."""
        return not (self.n_gaps or self.truncated_tail or self.n_notes)

    def to_struct(self) -> Struct:
        """Return the summary as an LH5 struct."""
        ranges = np.array(self.skipped, np.int64).reshape(-1, 2)
        members: dict[str, LH5Object] = {name: Scalar(getattr(self, name)) for name in _SCALARS}
        for name in ("first_timestamp", "last_timestamp"):
            members[name] = Scalar(getattr(self, name), {"units": "s"})
        members["notes"] = Scalar("\n".join(self.notes))
        members["warnings"] = Scalar("\n".join(self.warnings))
        members["skipped"] = Table({"start": Array(ranges[:, 0]), "stop": Array(ranges[:, 1])})
        for name in ("records", "not_converted", "rows", "rows_not_written"):
            counts: Mapping[str, int] = getattr(self, name)
            members[name] = Struct({_member(key): Scalar(n) for key, n in sorted(counts.items())})
        return Struct(members)

    def __str__(self) -> str:
        """Return the account as a text table."""
        rows: list[tuple[str, object]] = [(name, n) for name, n in self.records.items()]
        rows += [(f"not converted: {name}", n) for name, n in self.not_converted.items()]
        rows += [(f"rows in {len(self.rows)} tables", sum(self.rows.values()))]
        if self.rows_not_written:
            what = f"rows of {len(self.rows_not_written)} keys that go nowhere"
            rows += [(what, sum(self.rows_not_written.values()))]
        if self.last_packet_id >= 0:
            rows += [("packet ids", f"{self.first_packet_id}..{self.last_packet_id}")]
        if not np.isnan(self.first_timestamp):
            rows += [("first timestamp [s]", f"{self.first_timestamp:.6f}")]
            rows += [("last timestamp [s]", f"{self.last_timestamp:.6f}")]
        rows += [("damaged places", self.n_gaps), ("bytes skipped", self.bytes_skipped)]
        rows += [("records lost, at least", self.records_lost)]
        rows += [("dead times", "reliable" if self.dead_time_reliable else "unreliable")]
        width = max(len(name) for name, _ in rows)
        lines = [f"{self.file} ({self.format}, {self.n_bytes} bytes)"]
        lines += [f"  {name:<{width}}  {value!s:>20}" for name, value in rows]
        return "\n".join(lines + self._remarks())

    def _remarks(self) -> list[str]:
        lines = [f"  skipped bytes {start}..{stop}" for start, stop in self.skipped]
        if self.n_gaps > len(self.skipped):
            lines += [f"  and {self.n_gaps - len(self.skipped)} more places"]
        if self.truncated_tail:
            lines += [f"  truncated: the last {self.truncated_tail} bytes are an incomplete record"]
        if not self.dead_time_reliable:
            lines += ["  run, life and dead times are unreliable after the first damaged place"]
        return lines + [f"  note: {note}" for note in self.notes]


_SCALARS = (
    *("file", "format", "n_bytes", "n_gaps", "records_lost", "bytes_skipped", "truncated_tail"),
    *("dead_time_reliable", "container_damaged", "first_packet_id", "last_packet_id"),
)


@dataclass(eq=False)
class Tally:
    """The counters a decoder fills while it reads; :meth:`freeze` makes the summary."""

    records: dict[str, int] = field(default_factory=dict)
    not_converted: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    skipped: list[tuple[int, int]] = field(default_factory=list)
    n_gaps: int = 0
    records_lost: int = 0
    bytes_skipped: int = 0
    truncated_tail: int = 0
    dead_time_reliable: bool = True
    first_timestamp: float = float("nan")
    last_timestamp: float = float("nan")
    notes: list[str] = field(default_factory=list)
    n_notes: int = 0
    container_damaged: bool = False
    first_packet_id: int = -1
    last_packet_id: int = -1

    def count(self, record: str, n: int = 1, *, converted: bool = True) -> None:
        """Count ``n`` records of a type."""
        if n:
            self.records[record] = self.records.get(record, 0) + n
            if not converted:
                self.not_converted[record] = self.not_converted.get(record, 0) + n

    def gap(self, start: int, stop: int, n_lost: int = 1) -> None:
        """Count bytes that could not be decoded; a gap that starts where the last one stopped extends it."""
        if stop <= start:
            return
        self.bytes_skipped += stop - start
        self.dead_time_reliable = False
        self.records_lost += n_lost
        if self.skipped and len(self.skipped) == self.n_gaps and self.skipped[-1][1] == start:
            self.skipped[-1] = (self.skipped[-1][0], stop)
            return
        self.n_gaps += 1
        if len(self.skipped) < MAX_RANGES:
            self.skipped.append((start, stop))

    def note(self, text: str) -> None:
        self.n_notes += 1
        if len(self.notes) < MAX_NOTES:
            self.notes.append(text)

    def damaged_container(self, text: str) -> None:
        """Note that the compressed stream around the content is damaged."""
        self.container_damaged = True
        self.note(text)

    def saw_packets(self, first: int, last: int) -> None:
        """Keep the smallest and largest record number."""
        self.first_packet_id = first if self.first_packet_id < 0 else min(self.first_packet_id, first)
        self.last_packet_id = max(self.last_packet_id, last)

    def saw_times(self, timestamps: np.ndarray) -> None:
        """Keep the first and last of the events' timestamps [s], given in file order."""
        if len(timestamps):
            if np.isnan(self.first_timestamp):
                self.first_timestamp = float(timestamps[0])
            self.last_timestamp = float(timestamps[-1])

    def freeze(self, file: str, format_name: str, n_bytes: int) -> DaqSummary:
        """Return the finished account."""
        return DaqSummary(
            file=file,
            format=format_name,
            n_bytes=n_bytes,
            records=dict(sorted(self.records.items())),
            not_converted=dict(sorted(self.not_converted.items())),
            rows=dict(sorted(self.rows.items())),
            n_gaps=self.n_gaps,
            records_lost=self.records_lost,
            bytes_skipped=self.bytes_skipped,
            skipped=tuple(self.skipped),
            truncated_tail=self.truncated_tail,
            dead_time_reliable=self.dead_time_reliable,
            first_timestamp=self.first_timestamp,
            last_timestamp=self.last_timestamp,
            notes=tuple(self.notes),
            n_notes=self.n_notes,
            container_damaged=self.container_damaged,
            first_packet_id=self.first_packet_id,
            last_packet_id=self.last_packet_id,
        )


def _member(key: str) -> str:
    """Return a name usable as an LH5 field: ``fcid_1/status`` becomes ``fcid_1_status``."""
    return re.sub(r"[^\w-]", "_", key)
