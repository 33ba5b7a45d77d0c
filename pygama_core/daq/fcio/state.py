"""Times of FCIO events: clock, run, life and dead time of every channel, as one compiled pass in file order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pygama_core.accelerate import jit, kernel_part
from pygama_core.daq.gather import word

INDEPENDENT_CARDS = 11  # event type: cards trigger on their own
TICK = 4  # [ns]
SECOND = 1_000_000_000  # [ns]
QUEUE = 64  # dead intervals a channel can have ahead of its events
UNKNOWN = -1

# rows of the per-channel state
ENABLE, DEAD, INTERVAL, HEAD, COUNT = range(5)
# an event's clock words
OFFSET, STAMP, REGION = range(3)
N_WORDS = 10


@kernel_part
def _pop(channel: int, now: int, state: np.ndarray, queue: np.ndarray) -> None:
    """Account the channel's queued dead intervals that have ended by ``now``."""
    while state[COUNT, channel] > 0:
        slot = state[HEAD, channel] % QUEUE
        if queue[channel, slot, 1] >= now:
            return
        state[INTERVAL, channel] = queue[channel, slot, 1] - queue[channel, slot, 0]
        state[DEAD, channel] += state[INTERVAL, channel]
        state[HEAD, channel] += 1
        state[COUNT, channel] -= 1


@kernel_part
def _push(channel: int, start: int, stop: int, state: np.ndarray, queue: np.ndarray) -> None:
    """Queue a dead interval of the channel unless it is known already."""
    last = (state[HEAD, channel] + state[COUNT, channel] - 1) % QUEUE
    if stop <= queue[channel, last, 1]:
        return
    if state[COUNT, channel] == QUEUE:  # cannot wait for its end any longer
        _pop(channel, queue[channel, state[HEAD, channel] % QUEUE, 1] + 1, state, queue)
    slot = (state[HEAD, channel] + state[COUNT, channel]) % QUEUE
    queue[channel, slot, 0], queue[channel, slot, 1] = start, stop
    state[COUNT, channel] += 1


@kernel_part
def _enable_time(timeoffset: np.ndarray, start: int, stop: int, known: int) -> int:
    """Return when a channel's trigger was enabled, as told by the event that holds it first."""
    if known != UNKNOWN:
        return known
    if start == 0 and stop > 0:
        return stop
    if start == 0 and stop == 0:
        return SECOND * int(timeoffset[5]) + 1000 * int(timeoffset[6])
    return UNKNOWN


@kernel_part
def _advance(time: np.ndarray, first: int, last: int, state: np.ndarray, queue: np.ndarray) -> None:
    """Bring the channels ``first`` ... ``last`` - 1 that take part in an event to its time."""
    now = SECOND * int(time[STAMP, 1]) + TICK * int(time[STAMP, 2])
    start = SECOND * int(time[REGION, 0]) + TICK * int(time[REGION, 1])
    stop = SECOND * int(time[REGION, 2]) + TICK * int(time[REGION, 3])
    n_channels = state.shape[1]
    for channel in range(first, last):
        state[ENABLE, channel] = _enable_time(time[OFFSET], start, stop, state[ENABLE, channel])
    if start > 0:
        affected = max(int(time[REGION, 5]), 0)
        for channel in range(affected, min(affected + int(time[REGION, 6]), n_channels)):
            _push(channel, start, stop, state, queue)
    for channel in range(first, last):
        state[INTERVAL, channel] = 0
        _pop(channel, now + TICK, state, queue)


@jit("void(int32[:, :, ::1], int64[::1], int64[:, ::1], int64[:, ::1], int64[:, :, ::1], int64[:, ::1])")
def _account(
    times: np.ndarray, types: np.ndarray, rows: np.ndarray, state: np.ndarray, queue: np.ndarray, out: np.ndarray
) -> None:
    r = 0
    n_channels = state.shape[1]
    for i in range(len(times)):
        first, last = 0, n_channels
        if types[i] == INDEPENDENT_CARDS:
            first = min(max(int(times[i, REGION, 5]), 0), n_channels)
            last = min(first + max(int(times[i, REGION, 6]), 0), n_channels)
        _advance(times[i], first, last, state, queue)
        while r < len(rows) and rows[r, 0] == i:
            channel = rows[r, 1]
            out[r, 0], out[r, 1] = state[ENABLE, channel], state[DEAD, channel]
            out[r, 2] = state[INTERVAL, channel]
            r += 1


