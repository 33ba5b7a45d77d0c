"""The records of a CoMPASS file as one compiled pass: where they lie, and what is damaged.

The format has no marks and no checksums: a record is believed if all its fields are possible, another one follows it
and its time fits the ones around it.
"""

# mypy: disable-error-code="no-any-return"
# (a compiled function returns Any, as far as mypy knows)

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pygama_core.accelerate import jit, kernel_part
from pygama_core.daq.gather import BYTES, word
from pygama_core.daq.time_order import NONE, is_out_of_order

# places of a layout
FIXED, FLAGS_AT, FLAGS_BYTES, CODE_AT, SAMPLES_AT, CALIBRATED_AT = range(6)
N_PLACES = 6
LONGS = "int64[::1]"

BAD, PAST = -1, -2
N_BOARDS, N_CHANNELS, N_CODES = 32, 64, 16
ANY = N_BOARDS * N_CHANNELS  # instead of a channel
MAX_SAMPLES = 1 << 20
SECOND, MINUTES = 10**12, 120 * 10**12  # [ps]
RESET_FLAGS = 0x6  # the clock rolled over or was reset
KNOWN_FLAGS = 0x38DDFF
CHAIN = 4  # records that must follow each other behind damage
LOOK_AHEAD = 256  # records searched for the next ones of the same channel
ROOM = 1 << 16

RECORD, GAP, TAIL = range(3)
# columns of an index row
KIND, START, STOP = range(3)
# the cursor
C_POS, C_ROWS, C_MAX_BYTES, C_MAX_EVENTS, C_SAMPLES = range(5)


@kernel_part
def _half(data: np.ndarray, at: int) -> np.int64:
    return np.int64(data[at]) | np.int64(data[at + 1]) << 8


@kernel_part
def _time(data: np.ndarray, at: int) -> np.int64:
    """Return the timestamp [ps] of the record at ``at``; negative where it is impossible."""
    return (np.int64(word(data, at + 4)) & 0xFFFFFFFF) | np.int64(word(data, at + 8)) << 32


@kernel_part
def _flags(data: np.ndarray, at: int, places: np.ndarray) -> np.int64:
    low = _half(data, at + places[FLAGS_AT])
    return low if places[FLAGS_BYTES] == 2 else low | _half(data, at + places[FLAGS_AT] + 2) << 16


@kernel_part
def _samples(data: np.ndarray, at: int, places: np.ndarray) -> np.int64:
    return np.int64(word(data, at + places[SAMPLES_AT]) if places[SAMPLES_AT] >= 0 else 0)


@kernel_part
def _is_energy(data: np.ndarray, at: int, places: np.ndarray) -> bool:
    """Whether the calibrated energy, if there is one, is zero or a usual number: its exponent is within 2**+-40."""
    if places[CALIBRATED_AT] < 0:
        return True
    low, high = word(data, at + places[CALIBRATED_AT]), word(data, at + places[CALIBRATED_AT] + 4)
    exponent = (high >> 20 & 0x7FF) - 1023
    return -40 < exponent < 40 or (low == 0 and high & 0x7FFFFFFF == 0) or exponent == 1024


@kernel_part
def _size(data: np.ndarray, at: int, stop: int, places: np.ndarray) -> int:
    """Return the bytes of the record at ``at``, BAD if it cannot be one, PAST if it is one that runs past ``stop``."""
    if at + 4 <= stop and (_half(data, at) >= N_BOARDS or _half(data, at + 2) >= N_CHANNELS):
        return BAD
    if at + places[FIXED] > stop:
        return PAST
    time, flags, n = _time(data, at), _flags(data, at, places), _samples(data, at, places)
    if time < 0 or (time == 0 and flags == 0) or flags & ~KNOWN_FLAGS or not 0 <= n <= MAX_SAMPLES:
        return BAD
    if places[CODE_AT] >= 0 and data[at + places[CODE_AT]] >= N_CODES:
        return BAD
    if not _is_energy(data, at, places):
        return BAD
    size = places[FIXED] + 2 * n
    return PAST if at + size > stop else size


@jit(f"UniTuple(int64, 2)({BYTES}, int64, int64, {LONGS}, int64)")
def count_records(data: np.ndarray, at: int, stop: int, places: np.ndarray, limit: int) -> tuple[int, int]:
    """Return how many records follow each other, at most ``limit``, and where they end: a byte, BAD or PAST."""
    n = 0
    while n < limit and at < stop:
        size = _size(data, at, stop, places)
        if size < 0:
            return n, size
        at, n = at + size, n + 1
    return n, at


@kernel_part
def _resync(data: np.ndarray, start: int, stop: int, places: np.ndarray) -> int:
    """Return the first of the bytes ``start`` ... from which records follow each other, or ``stop``."""
    for begin in range(start, stop - places[FIXED] + 1):
        if _size(data, begin, stop, places) > 0:
            n, end = count_records(data, begin, stop, places, CHAIN)
            if n == CHAIN or end == stop or (end == PAST and n > 1):
                return begin
    return stop


@jit(f"int64({BYTES}, int64, {LONGS})")
def _usual_samples(data: np.ndarray, start: int, places: np.ndarray) -> int:
    """Return the samples of the first records beyond doubt; 0 if there are none."""
    if places[SAMPLES_AT] < 0:
        return 0
    at = _resync(data, start, len(data), places)
    for _ in range(LOOK_AHEAD):
        size = _size(data, at, len(data), places) if at < len(data) else BAD
        if size != places[FIXED]:
            return max(size - places[FIXED], 0) // 2
        at += size
    return 0


