"""What the frames of each FCIO record must look like: the check that tells records from damage."""

# mypy: disable-error-code="no-any-return"
# (a compiled function returns Any, as far as mypy knows)

from __future__ import annotations

import numpy as np

from pygama_core.accelerate import kernel_part
from pygama_core.daq.fcio.constants import (
    BAD,
    C_FRAMES,
    C_TAKEN,
    CONFIG,
    EVENT,
    EVENT_HEADER,
    FSP_CONFIG,
    FSP_EVENT,
    FSP_STATUS,
    MAX_CARD_BYTES,
    MAX_CARDS,
    MAX_SAMPLES,
    MAX_TRACES,
    MIN_CARD_BYTES,
    N_TIME_WORDS,
    PAST,
    REC_EVENT,
    SPARSE_EVENT,
    STATUS,
)
from pygama_core.daq.gather import word


@kernel_part
def _is_time(size: int) -> bool:
    return 4 <= size <= 4 * N_TIME_WORDS and size % 4 == 0


@kernel_part
def _are_traces(data: np.ndarray, at: int, size: int, n_traces: int) -> bool:
    """Whether a frame is a list of trace indices of the configuration."""
    if size % 2 != 0 or n_traces < 0:
        return False
    largest = -1
    for i in range(at, at + size, 2):
        largest = max(largest, int(data[i]) + 256 * int(data[i + 1]))
    return largest < n_traces


@kernel_part
def _fits_event(data: np.ndarray, tag: int, k: int, at: int, size: int, sizes: np.ndarray) -> bool:
    """Whether frame ``k`` of an Event, SparseEvent, EventHeader or RecEvent can be what it must be."""
    n_samples, n_traces = sizes[0], sizes[1]
    if k < 2:
        return size == 4
    if k < 4:
        return _is_time(size)
    if tag == EVENT:
        return _is_time(size) if k == 5 else n_traces > 0 and size == 2 * n_traces * (n_samples + 2)
    if k == 4:
        return _is_time(size)
    if tag == SPARSE_EVENT:
        if k == 5:
            return size == 4 and 0 <= word(data, at) <= n_traces
        return _are_traces(data, at, size, n_traces) if k == 6 else size == 2 * (n_samples + 2)
    if tag == REC_EVENT:
        return size == (4 if k == 5 else 4 * sizes[2]) if k < 7 else size % 4 == 0
    return size % 2 == 0  # EventHeader: its lists are checked together


@kernel_part
def _fits_fsp_event(k: int, size: int) -> bool:
    if k == 0:
        return size == 24
    if k == 1:
        return size == 24 or size == 32
    if k == 2:
        return size == 4
    if k == 3:
        return size == 8 or size == 12
    if k == 4:
        return size == 20
    return size % 2 == 0 if k == 6 or k == 10 else size % 4 == 0


@kernel_part
def _fits_fsp_config(k: int, size: int) -> bool:
    if k < 7:
        return size % 4 == 0
    if k == 7:
        return size == 24
    if k < 15 or k == 17 or k == 18:
        return size == 8
    return size == 4 if k == 16 else True


@kernel_part
def _fits_status(data: np.ndarray, k: int, at: int, size: int) -> bool:
    if k == 1:
        return _is_time(size)
    if k > 3:
        return True  # compared with the size in frame 3 by the caller
    if size != 4:
        return False
    value = word(data, at)
    if k == 2:
        return 0 <= value <= MAX_CARDS
    return k != 3 or MIN_CARD_BYTES <= value <= MAX_CARD_BYTES


@kernel_part
def _fits(data: np.ndarray, tag: int, k: int, at: int, size: int, sizes: np.ndarray) -> bool:
    if tag == CONFIG:
        return size == 4 or k == 10  # the trace map
    if tag == STATUS:
        return _fits_status(data, k, at, size)
    if tag == FSP_CONFIG:
        return _fits_fsp_config(k, size)
    if tag == FSP_EVENT:
        return _fits_fsp_event(k, size)
    if tag == FSP_STATUS:
        return size == 112
    return _fits_event(data, tag, k, at, size, sizes)


@kernel_part
def _least_frames(tag: int) -> int:
    """Frames a record of this tag has at least."""
    if tag in (CONFIG, FSP_EVENT):
        return 10
    if tag == EVENT:
        return 6
    if tag in (SPARSE_EVENT, EVENT_HEADER):
        return 7
    if tag == STATUS:
        return 4
    if tag == REC_EVENT:
        return 10
    if tag == FSP_CONFIG:
        return 48
    return 1 if tag == FSP_STATUS else 0


