"""Write FlashCam (FCIO) streams record by record.

Every function returns the bytes of one whole message, so that they can be put into a ``.fcio`` file or an ORCA
packet. Layout and field order: FCIO 0.9 (``shared/formats/fcio.md``); all words are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PROTOCOL_TAG = -1000000001
PROTOCOL_NAME = b"FlashCamV1"
CONFIG, EVENT, STATUS, REC_EVENT, SPARSE_EVENT, EVENT_HEADER = 1, 3, 4, 5, 6, 7
MAX_TICKS = 249_999_999  # a 250 MHz counter, restarted each second
TICK = 4  # [ns]
TRACE_HEADER_WORDS = 2  # FPGA baseline and FPGA energy precede the samples
CARD_STATUS_BYTES = 1180
N_ENVIRONMENT = 16
MASTER_REQUEST, ADC_REQUEST = 0, 0x2000


@dataclass(frozen=True)
class FcioConfig:
    """A Config record; old firmware writes fewer frames (11: no stream id, 10: no trace map either)."""

    tracemap: tuple[int, ...]  # (card address << 16) | input, one per trace
    n_samples: int
    streamid: int = 1
    adcbits: int = 16  # 16: 62.5 MHz, 6 inputs per card; 12: 250 MHz, 24 inputs per card
    sumlength: int = 1
    blprecision: int = 1
    gps: int = 0
    triggers: int = 0
    mastercards: int = 1
    adccards: int | None = None  # None: as many as the trace map names
    n_frames: int = 12

    @property
    def n_adcs(self) -> int:
        """Number of ADC traces: all but the trigger traces, which come last."""
        return len(self.tracemap) - self.triggers

    @property
    def n_cards(self) -> int:
        """Number of ADC cards."""
        if self.adccards is not None:
            return self.adccards
        return len({entry >> 16 for entry in self.tracemap[: self.n_adcs]})

    def words(self) -> list[int]:
        """Return the ten integers that begin every Config record."""
        head = [self.n_adcs, self.triggers, self.n_samples, self.blprecision, self.sumlength, self.adcbits]
        return [*head, self.mastercards, 0, self.n_cards, self.gps]


@dataclass(frozen=True)
class EventTimes:
    """What precedes the traces in each event record; the arrays may have up to ten words."""

    timestamp: tuple[int, ...]  # event number, pps, ticks, maxticks, 0
    timeoffset: tuple[int, ...] = (0,) * 10
    deadregion: tuple[int, ...] = (0, 0, 0, 0, MAX_TICKS)
    event_type: int = 1  # 1: common trigger, 11: cards trigger on their own
    pulser: float = 0.0


@dataclass(frozen=True)
class CardStatus:
    """The slow-control values of one card."""

    reqid: int
    eventno: int = 0
    pps: int = 0
    ticks: int = 0
    environment: tuple[int, ...] = ()  # at most 16; 0-4 mC, 5-10 mV, 11 mA, 12 per mille, 13-14 mC
    errors: tuple[int, int, int, int] = (0, 0, 0, 0)  # total, environment, cti, link


def frame(payload: bytes) -> bytes:
    """Prefix a payload with its length."""
    return struct.pack("<i", len(payload)) + payload


def message(tag: int, frames: Sequence[bytes]) -> bytes:
    """Return the start word of record ``tag`` and its frames."""
    return struct.pack("<i", -tag) + b"".join(map(frame, frames))


def protocol() -> bytes:
    """Return the marker that begins a stream."""
    return struct.pack("<i64s", PROTOCOL_TAG, PROTOCOL_NAME)


def config(settings: FcioConfig) -> bytes:
    """Return a Config record."""
    frames = [_int(word) for word in settings.words()]
    frames += [np.asarray(settings.tracemap, "<u4").tobytes(), _int(settings.streamid)]
    return message(CONFIG, frames[: settings.n_frames])


def event(times: EventTimes, traces: np.ndarray) -> bytes:
    """Return an Event record: every trace, (adcs + triggers, 2 + n_samples) uint16."""
    return message(EVENT, [*_time_frames(times), _words(traces), _ints(times.deadregion)])


def sparse_event(times: EventTimes, indices: Sequence[int] | np.ndarray, traces: np.ndarray) -> bytes:
    """Return a SparseEvent record: traces (n, 2 + n_samples) uint16 of the n trace-map indices."""
    body = [_ints(times.deadregion), _int(len(indices)), _words(indices), *map(_words, traces)]
    return message(SPARSE_EVENT, [*_time_frames(times), *body])


def event_header(times: EventTimes, indices: Sequence[int], headers: np.ndarray, *, with_count: bool = False) -> bytes:
    """Return an EventHeader record: headers (n, 2) uint16 of the n traces, without samples.

    ``with_count`` writes the early form, which has the number of traces as a frame of its own.
    """
    count = [_int(len(indices))] if with_count else []
    body = [_ints(times.deadregion), *count, _words(indices), _words(headers)]
    return message(EVENT_HEADER, [*_time_frames(times), *body])


def rec_event(times: EventTimes, pulses: Sequence[Sequence[tuple[int, float, float]]]) -> bytes:
    """Return a RecEvent record: the (flags, amplitude, time) of every pulse of each ADC channel."""
    counts = [len(of_channel) for of_channel in pulses]
    flags, amplitudes, moments = np.array([pulse for of_channel in pulses for pulse in of_channel]).reshape(-1, 3).T
    body = [_ints(times.deadregion), _int(sum(counts)), _ints(counts), flags.astype("<i4").tobytes()]
    body += [amplitudes.astype("<f4").tobytes(), moments.astype("<f4").tobytes()]
    return message(REC_EVENT, [*_time_frames(times), *body])


def status(statustime: Sequence[int], cards: Sequence[CardStatus], *, is_ok: bool = True) -> bytes:
    """Return a Status record; ``statustime`` is FPGA s, us, server s, us, 0, start s, us, ... (up to ten words)."""
    words = list(statustime) + [0] * (10 - len(statustime))
    head = [_int(int(is_ok)), _ints(words), _int(len(cards)), _int(CARD_STATUS_BYTES)]
    return message(STATUS, head + [_card(card) for card in cards])


def trace_map_entry(address: int, adc_input: int) -> int:
    """Return the trace-map word of one input of a card."""
    return address << 16 | adc_input


def clock(nanoseconds: int) -> tuple[int, int]:
    """Split an FPGA time [ns] into whole seconds (pps) and 4 ns ticks."""
    seconds, rest = divmod(int(nanoseconds), 1_000_000_000)
    return seconds, rest // TICK


def _card(card: CardStatus) -> bytes:
    head = [card.reqid, 0, card.eventno, card.pps, card.ticks, MAX_TICKS, len(card.environment), 0, 0, 0]
    environment = list(card.environment) + [0] * (N_ENVIRONMENT - len(card.environment))
    tail = bytes(CARD_STATUS_BYTES - 4 * (len(head) + len(card.errors) + 5 + N_ENVIRONMENT))  # link states
    other_errors = [0] * 5
    unsigned = np.asarray([*head, *card.errors, *other_errors], "<u4").tobytes()
    return unsigned + _ints(environment) + tail


def _time_frames(times: EventTimes) -> list[bytes]:
    pulser = struct.pack("<f", times.pulser)
    return [_int(times.event_type), pulser, _ints(times.timeoffset), _ints(times.timestamp)]


def _int(value: int) -> bytes:
    return struct.pack("<i", value)


def _ints(values: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(values)}i", *values)


def _words(values: Sequence[int] | np.ndarray) -> bytes:
    return np.asarray(values, "<u2").tobytes()