@kernel_part
def _next_times(data: np.ndarray, at: int, where: int, places: np.ndarray) -> tuple[np.int64, np.int64]:
    """Return the times of the next two records of a channel, or of any if that is ANY, from byte ``at`` on."""
    following, stop = np.int64(NONE), len(data)
    for _ in range(LOOK_AHEAD):
        size = _size(data, at, stop, places)
        if size < 0 or at >= stop:
            break
        if where in (ANY, _half(data, at) * N_CHANNELS + _half(data, at + 2)):
            if following != NONE:
                return following, _time(data, at)
            following = _time(data, at)
        at += size
    return following, np.int64(NONE)


@kernel_part
def _is_timely(data: np.ndarray, at: int, size: int, places: np.ndarray, latest: np.ndarray) -> bool:
    """Whether the record's time fits those of its channel around it."""
    where = _half(data, at) * N_CHANNELS + _half(data, at + 2)
    previous, time = latest[where], _time(data, at)
    if previous != NONE and abs(time - previous) <= SECOND:
        return True
    if _flags(data, at, places) & RESET_FLAGS:
        return True
    following, second = _next_times(data, at + size, where, places)
    if previous == NONE and following == NONE:  # the only one of its channel: those of others have to do
        following, second = _next_times(data, at + size, ANY, places)
        return not is_out_of_order(latest[ANY], time, following, second, MINUTES)
    return not is_out_of_order(previous, time, following, second, SECOND)


@kernel_part
def _is_followed(data: np.ndarray, end: int, n_samples: int, places: np.ndarray, usual: int) -> bool:
    """Whether a record of ``n_samples`` that stops at ``end`` has its like behind it."""
    stop = len(data)
    # a length that the file did not have so far could be damaged: more must follow
    n_links = 1 if n_samples == 0 or n_samples == usual else CHAIN
    n, last = count_records(data, end, stop, places, n_links)
    if n == n_links or last in (stop, PAST):
        return True
    # or the one behind it is damaged, but those behind that one are where they should be
    behind = end + places[FIXED] + 2 * usual
    n, last = count_records(data, behind, stop, places, CHAIN)
    return n == CHAIN or last == stop or (last == PAST and n > 0)


@kernel_part
def _step(data: np.ndarray, places: np.ndarray, rows: np.ndarray, cursor: np.ndarray, latest: np.ndarray) -> None:
    """Index what starts at the cursor: a record or a gap."""
    pos, stop = cursor[C_POS], len(data)
    size = _size(data, pos, stop, places)
    kind, end = GAP, pos + size
    n_samples = _samples(data, pos, places) if size > 0 else 0
    if size > 0 and _is_followed(data, end, n_samples, places, cursor[C_SAMPLES]):
        if _is_timely(data, pos, size, places, latest):
            kind, cursor[C_SAMPLES] = RECORD, n_samples if n_samples > 0 else cursor[C_SAMPLES]
            latest[_half(data, pos) * N_CHANNELS + _half(data, pos + 2)] = _time(data, pos)
            latest[ANY] = _time(data, pos)
            cursor[C_MAX_EVENTS] -= 1
    else:
        end = _resync(data, pos + 1, stop, places)
        if end == stop and size == PAST:
            kind = TAIL
    n = cursor[C_ROWS]
    rows[n, KIND], rows[n, START], rows[n, STOP] = kind, pos, end
    cursor[C_ROWS] += 1
    cursor[C_POS] = end


@jit(f"void({BYTES}, {LONGS}, int64[:, ::1], {LONGS}, {LONGS})")
def _index(data: np.ndarray, places: np.ndarray, rows: np.ndarray, cursor: np.ndarray, latest: np.ndarray) -> None:
    """Index records from the cursor on until a limit or the end of the file."""
    begun = cursor[C_POS]
    while cursor[C_POS] < len(data) and cursor[C_ROWS] < len(rows):
        if cursor[C_POS] - begun >= cursor[C_MAX_BYTES] or cursor[C_MAX_EVENTS] <= 0:
            return
        _step(data, places, rows, cursor, latest)


@dataclass(frozen=True, eq=False)
class Piece:
    """A piece: (n,) first byte and number of samples of the records; (m, 2) first byte, last + 1 of gaps and tails."""

    starts: np.ndarray
    n_samples: np.ndarray
    gaps: np.ndarray
    tails: np.ndarray


class Walker:
    """Walks the records of a file piece by piece, from byte ``start`` on."""

    def __init__(self, data: np.ndarray, start: int, places: np.ndarray) -> None:
        self._data, self._places = data, places
        self._cursor = np.zeros(5, np.int64)
        self._cursor[C_POS], self._cursor[C_SAMPLES] = start, _usual_samples(data, start, places)
        self._latest = np.full(ANY + 1, NONE, np.int64)
        self._rows = np.empty((ROOM, 3), np.int64)

    def next(self, max_bytes: int, max_events: int) -> Piece | None:
        """Index the next piece; None at the end."""
        cursor = self._cursor
        cursor[C_ROWS], cursor[C_MAX_BYTES], cursor[C_MAX_EVENTS] = 0, max_bytes, max_events
        _index(self._data, self._places, self._rows, cursor, self._latest)
        rows = self._rows[: cursor[C_ROWS]].copy()
        if not len(rows):
            return None
        found = rows[rows[:, KIND] == RECORD]
        n_samples = (found[:, STOP] - found[:, START] - self._places[FIXED]) // 2
        gaps, tails = (rows[rows[:, KIND] == kind, START:] for kind in (GAP, TAIL))
        return Piece(np.ascontiguousarray(found[:, START]), n_samples, gaps, tails)