@kernel_part
def _config_is_sane(data: np.ndarray, frames: np.ndarray, first: int) -> bool:
    adcs, triggers = word(data, frames[first, 0]), word(data, frames[first + 1, 0])
    samples, precision = word(data, frames[first + 2, 0]), word(data, frames[first + 3, 0])
    sane = adcs >= 0 and triggers >= 0 and 1 <= adcs + triggers <= MAX_TRACES
    return sane and 0 <= samples <= MAX_SAMPLES and precision >= 0


@kernel_part
def _header_frames(data: np.ndarray, frames: np.ndarray, first: int, next_size: int, sizes: np.ndarray) -> int:
    """Return the number of frames of an EventHeader of which 7 are read, or BAD.

    Early writers put the number of traces in front of the list; two traces make the sizes of both forms equal.
    """
    at, size, size_after = frames[first + 5, 0], frames[first + 5, 1], frames[first + 6, 1]
    is_told = size == 4 and word(data, at) * 2 == size_after and next_size == 2 * size_after
    if is_told and _are_traces(data, frames[first + 6, 0], size_after, sizes[1]):
        return 8
    return 7 if size_after == 2 * size and _are_traces(data, at, size, sizes[1]) else BAD


@kernel_part
def _more_frames(data: np.ndarray, tag: int, frames: np.ndarray, first: int, next_size: int, sizes: np.ndarray) -> int:
    """Return how many frames a record has whose first ones are read; BAD if these contradict each other."""
    if tag == SPARSE_EVENT:
        n = word(data, frames[first + 5, 0])
        return 7 + n if frames[first + 6, 1] == 2 * n else BAD
    if tag == EVENT_HEADER:
        return _header_frames(data, frames, first, next_size, sizes)
    if tag == STATUS:
        return 4 + word(data, frames[first + 2, 0])
    if tag == CONFIG:
        if not _config_is_sane(data, frames, first):
            return BAD
        return 11 if 0 < next_size <= 4 * MAX_TRACES and next_size % 4 == 0 else 10
    if tag == FSP_EVENT:
        return 11 if next_size >= 0 and next_size % 2 == 0 else 10
    return _least_frames(tag)


@kernel_part
def _next_size(data: np.ndarray, at: int, stop: int) -> int:
    """Return the size of the frame at ``at``, or -1 if there is none that fits."""
    if at + 4 > stop:
        return -1
    size = word(data, at)
    return size if 0 <= size <= stop - at - 4 else -1


@kernel_part
def read_frames(  # noqa: PLR0913 (a compiled function cannot bundle its arguments)
    data: np.ndarray, tag: int, pos: int, stop: int, sizes: np.ndarray, frames: np.ndarray, cursor: np.ndarray
) -> int:
    """Check the frames behind the word at ``pos`` as those of a tag; list them from row ``cursor[C_FRAMES]`` on.

    Returns
    -------
    byte after its last frame; BAD if it is no record; PAST if it runs past ``stop``. The number of frames is
    left in ``cursor[C_TAKEN]``.
    """
    first, k, at = cursor[C_FRAMES], 0, pos + 4
    least = _least_frames(tag)
    needed = least
    while k < needed:
        if at + 4 > stop:
            return PAST
        size = word(data, at)
        if size < 0:
            return BAD
        if size > stop - at - 4:
            return PAST
        if not _fits(data, tag, k, at + 4, size, sizes):
            return BAD
        if tag == STATUS and k > 3 and size != word(data, frames[first + 3, 0]):
            return BAD
        frames[first + k, 0], frames[first + k, 1] = at + 4, size
        at, k = at + 4 + size, k + 1
        if k == least:
            needed = _more_frames(data, tag, frames, first, _next_size(data, at, stop), sizes)
        elif k == 11 and tag == CONFIG:
            needed = 12 if _next_size(data, at, stop) == 4 else 11
        if needed == BAD:
            return BAD
    cursor[C_TAKEN] = k
    return at


@kernel_part
def read_record(
    data: np.ndarray, pos: int, stop: int, sizes: np.ndarray, frames: np.ndarray, cursor: np.ndarray
) -> int:
    """Check the record whose tag is at ``pos``, see :func:`read_frames`."""
    return read_frames(data, -word(data, pos), pos, stop, sizes, frames, cursor)
