"""The framing of an FCIO stream as one compiled pass: where records and their frames lie, and what is damaged.

A stream is a sequence of 32-bit words: a negative one starts a record of that tag, another one is the size of the frame
of bytes that follows. A record is taken only if its frames fit its signature and the configuration.
"""

# mypy: disable-error-code="no-any-return"
# (a compiled function returns Any, as far as mypy knows)

from __future__ import annotations

import numpy as np

from pygama_core.accelerate import jit, kernel_part
from pygama_core.daq.fcio.constants import (
    C_FRAMES,
    C_MAX_BYTES,
    C_MAX_EVENTS,
    C_POS,
    C_RANGE,
    C_RECORDS,
    C_SCAN,
    C_STOP,
    C_TAKEN,
    CALIB,
    CONFIG,
    EVENT,
    EVENT_HEADER,
    FIRST_FRAME,
    FSP_CONFIG,
    FSP_EVENT,
    FSP_STATUS,
    GAP,
    LAST_TAG,
    MARKER,
    MARKER_BYTES,
    MAX_TRACES,
    N_FRAMES,
    PAST,
    RANGE,
    REC_EVENT,
    SPARSE_EVENT,
    START,
    STATUS,
    STOP,
    SURPLUS,
    TAG,
    TAIL,
)
from pygama_core.daq.fcio.signature import read_frames, read_record
from pygama_core.daq.gather import BYTES, word

FRAMES = "int64[:, ::1]"


@kernel_part
def _is_marker(data: np.ndarray, at: int, stop: int) -> bool:
    if at + MARKER_BYTES > stop or word(data, at) != MARKER:
        return False
    name = b"FlashCamV1"
    n_equal = 0
    for i in range(10):
        n_equal += data[at + 4 + i] == name[i]
    return n_equal == 10


@kernel_part
def _after_surplus(data: np.ndarray, at: int, stop: int) -> int:
    """Return where the frames from ``at`` on end at a known tag, a marker or ``stop``; else -1 - that place."""
    while at + 4 <= stop:
        size = word(data, at)
        if -LAST_TAG <= size < 0 or _is_marker(data, at, stop):
            return at
        if size < 0 or size > stop - at - 4:
            return -1 - at
        at += 4 + size
    return at


@kernel_part
def _resync(data: np.ndarray, at: int, until: int, sizes: np.ndarray, frames: np.ndarray, cursor: np.ndarray) -> int:
    """Return the first of the bytes ``at`` ... where a record or marker starts beyond doubt, or ``until``."""
    stop = cursor[C_STOP]
    for p in range(at, min(until, stop - 3)):
        if data[p + 3] == 0xFF:
            if data[p + 1] != 0xFF or data[p + 2] != 0xFF or data[p] < 256 - LAST_TAG or data[p] == 256 - CALIB:
                continue
            end = read_record(data, p, stop, sizes, frames, cursor)
            if end > 0:
                tag = 256 - data[p]  # the size of its traces makes an event unmistakable
                if tag in (EVENT, SPARSE_EVENT) or _after_surplus(data, end, stop) >= 0:
                    return p
        elif data[p] == 0xFF and _is_marker(data, p, stop):
            return p
    return until


@kernel_part
def _append(records: np.ndarray, cursor: np.ndarray, tag: int, start: int, stop: int) -> None:
    row = cursor[C_RECORDS]
    records[row, TAG], records[row, START], records[row, STOP] = tag, start, stop
    records[row, FIRST_FRAME], records[row, RANGE] = cursor[C_FRAMES], cursor[C_RANGE]
    records[row, N_FRAMES] = 0
    cursor[C_RECORDS] = row + 1
    cursor[C_POS] = stop
    if 1 <= tag <= LAST_TAG:
        records[row, N_FRAMES] = cursor[C_TAKEN]
        cursor[C_FRAMES] += cursor[C_TAKEN]


@kernel_part
def _is_padding(data: np.ndarray, at: int, stop: int) -> bool:
    """Whether the bytes are a few empty frames, as ORCA's padding gives, and not e.g. a zeroed record."""
    if stop - at > 16:
        return False
    bits = 0
    for i in range(at, stop):
        bits |= data[i]
    return bits == 0


@kernel_part
def _skip_damage(
    data: np.ndarray, sizes: np.ndarray, records: np.ndarray, frames: np.ndarray, cursor: np.ndarray
) -> None:
    """Index the bytes from the cursor to the next record as a gap, or as a cut tail if none follows."""
    pos, stop = cursor[C_POS], cursor[C_STOP]
    runs_past = pos + 4 > stop
    if not runs_past:
        value = word(data, pos)
        if value == MARKER:
            runs_past = pos + MARKER_BYTES > stop
        elif -LAST_TAG <= value < 0:
            runs_past = read_record(data, pos, stop, sizes, frames, cursor) == PAST
    following = stop
    if cursor[C_SCAN]:
        following = _resync(data, pos + 1, stop, sizes, frames, cursor)
    _append(records, cursor, TAIL if runs_past and following == stop and cursor[C_SCAN] else GAP, pos, following)


@kernel_part
def _is_cut_tag(data: np.ndarray, at: int, stop: int) -> bool:
    """Whether fewer than 4 bytes that may be left at the end of the file are the start of a tag or marker."""
    n = stop - at
    if n >= 4 or n <= 0:
        return True
    is_tag = data[at] >= 256 - LAST_TAG
    is_marker = True
    for i in range(n):
        is_tag = is_tag and (i == 0 or data[at + i] == 0xFF)
        is_marker = is_marker and data[at + i] == (MARKER >> 8 * i & 0xFF)
    return is_tag or is_marker