@jit(
    "void(Array(uint8, 1, 'C', True), int64[:, :, ::1], boolean[::1], int64, int32[:, ::1], int32[:, :, ::1])",
)
def _read_times(
    data: np.ndarray, places: np.ndarray, is_full: np.ndarray, n_traces: int, carried: np.ndarray, out: np.ndarray
) -> None:
    for i in range(len(places)):
        for part in range(3):
            at, n_words = places[i, part, 0], min(places[i, part, 1] // 4, carried.shape[1])
            for k in range(n_words):
                carried[part, k] = word(data, at + 4 * k)
        if is_full[i]:
            carried[REGION, 5], carried[REGION, 6] = 0, n_traces
        out[i] = carried


@dataclass(frozen=True, eq=False)
class EventTimes:
    """Clock words of (n_events,) records: (n_events, 3, 10) int32 of offset, stamp, region; sizes [bytes] of region."""

    words: np.ndarray
    region_sizes: np.ndarray

    @property
    def fpga(self) -> np.ndarray:
        """Time since the start of the clock, (n_events,) int64 [ns]."""
        stamp = self.words[:, STAMP].astype(np.int64)
        return SECOND * stamp[:, 1] + TICK * stamp[:, 2]

    def unix(self, gps: int) -> np.ndarray:
        """Time since the epoch, (n_events,) float64 [s]: integer nanoseconds rounded once, then divided."""
        offset = self.words[:, OFFSET].astype(np.int64)
        shift = SECOND * offset[:, 2] if gps else SECOND * offset[:, 0] + 1000 * offset[:, 1]
        seconds: np.ndarray = (self.fpga + shift).astype(np.float64) / 1e9
        return seconds


@dataclass(frozen=True, eq=False)
class ChannelTimes:
    """Times of (n_rows,) traces: run, life, dead float64 [s] since trigger enable; interval int64 [ns]."""

    runtime: np.ndarray
    lifetime: np.ndarray
    deadtime: np.ndarray
    deadinterval: np.ndarray


class StreamState:
    """What of a stream's past its next records depend on."""

    def __init__(self, n_traces: int) -> None:
        self._carried = np.zeros((3, N_WORDS), np.int32)
        self._state = np.zeros((5, n_traces), np.int64)
        self._state[ENABLE] = UNKNOWN
        self._queue = np.zeros((n_traces, QUEUE, 2), np.int64)

    def read_times(self, data: np.ndarray, places: np.ndarray, is_full: np.ndarray) -> EventTimes:
        """Read the clock words of event records in file order.

        Parameters
        ----------
        data : the bytes
        places : (n_events, 3, 2) int64 offset and size of the timeoffset, timestamp and deadregion frames; words a
            frame is too short for keep the value of the event before
        is_full : (n_events,) bool: an Event with all channels, which the dead region then concerns
        """
        out = np.empty((len(places), 3, N_WORDS), np.int32)
        _read_times(data, np.ascontiguousarray(places), is_full, self._state.shape[1], self._carried, out)
        return EventTimes(out, places[:, REGION, 1])

    def account(self, times: EventTimes, types: np.ndarray, rows: np.ndarray) -> ChannelTimes:
        """Return the times of traces and remember the dead time.

        Parameters
        ----------
        times, types : clock words and types of the events
        rows : (n_rows, 2) int64 event and trace number of each row, events ascending
        """
        out = np.zeros((len(rows), 3), np.int64)
        _account(times.words, types.astype(np.int64), np.ascontiguousarray(rows), self._state, self._queue, out)
        run = times.fpga[rows[:, 0]] - out[:, 0]
        return ChannelTimes(run / 1e9, (run - out[:, 1]) / 1e9, out[:, 1] / 1e9, out[:, 2])
