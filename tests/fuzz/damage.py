"""Files to damage, ways to damage them, and what must hold of the result.

Every sample of the synthetic files tells which trace of which event it is of, so that a row made of bytes that do not
belong together is found out. Used by the tests and by the coverage-guided target.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "daq"))

import compass_streams
import daq_streams
import llama_streams
import vme_streams

from pygama_core.daq.daqfile import known_formats
from pygama_core.daq.source import Source
from pygama_core.errors import DecodeError
from pygama_core.lh5.types import Table
from pygama_core.sim import fcio_writer as fw
from pygama_core.sim import llama_writer

MAX_CHECKED = 6  # [bytes] beyond this much overwritten, a row can no longer be told from a false one
N_EVENTS = 8


@dataclass(frozen=True)
class Subject:
    """A file to damage: its format, bytes, and where damage may begin (behind what nothing can be read without)."""

    format: str
    content: bytes
    first: int
    record: int = 0  # bytes of a record, if all have the same size
    is_checked: bool = False  # whether rows can be compared with what was written


def _fcio_sparse() -> list[bytes]:
    head = [fw.protocol(), fw.config(daq_streams.fcio_config())]
    trace_lists = [[0, 2], [1], [0, 1, 2]]
    events = [
        fw.sparse_event(daq_streams.event_times(k), chosen, daq_streams.traces(k)[chosen])
        for k, chosen in ((k, trace_lists[k % 3]) for k in range(N_EVENTS))
    ]
    return [*head, *events]


def _fcio_mixed() -> list[bytes]:
    head = [fw.protocol(), fw.config(daq_streams.fcio_config())]
    body = []
    for k in range(N_EVENTS):
        times = daq_streams.event_times(k)
        body.append(fw.event_header(times, [0, 2], np.arange(4), with_count=k % 3 == 0))
        body.append(fw.event(times, daq_streams.traces(k)))
        if k % 4 == 0:
            body.append(fw.status([k, 0, 1_700_000_000], [fw.CardStatus(0x2000 + i) for i in range(2)]))
    return [*head, *body]


@cache
def subjects() -> dict[str, Subject]:
    """Return the files by name."""
    fcio = daq_streams.fcio_messages(N_EVENTS)
    wrapped = daq_streams.orca_fcio_packets(N_EVENTS)
    packets = daq_streams.orca_fc_packets(N_EVENTS)
    sparse, mixed = _fcio_sparse(), _fcio_mixed()
    compass = compass_streams.records(N_EVENTS)
    llama_head = llama_writer.file_header(llama_streams.CHANNELS[:2], version=1)
    llama = llama_streams.v1_file([[llama_streams.event(k)] for k in (0, 1, 3, 4, 6, 7)])
    vme = vme_streams.packets(6)
    made = {
        "fcio": Subject("fcio", b"".join(fcio), len(b"".join(fcio[:2])), len(fcio[2]), is_checked=True),
        "fcio sparse": Subject("fcio", b"".join(sparse), len(b"".join(sparse[:2])), is_checked=True),
        "fcio mixed": Subject("fcio", b"".join(mixed), len(b"".join(mixed[:2])), is_checked=True),
        "orca": Subject(
            "orca",
            b"".join(packets),
            len(b"".join(packets[:3])),
            len(packets[3]),
            is_checked=True,
        ),
        "orca fcio": Subject("orca", b"".join(wrapped), len(b"".join(wrapped[:3])), len(wrapped[3]), is_checked=True),
        "orca cards": Subject("orca", b"".join(vme), len(vme[0])),
        "compass": Subject("compass", b"".join(compass), len(compass[0])),
        "llama": Subject("llama", llama, len(llama_head)),
    }
    return made


@dataclass(frozen=True)
class Damage:
    """A damaged file: what was done, how many bytes were overwritten, and how many cut out."""

    what: str
    content: bytes
    n_overwritten: int = 0
    n_cut: int = 0


def _flip(rng: np.random.Generator, subject: Subject) -> Damage:
    data, n = bytearray(subject.content), int(rng.integers(1, 1 + MAX_CHECKED))
    for at in rng.integers(subject.first, len(data), n).tolist():
        data[at] ^= 1 << int(rng.integers(8))
    return Damage("flip", bytes(data), n)


def _overwrite(rng: np.random.Generator, subject: Subject) -> Damage:
    at, n = int(rng.integers(subject.first, len(subject.content))), int(2 ** rng.uniform(0, 9))
    n = min(n, len(subject.content) - at)
    new = bytes(n) if rng.random() < 0.3 else rng.bytes(n)
    return Damage("overwrite", subject.content[:at] + new + subject.content[at + n :], n)


def _insert(rng: np.random.Generator, subject: Subject) -> Damage:
    at, n = int(rng.integers(subject.first, len(subject.content) + 1)), int(2 ** rng.uniform(0, 9))
    new = bytes(n) if rng.random() < 0.3 else rng.bytes(n)
    return Damage("insert", subject.content[:at] + new + subject.content[at:])


def _cut(rng: np.random.Generator, subject: Subject) -> Damage:
    at, n = int(rng.integers(subject.first, len(subject.content))), int(2 ** rng.uniform(0, 10))
    return Damage("cut", subject.content[:at] + subject.content[at + n :], n_cut=n)


def _truncate(rng: np.random.Generator, subject: Subject) -> Damage:
    return Damage("truncate", subject.content[: int(rng.integers(subject.first, len(subject.content)))])


def _repeat(rng: np.random.Generator, subject: Subject) -> Damage:
    start, stop = sorted(rng.integers(subject.first, len(subject.content), 2).tolist())
    return Damage("repeat", subject.content[:stop] + subject.content[start:], n_cut=start - stop)


def _several(rng: np.random.Generator, subject: Subject) -> Damage:
    damaged = subject
    for _ in range(int(rng.integers(2, 5))):
        content = WAYS[int(rng.integers(len(WAYS) - 1))](rng, damaged).content
        if len(content) > subject.first:
            damaged = Subject(subject.format, content, subject.first)
    return Damage("several", damaged.content, n_overwritten=len(damaged.content))


WAYS: tuple[Callable[[np.random.Generator, Subject], Damage], ...] = (
    *(_flip, _overwrite, _insert, _cut, _truncate, _repeat),
    _several,
)


def damaged(name: str, seed: int) -> Damage:
    """Return the damaged file number ``seed``."""
    rng = np.random.default_rng([seed, *name.encode()])
    return WAYS[seed % len(WAYS)](rng, subjects()[name])


def decode(format: str, content: bytes):
    """Decode bytes; return the blocks and the account."""
    return decode_array(format, np.frombuffer(content, np.uint8))


def decode_array(format: str, data: np.ndarray):
    """Decode an array of bytes; return the blocks and the account."""
    daq = known_formats()[format].open(Source(Path("damaged"), data))
    blocks = list(daq.blocks())
    return blocks, daq.summary


def samples(blocks) -> np.ndarray:
    """All traces of channels, (n_rows, n_samples)."""
    tables = [
        b.table for b in blocks if isinstance(b.key, int) and isinstance(b.table, Table) and "waveform" in b.table
    ]
    rows = [table["waveform"].array("values") for table in tables]
    width = max((r.shape[1] for r in rows), default=0)
    return np.concatenate([r for r in rows if r.shape[1] == width]) if rows else np.empty((0, 0), np.uint16)


@cache
def written(name: str) -> np.ndarray:
    """The traces of the undamaged file."""
    subject = subjects()[name]
    return samples(decode(subject.format, subject.content)[0])


def check(name: str, damage: Damage) -> None:
    """Decode and judge; raise AssertionError for anything that must not be."""
    subject = subjects()[name]
    try:
        blocks, summary = decode(subject.format, damage.content)
    except DecodeError:
        assert damage.what in ("several", "truncate"), f"{damage.what}: nothing was decoded"
        return
    n_accounted = summary.bytes_skipped + summary.truncated_tail
    assert 0 <= n_accounted <= len(damage.content), f"{damage.what}: {n_accounted} bytes lost"
    found, expected = samples(blocks), written(name)
    if not subject.is_checked or not len(found):
        return
    if len(found) < len(expected) and damage.what != "repeat" and not _is_whole_records(subject, damage):
        is_told = not summary.is_lossless or summary.not_converted or summary.n_notes
        assert is_told or damage.what in ("truncate", "cut"), f"{damage.what}: loss is not told"
    if damage.n_overwritten <= MAX_CHECKED and not _is_whole_records(subject, damage):
        assert found.shape[1] == expected.shape[1], f"{damage.what}: traces of {found.shape[1]} samples"
        nearest = (found[:, np.newaxis] != expected[np.newaxis]).sum(axis=2).min(axis=1)
        assert (nearest <= damage.n_overwritten).all(), f"{damage.what}: a false record"


def _is_whole_records(subject: Subject, damage: Damage) -> bool:
    """Whether the bytes cut out (or repeated) are as many as those of some records: what is left fits together."""
    return damage.n_cut != 0 and (subject.record == 0 or damage.n_cut % subject.record == 0)
