"""The events of a llamaDAQ file as one compiled pass: where they lie, of which channel, and what is damaged."""

# mypy: disable-error-code="no-any-return"
# (a compiled function returns Any, as far as mypy knows)

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pygama_core.accelerate import jit, kernel_part
from pygama_core.daq.gather import BYTES, word
from pygama_core.daq.time_order import NONE, is_out_of_order

# columns of a channel's row
NUMBER, FORMAT, EVENT_WORDS, RAW_WORDS, AVERAGED_WORDS = range(5)
BAD, PAST = -1, -2
MAX_WORDS = 1 << 26
N_IDS = 4096
TOLERANCE = 250_000_000  # [clock ticks] of disorder, about a second
CHAIN = 2  # events that must follow each other behind damage
LOOK_AHEAD = 256
ROOM = 1 << 16

EVENT, GAP, TAIL, CHUNK = range(4)
# columns of an index row
KIND, START, STOP, CHANNEL = range(4)
# the cursor; C_FADC and C_LEFT are those of version 1: FADC of the chunk and events left in it (-1: not known)
C_POS, C_ROWS, C_MAX_BYTES, C_MAX_EVENTS, C_VERSION, C_FADC, C_LEFT = range(7)
UNKNOWN = -1
MAX_CHUNK = 1 << 20

TABLE = "int64[:, ::1]"
LONGS = "int64[::1]"


@jit("int64(int64)")
def header_words(format_bits: int) -> int:
    """Return the words of an event's header, without the averaging word."""
    groups = 7 * (format_bits & 1) + 2 * (format_bits >> 1 & 1) + 3 * (format_bits >> 2 & 1)
    return 3 + groups + 2 * (format_bits >> 3 & 1)


@kernel_part
def _ticks(data: np.ndarray, at: int) -> np.int64:
    """Return the 48-bit timestamp of the event at ``at``."""
    return (np.int64(word(data, at)) >> 16 & 0xFFFF) << 32 | (np.int64(word(data, at + 4)) & 0xFFFFFFFF)


@kernel_part
def _row_at(data: np.ndarray, at: int, fadc: int, lookup: np.ndarray) -> int:
    """Return the row of the channel whose event may start at ``at``, or BAD; ``fadc`` is added to the id."""
    number = (np.int64(word(data, at)) >> 4 & 0xFFF) + (fadc << 4)
    return lookup[number] if number < N_IDS else BAD


@kernel_part
def _size(data: np.ndarray, at: int, fadc: int, channels: np.ndarray, lookup: np.ndarray) -> int:
    """Return the bytes of the event at ``at``, BAD if there is none, PAST if it runs past the end of the file."""
    stop = len(data)
    if at + 4 > stop:
        return PAST
    row = _row_at(data, at, fadc, lookup)
    if row < 0 or word(data, at) & 0xF != channels[row, FORMAT]:
        return BAD
    head, size = header_words(channels[row, FORMAT]), 4 * channels[row, EVENT_WORDS]
    at_length = at + 4 * (head - 1)
    if at_length + 4 > stop:
        return PAST
    length = np.int64(word(data, at_length))
    marker, has_maw, n_raw = length >> 28 & 0xF, length >> 27 & 1, length & 0x3FFFFFF
    n_averaged = np.int64(0)
    if marker == 0xA:
        if at_length + 8 > stop:
            return PAST
        averaging = np.int64(word(data, at_length + 4))
        head, n_averaged = head + 1, averaging & 0xFFFF
        marker = averaging >> 28 & 0xF
    if marker != 0xE or n_raw != channels[row, RAW_WORDS] or n_averaged != channels[row, AVERAGED_WORDS]:
        return BAD
    n_left = channels[row, EVENT_WORDS] - head - n_raw - n_averaged
    if n_left < 0 or (n_left > 0) != (has_maw == 1):
        return BAD
    return PAST if at + size > stop else size


@kernel_part
def _is_chunk(data: np.ndarray, at: int, channels: np.ndarray, lookup: np.ndarray, is_expected: bool) -> bool:
    """Whether a chunk header of version 1 may be at ``at``: a known FADC, a possible number of events, an event.

    Where one is expected, its first event may be damaged.
    """
    if at + 8 > len(data):
        return False
    fadc, n_events = np.int64(word(data, at)), np.int64(word(data, at + 4))
    if not 0 <= n_events <= MAX_CHUNK or not 0 <= fadc < N_IDS // 16:
        return False
    if not (lookup[fadc << 4 : (fadc << 4) + 16] >= 0).any():
        return False
    return is_expected or n_events == 0 or _size(data, at + 8, fadc, channels, lookup) != BAD


