"""The packets of an ORCA file as one compiled pass: where they lie, of which kind, and what is damaged."""

# mypy: disable-error-code="no-any-return"
# (a compiled function returns Any, as far as mypy knows)

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pygama_core.accelerate import jit, kernel_part
from pygama_core.daq.fcio.constants import EVENT_HEADER, SPARSE_EVENT
from pygama_core.daq.gather import BYTES, word
from pygama_core.daq.orca.card_checks import SIS3302, is_sound_card

# kinds of packets, by the check that a packet of theirs must pass
HEADER, RUN, WAVEFORM, LISTENER_CONFIG, FCIO_CONFIG, FCIO, OTHER = range(7)
FIRST_CARD = 16  # VME cards have kinds from here on, see pygama_core.daq.orca.card_checks
GAP, TAIL = -1, -2  # entries of the index that are no packets
BAD, PAST = -1, -2

MAX_WORDS = 1 << 24
EARLIEST = 946_684_800  # [s] unix time of a run record: 2000-01-01
CHAIN = 3  # packets that must follow where a packet has no check that makes it unmistakable
PACKETS_ROOM = 1 << 16

# columns of an index row
ID, START, STOP, NUMBER = range(4)
# the cursor
C_POS, C_NUMBER, C_PACKETS, C_MAX_BYTES, C_MAX_EVENTS = range(5)

LONGS = "int64[:, ::1]"  # (n_ids, 2): id at its bit position, kind


@kernel_part
def _which(data: np.ndarray, at: int, ids: np.ndarray) -> int:
    """Return the row of ``ids`` that the word at ``at`` belongs to, or -1."""
    value = word(data, at) & 0xFFFFFFFF
    value &= 0xFC000000 if value >> 31 else 0xFFFC0000
    for row in range(len(ids)):
        if ids[row, 0] == value:
            return row
    return -1


@kernel_part
def _is_xml(data: np.ndarray, at: int) -> bool:
    value = word(data, at)
    return value == 0x6D783F3C or value == 0x3C3F786D  # "<?xm", as written or word-swapped