@kernel_part
def _is_tagless(
    data: np.ndarray, at: int, size: int, sizes: np.ndarray, frames: np.ndarray, cursor: np.ndarray
) -> bool:
    """Whether what lies at ``at``, behind a record of ``size`` bytes, is as long as a record whose start is damaged."""
    stop, n_frames = cursor[C_STOP], cursor[C_TAKEN]
    following = _resync(data, at + 1, stop, sizes, frames, cursor)
    for tag in (EVENT, STATUS, SPARSE_EVENT, EVENT_HEADER, FSP_EVENT, FSP_STATUS):
        if read_frames(data, tag, at, stop, sizes, frames, cursor) == following:
            return True
    # each trace of a sparse event takes its samples, FPGA words, size and place in the list
    per_trace = 2 * (sizes[0] + 2) + 6
    least = size - (n_frames - 7) * per_trace
    return following - at >= least and (following - at - least) % per_trace == 0


@kernel_part
def _is_whole(data: np.ndarray, pos: int, end: int, sizes: np.ndarray, frames: np.ndarray, cursor: np.ndarray) -> bool:
    """Whether the record from ``pos`` to ``end``, with no other behind it, neither lost bytes nor was given some.

    If bytes are missing in it, its last frame reaches into the record behind, which is then found inside.
    """
    first, n_frames = cursor[C_FRAMES], cursor[C_TAKEN]
    cursor[C_FRAMES] = first + n_frames  # leaves the record's own list of frames as it is
    is_whole = _resync(data, pos + 4, end, sizes, frames, cursor) == end
    if is_whole and word(data, pos) in (-SPARSE_EVENT, -EVENT_HEADER):
        # nothing but samples at its end: were the bytes put in front of the next record, or into this one?
        cursor[C_TAKEN] = n_frames
        is_whole = _is_tagless(data, end, end - pos, sizes, frames, cursor)
    cursor[C_FRAMES], cursor[C_TAKEN] = first, n_frames
    return is_whole


@kernel_part
def _take_record(
    data: np.ndarray, sizes: np.ndarray, records: np.ndarray, frames: np.ndarray, cursor: np.ndarray
) -> bool:
    """Index the record at the cursor, if there is one, and what follows it up to the next."""
    pos, stop = cursor[C_POS], cursor[C_STOP]
    if pos + 4 > stop:
        return False
    tag = -word(data, pos)
    if tag <= 0 or tag >= -MARKER:
        return False
    if tag > LAST_TAG:
        end = _after_surplus(data, pos + 4, stop)
        if end > 0:
            _append(records, cursor, tag, pos, end)
        return end > 0
    end = read_record(data, pos, stop, sizes, frames, cursor)
    if end < 0:
        return False
    following = _after_surplus(data, end, stop)
    is_followed = following == end and (cursor[C_SCAN] == 0 or _is_cut_tag(data, end, stop))
    if not is_followed and not _is_whole(data, pos, end, sizes, frames, cursor):
        return False
    _append(records, cursor, tag, pos, end)
    if following > end:
        if tag != CALIB and tag != REC_EVENT and not _is_padding(data, end, following):
            _append(records, cursor, SURPLUS, end, following)
        cursor[C_POS] = following
    return True


@kernel_part
def _step(data: np.ndarray, sizes: np.ndarray, records: np.ndarray, frames: np.ndarray, cursor: np.ndarray) -> None:
    """Index what starts at the cursor: a marker, padding, a record, or a gap."""
    pos, stop = cursor[C_POS], cursor[C_STOP]
    if _is_marker(data, pos, stop):
        cursor[C_POS] = pos + MARKER_BYTES
    elif cursor[C_SCAN] == 0 and _is_padding(data, pos, stop):
        cursor[C_POS] = stop
    elif not _take_record(data, sizes, records, frames, cursor):
        _skip_damage(data, sizes, records, frames, cursor)


@kernel_part
def _must_stop(last: int, begun: int, records: np.ndarray, frames: np.ndarray, cursor: np.ndarray) -> bool:
    """Whether the pass has taken what it may take. A record of the software trigger stays with the one behind it."""
    room = min(len(records) - cursor[C_RECORDS], (len(frames) - cursor[C_FRAMES]) // (2 * MAX_TRACES))
    if FSP_CONFIG <= last <= FSP_STATUS:
        return room < 4
    is_over = cursor[C_SCAN] and cursor[C_RECORDS] > 0 and cursor[C_POS] - begun >= cursor[C_MAX_BYTES]
    return room < 8 or is_over or cursor[C_MAX_EVENTS] <= 0


@jit(f"void({BYTES}, {FRAMES}, int64[::1], {FRAMES}, {FRAMES}, int64[::1])")
def index_records(
    data: np.ndarray,
    ranges: np.ndarray,
    sizes: np.ndarray,
    records: np.ndarray,
    frames: np.ndarray,
    cursor: np.ndarray,
) -> None:
    """Index records from the cursor on until a Config was met, a limit is reached, or the ranges are exhausted."""
    begun = max(cursor[C_POS], 0)
    last = 0
    while cursor[C_RANGE] < len(ranges):
        cursor[C_STOP] = ranges[cursor[C_RANGE], 1]
        if cursor[C_POS] < 0:
            cursor[C_POS] = ranges[cursor[C_RANGE], 0]
        if cursor[C_POS] >= cursor[C_STOP]:
            cursor[C_RANGE] += 1
            cursor[C_POS] = -1
            continue
        if _must_stop(last, begun, records, frames, cursor):
            return
        n_before = cursor[C_RECORDS]
        _step(data, sizes, records, frames, cursor)
        if cursor[C_RECORDS] > n_before:
            last = records[n_before, TAG]
            cursor[C_MAX_EVENTS] -= 1 if last in (EVENT, SPARSE_EVENT, EVENT_HEADER) else 0
            if last == CONFIG:
                return