@kernel_part
def _chain(data: np.ndarray, at: int, fadc: int, channels: np.ndarray, lookup: np.ndarray, version: int) -> int:
    """Return how many events, at most CHAIN, follow each other; the end of the file or of a chunk counts as one."""
    n = 0
    while n < CHAIN:
        if at == len(data):
            return n + 1
        size = _size(data, at, fadc, channels, lookup)
        if size < 0:
            is_end = size == PAST or (version == 1 and _is_chunk(data, at, channels, lookup, False))
            return n + 1 if is_end and n > 0 else n
        at, n = at + size, n + 1
    return n


@kernel_part
def _reach(cursor: np.ndarray, pos: int, channels: np.ndarray, stop: int) -> int:
    """Return up to which byte behind damage at ``pos`` an event without a chunk header must be of the same FADC."""
    if cursor[C_VERSION] != 1 or (channels[:, NUMBER] >> 4 == channels[0, NUMBER] >> 4).all():
        return stop
    return min(stop, pos + max(cursor[C_LEFT], 0) * 4 * channels[:, EVENT_WORDS].min())


@kernel_part
def _resync(data: np.ndarray, start: int, channels: np.ndarray, lookup: np.ndarray, cursor: np.ndarray) -> int:
    """Return the first byte from ``start`` on where an event or a chunk is beyond doubt, or the end of the file."""
    stop = len(data)
    reach = _reach(cursor, start, channels, stop)
    for at in range(start, stop - 3):
        if at < reach and _chain(data, at, cursor[C_FADC], channels, lookup, cursor[C_VERSION]) >= CHAIN:
            return at
        if cursor[C_VERSION] == 1 and _is_chunk(data, at, channels, lookup, False) and word(data, at + 4) > 0:
            fadc, n = word(data, at), min(CHAIN, word(data, at + 4))
            if _chain(data, at + 8, fadc, channels, lookup, 1) >= n:
                return at
    return stop


@kernel_part
def _is_followed(data: np.ndarray, end: int, channels: np.ndarray, lookup: np.ndarray, cursor: np.ndarray) -> bool:
    """Whether an event that stops at ``end`` has another, a chunk or the end of the file behind it."""
    fadc, version = cursor[C_FADC], cursor[C_VERSION]
    if _size(data, end, fadc, channels, lookup) != BAD:
        return True
    if version == 1 and _is_chunk(data, end, channels, lookup, cursor[C_LEFT] == 1):
        return True
    # or what is behind is damaged, but the events behind that are where they should be
    for row in range(len(channels)):
        behind = end + 4 * channels[row, EVENT_WORDS]
        if behind <= len(data) and _chain(data, behind, fadc, channels, lookup, version) > 0:
            return True
        if version == 1 and _chain(data, end + 8, channels[row, NUMBER] >> 4, channels, lookup, 1) >= CHAIN:
            return True
    return False


@kernel_part
def _is_timely(
    data: np.ndarray, at: int, fadc: int, channels: np.ndarray, lookup: np.ndarray, latest: np.ndarray
) -> bool:
    """Whether the event's time fits those of its channel around it."""
    row = _row_at(data, at, fadc, lookup)
    previous, time, following = latest[row], _ticks(data, at), np.int64(NONE)
    if previous != NONE and abs(time - previous) <= TOLERANCE:
        return True
    for _ in range(LOOK_AHEAD):
        at += 4 * channels[_row_at(data, at, fadc, lookup), EVENT_WORDS]
        if at >= len(data) or _size(data, at, fadc, channels, lookup) < 0:
            break
        if _row_at(data, at, fadc, lookup) == row:
            if following != NONE:
                return not is_out_of_order(previous, time, following, _ticks(data, at), TOLERANCE)
            following = _ticks(data, at)
    return not is_out_of_order(previous, time, following, NONE, TOLERANCE)