@kernel_part
def _header_size(data: np.ndarray, at: int, stop: int) -> int:
    """Return the bytes of a header packet: its own length field overflows beyond 1 MiB of XML."""
    if at + 12 > stop or not _is_xml(data, at + 8):
        return BAD
    n_xml = word(data, at + 4) & 0xFFFFFFFF
    field = word(data, at) & 0x3FFFF
    n_words = 2 + n_xml // 4 + 1  # ORCA pads with 1 to 4 bytes
    if n_words & 0x3FFFF != field:
        n_words = max(field, 2 + (n_xml + 3) // 4)
    return 4 * n_words


@kernel_part
def _size(data: np.ndarray, at: int, stop: int, kind: int) -> int:
    """Return the bytes of the packet at ``at``, BAD if it cannot be one, PAST if it runs past ``stop``."""
    value = word(data, at)
    if value < 0:
        return 4
    n_bytes = 4 * (value & 0x3FFFF)
    if kind == HEADER:
        n_bytes = _header_size(data, at, stop)
    elif n_bytes == 0:
        if at + 8 > stop:
            return PAST
        n_words = word(data, at + 4)
        n_bytes = 4 * n_words if 3 <= n_words <= MAX_WORDS else BAD
    return PAST if n_bytes > stop - at else n_bytes


@kernel_part
def _is_stream(data: np.ndarray, at: int, stop: int) -> bool:
    """Whether the bytes are whole frames of an FCIO stream, padded with zeros."""
    if at + 4 > stop or word(data, at) >= 0:
        return False
    while at + 4 <= stop:
        size = word(data, at)
        if size == -1000000001:
            at += 68
        elif size < 0:
            if size < -10:
                return False
            at += 4
        elif size > stop - at - 4:
            return False
        else:
            at += 4 + size
    return at <= stop


@kernel_part
def _ends_in_samples(data: np.ndarray, at: int, stop: int) -> bool:
    """Whether the last record of the FCIO stream in bytes ``at`` ... is one of traces with nothing behind them."""
    last = 0
    while at + 4 <= stop:
        size = word(data, at)
        if size < 0:
            last = size
        at += 68 if size == -1000000001 else 4 + max(size, 0)
    return last == -SPARSE_EVENT or last == -EVENT_HEADER


@kernel_part
def _is_sound(data: np.ndarray, at: int, size: int, kind: int) -> bool:
    """Whether a packet agrees with itself, as far as its kind can tell."""
    if kind == RUN:
        return size == 16
    if kind == WAVEFORM:
        if size < 12:
            return False
        value = word(data, at + 4)
        n_header, n_more, n_samples = value >> 28 & 0xF, value >> 22 & 0x3F, value >> 6 & 0xFFFF
        is_known = n_header == 3 and (n_more == 15 or n_more == 17)
        return is_known and size == 4 * (n_header + n_more + (n_samples + 1) // 2)
    if kind == LISTENER_CONFIG:
        return size >= 52 and 0 <= word(data, at + 12) <= size // 4 - 13
    if kind in (FCIO, FCIO_CONFIG):
        return size > 12 and _is_stream(data, at + 12, at + size)
    return kind < FIRST_CARD or is_sound_card(data, at, size, kind)


@kernel_part
def _may_start(data: np.ndarray, at: int, stop: int, ids: np.ndarray) -> bool:
    """Whether a packet, perhaps a cut one, or the end of the file is at ``at``."""
    if at + 4 > stop:
        return True
    row = _which(data, at, ids)
    return row >= 0 and _size(data, at, stop, ids[row, 1]) != BAD


@kernel_part
def _resync(data: np.ndarray, start: int, until: int, ids: np.ndarray) -> int:
    """Return the first of the bytes ``start`` ... where a packet lies beyond doubt, or ``until``."""
    stop = len(data)
    for begin in range(start, min(until, stop - 3)):
        at, links = begin, 0
        while links <= CHAIN:
            if at == stop and links > 0:
                return begin
            row = _which(data, at, ids) if at + 4 <= stop else -1
            if row < 0:
                break
            kind = ids[row, 1]
            size = _size(data, at, stop, kind)
            if size < 0 or not _is_sound(data, at, size, kind):
                break
            if kind != OTHER and kind != RUN:
                return begin
            at, links = at + size, links + 1
        if links > CHAIN:
            return begin
    return until


@kernel_part
def _is_next(data: np.ndarray, at: int, ids: np.ndarray) -> bool:
    """Whether a sound packet, or a cut one at the end of the file, is at ``at``."""
    stop = len(data)
    row = _which(data, at, ids) if at + 4 <= stop else -1
    if row < 0:
        return at + 4 > stop
    size = _size(data, at, stop, ids[row, 1])
    if ids[row, 1] in (FCIO, FCIO_CONFIG) and size > 16 and -10 <= word(data, at + 12) < 0:
        return True  # it begins as it should; what follows may be damaged
    if size <= 0 or not _is_sound(data, at, size, ids[row, 1]):
        return size == PAST and _resync(data, at + 1, stop, ids) == stop
    return (ids[row, 1] != OTHER and ids[row, 1] != RUN) or _may_start(data, at + size, stop, ids)


@kernel_part
def _is_run_body(data: np.ndarray, at: int) -> bool:
    """Whether the words behind the first one of a run record at ``at`` are possible: flags, and a time."""
    return word(data, at + 4) & 0xFFC0 == 0 and word(data, at + 12) > EARLIEST


@kernel_part
def _is_headless(data: np.ndarray, at: int, size: int, ids: np.ndarray) -> bool:
    """Whether what lies at ``at``, behind a packet of ``size`` bytes, is as long as a packet whose start is damaged."""
    n_bytes = _resync(data, at + 1, len(data), ids) - at
    if n_bytes == size or (n_bytes == 16 and _is_run_body(data, at)):
        return True
    row = _which(data, at, ids) if at + 4 <= len(data) else -1
    if row >= 0 and _size(data, at, len(data), ids[row, 1]) == n_bytes:  # its start is sound, what follows is not
        return True
    for row in range(len(ids)):
        kind = ids[row, 1]
        is_telling = kind in (WAVEFORM, FCIO, FCIO_CONFIG) or kind >= FIRST_CARD
        if is_telling and n_bytes >= 16 and _is_sound(data, at, n_bytes, kind):
            return True
    return False


@kernel_part
def _ends_in_run_record(data: np.ndarray, start: int, end: int, ids: np.ndarray) -> bool:
    """Whether a packet swallowed a run record: its last 16 bytes are one beyond doubt."""
    at = end - 16
    row = _which(data, at, ids) if at > start else -1
    return row >= 0 and ids[row, 1] == RUN and word(data, at) & 0x3FFFF == 4 and _is_run_body(data, at)


@kernel_part
def _is_complete(data: np.ndarray, pos: int, end: int, kind: int, ids: np.ndarray) -> bool:
    """Whether a sound packet neither lost bytes nor was given some.

    One that lost bytes reaches into the one behind it, which is then found inside. If there is no other behind it:
    were bytes put in front of the next packet, or into this one? Packets with a mark at their end can tell.
    """
    # up to 3 bytes may be left of a run record that a packet at the end of the file swallowed
    last = end if len(data) - end >= 4 else len(data)
    if kind != RUN and _ends_in_run_record(data, pos, last, ids):
        return False
    if end != len(data) and _is_next(data, end, ids):
        return True
    if _resync(data, pos + 4, end, ids) != end:
        return False
    is_marked = kind in (RUN, LISTENER_CONFIG, FCIO_CONFIG, HEADER, SIS3302)
    if kind == FCIO and not _ends_in_samples(data, pos + 12, end):
        is_marked = True
    return end == len(data) or is_marked or _is_headless(data, end, end - pos, ids)


@kernel_part
def _step(data: np.ndarray, ids: np.ndarray, packets: np.ndarray, cursor: np.ndarray) -> None:
    """Index what starts at the cursor: a packet or a gap."""
    pos, stop = cursor[C_POS], len(data)
    row = _which(data, pos, ids) if pos + 4 <= stop else -1
    kind = ids[row, 1] if row >= 0 else OTHER
    size = BAD
    if row >= 0:
        size = _size(data, pos, stop, kind)
    entry, end = GAP, pos + size
    is_followed = size > 0 and _may_start(data, end, stop, ids)
    is_sound = size > 0 and _is_sound(data, pos, size, kind) and (kind != OTHER or is_followed)
    if is_sound and (kind == OTHER or _is_complete(data, pos, end, kind, ids)):
        entry = row
    elif not is_followed:
        end = _resync(data, pos + 1, stop, ids)
        if end == stop and (size == PAST or pos + 4 > stop):
            entry = TAIL
    else:
        end = _resync(data, pos + 1, end, ids)
    n = cursor[C_PACKETS]
    packets[n, ID], packets[n, START], packets[n, STOP], packets[n, NUMBER] = entry, pos, end, cursor[C_NUMBER]
    cursor[C_PACKETS] += 1
    cursor[C_NUMBER] += 1
    cursor[C_POS] = end


@jit(f"void({BYTES}, {LONGS}, {LONGS}, int64[::1])")
def _index(data: np.ndarray, ids: np.ndarray, packets: np.ndarray, cursor: np.ndarray) -> None:
    """Index packets from the cursor on until one changes the meaning of others, a limit, or the end of the file."""
    begun = cursor[C_POS]
    while cursor[C_POS] < len(data) and cursor[C_PACKETS] < len(packets):
        if cursor[C_POS] - begun >= cursor[C_MAX_BYTES] or cursor[C_MAX_EVENTS] <= 0:
            return
        _step(data, ids, packets, cursor)
        last = packets[cursor[C_PACKETS] - 1, ID]
        if last >= 0:
            kind = ids[last, 1]
            cursor[C_MAX_EVENTS] -= 1 if kind in (WAVEFORM, FCIO) or kind >= FIRST_CARD else 0
            if kind in (HEADER, LISTENER_CONFIG, FCIO_CONFIG):
                return


@dataclass(frozen=True, eq=False)
class Packets:
    """Packets of a piece, (n,) each: row of ``ids`` (or GAP, TAIL), first byte, last + 1, number in the file."""

    row: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    number: np.ndarray

    def pick(self, chosen: np.ndarray | slice) -> Packets:
        """Return the packets at these places, or of this mask."""
        return Packets(self.row[chosen], self.start[chosen], self.stop[chosen], self.number[chosen])

    def __len__(self) -> int:
        return len(self.row)


class Walker:
    """Walks the packets of a file piece by piece."""

    def __init__(self, data: np.ndarray) -> None:
        self._data = data
        self._cursor = np.zeros(5, np.int64)
        self._packets = np.empty((PACKETS_ROOM, 4), np.int64)

    def next(self, ids: np.ndarray, max_bytes: int, max_events: int) -> Packets | None:
        """Index the next piece; None at the end. ``ids`` (n_ids, 2) int64: packet id at its bit position, kind."""
        cursor = self._cursor
        cursor[C_PACKETS], cursor[C_MAX_BYTES], cursor[C_MAX_EVENTS] = 0, max_bytes, max_events
        _index(self._data, ids, self._packets, cursor)
        n = int(cursor[C_PACKETS])
        return Packets(*self._packets[:n].T.copy()) if n else None