@kernel_part
def _step(
    data: np.ndarray,
    channels: np.ndarray,
    lookup: np.ndarray,
    rows: np.ndarray,
    cursor: np.ndarray,
    latest: np.ndarray,
) -> None:
    """Index what starts at the cursor: an event, a chunk header or a gap."""
    pos, left, fadc = cursor[C_POS], cursor[C_LEFT], cursor[C_FADC]
    kind, end, row = GAP, pos, -1
    size = BAD if left == 0 else _size(data, pos, fadc, channels, lookup)
    if size > 0 and _is_followed(data, pos + size, channels, lookup, cursor):
        end, row = pos + size, _row_at(data, pos, fadc, lookup)
        cursor[C_LEFT] = left - 1 if left > 0 else left
        if _is_timely(data, pos, fadc, channels, lookup, latest):
            kind, latest[row] = EVENT, _ticks(data, pos)
            cursor[C_MAX_EVENTS] -= 1
    elif left <= 0 and cursor[C_VERSION] == 1 and _is_chunk(data, pos, channels, lookup, left == 0):
        kind, end = CHUNK, pos + 8
        cursor[C_FADC], cursor[C_LEFT] = word(data, pos), word(data, pos + 4)
    else:
        end = _resync(data, pos + 1 if size > 0 else pos, channels, lookup, cursor)
        cursor[C_LEFT] = UNKNOWN  # a chunk header is told from an event by what it announces
        is_cut = size == PAST or pos + 8 > len(data)
        kind = TAIL if end == len(data) and is_cut else GAP
    n = cursor[C_ROWS]
    rows[n, KIND], rows[n, START], rows[n, STOP], rows[n, CHANNEL] = kind, pos, end, row
    cursor[C_ROWS] += 1
    cursor[C_POS] = end


@jit(f"void({BYTES}, {TABLE}, {LONGS}, {TABLE}, {LONGS}, {LONGS})")
def _index(
    data: np.ndarray,
    channels: np.ndarray,
    lookup: np.ndarray,
    rows: np.ndarray,
    cursor: np.ndarray,
    latest: np.ndarray,
) -> None:
    """Index events from the cursor on until a limit or the end of the file."""
    begun = cursor[C_POS]
    while cursor[C_POS] < len(data) and cursor[C_ROWS] < len(rows):
        if cursor[C_POS] - begun >= cursor[C_MAX_BYTES] or cursor[C_MAX_EVENTS] <= 0:
            return
        _step(data, channels, lookup, rows, cursor, latest)


@dataclass(frozen=True, eq=False)
class Piece:
    """A piece of the file: (n,) first byte and channel of the events; (m, 2) first byte, last + 1 of gaps and tails."""

    starts: np.ndarray
    channel: np.ndarray
    gaps: np.ndarray
    tails: np.ndarray


class Walker:
    """Walks the events of a file piece by piece.

    Parameters
    ----------
    data : (n_bytes,) uint8
    start : first byte behind the configurations
    version : 1 has its events in chunks of one FADC
    channels : (n_channels, 5) int64: number, format bits, words of an event, words of raw and of averaged samples
    """

    def __init__(self, data: np.ndarray, start: int, version: int, channels: np.ndarray) -> None:
        self._data, self._channels = data, channels
        self._lookup = np.full(N_IDS, BAD, np.int64)
        self._lookup[channels[:, NUMBER]] = np.arange(len(channels))
        self._latest = np.full(len(channels), NONE, np.int64)
        self._cursor = np.zeros(7, np.int64)
        self._cursor[C_POS], self._cursor[C_VERSION] = start, version
        self._cursor[C_LEFT] = 0 if version == 1 else UNKNOWN
        self._rows = np.empty((ROOM, 4), np.int64)

    def next(self, max_bytes: int, max_events: int) -> Piece | None:
        """Index the next piece; None at the end."""
        cursor = self._cursor
        cursor[C_ROWS], cursor[C_MAX_BYTES], cursor[C_MAX_EVENTS] = 0, max_bytes, max_events
        _index(self._data, self._channels, self._lookup, self._rows, cursor, self._latest)
        rows = self._rows[: cursor[C_ROWS]].copy()
        if not len(rows):
            return None
        found = rows[rows[:, KIND] == EVENT]
        gaps, tails = (rows[rows[:, KIND] == kind, START : STOP + 1] for kind in (GAP, TAIL))
        return Piece(np.ascontiguousarray(found[:, START]), found[:, CHANNEL], gaps, tails)
