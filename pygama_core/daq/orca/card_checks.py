"""Whether a packet of a VME card agrees with itself, compiled."""

# mypy: disable-error-code="no-any-return"
# (a compiled function returns Any, as far as mypy knows)

from __future__ import annotations

import numpy as np

from pygama_core.accelerate import kernel_part
from pygama_core.daq.gather import word
from pygama_core.daq.llama.events import header_words

# kinds of packets, above those of pygama_core.daq.orca.packets
SIS3302, SIS3316, GRETINA = 16, 17, 18

TRAILER = 0xDEADBEEF
SIS3302_TAIL = 4  # words: energy, energy at the gate's start, flags, trailer
SIS3316_HEADER = 10  # words
GRETINA_HEADER, GRETINA_EVENT = 2, 1024  # words
GRETINA_MARK = 0xAAAAAAAA
GRETINA_SAMPLES_AT = 15  # word of an event
PRESORTED = 2020  # first value of a compressed trace: the number of its samples
N_GRETINA_CHANNELS = 10


@kernel_part
def _is_sis3302(data: np.ndarray, at: int, n_words: int) -> bool:
    if n_words < 6 + SIS3302_TAIL:
        return False
    place, n_raw, n_energy = word(data, at + 4), word(data, at + 8), word(data, at + 12)
    is_wrapped = place & 1
    n_header = 8 if is_wrapped else 6
    if n_raw < 0 or n_energy < 0 or n_words != n_header + n_raw + n_energy + SIS3302_TAIL:
        return False
    if (word(data, at + 16) ^ place >> 8) & 7:  # the ADC tells its channel too
        return False
    if is_wrapped and not 0 <= word(data, at + 28) < word(data, at + 24) <= 2 * n_raw:
        return False
    return word(data, at + 4 * (n_words - 1)) & 0xFFFFFFFF == TRAILER


@kernel_part
def sis3316_raw_words(data: np.ndarray, at: int, n_words: int) -> int:
    """Return the words of raw samples of the SIS3316 event of ``n_words`` at ``at``; -1 if it cannot be one."""
    n_header = header_words(word(data, at) & 0xF) if n_words > 0 else 0
    if n_header > n_words or n_words <= 0:
        return -1
    last = word(data, at + 4 * (n_header - 1))
    n_raw = last & 0x3FFFFFF
    return n_raw if last >> 28 & 0xF == 0xE and n_header + n_raw <= n_words else -1


@kernel_part
def sis3316_shape(data: np.ndarray, at: int, n_words: int) -> tuple[int, int]:
    """Return how many events of how many words a packet holds; no events if that does not fit its length."""
    n_events, n_event = word(data, at + 8), word(data, at + 12)
    if word(data, at + 20) == 0 and n_events == 1:  # written without a single-board computer
        return 1, n_words - SIS3316_HEADER
    fits = 0 < n_events <= n_words and 0 < n_event <= n_words and SIS3316_HEADER + n_events * n_event == n_words
    return (n_events, n_event) if fits else (0, 0)


@kernel_part
def _is_sis3316(data: np.ndarray, at: int, n_words: int) -> bool:
    if n_words <= SIS3316_HEADER:
        return False
    n_events, n_event = sis3316_shape(data, at, n_words)
    first = at + 4 * SIS3316_HEADER
    if n_events == 0 or sis3316_raw_words(data, first, n_event) < 0:
        return False
    n_header = word(data, at + 20)
    return n_header == 0 or n_header == header_words(word(data, first) & 0xF)


@kernel_part
def _is_gretina(data: np.ndarray, at: int, n_words: int) -> bool:
    n_words -= GRETINA_HEADER
    if n_words < GRETINA_SAMPLES_AT + 1 or word(data, at + 8) & 0xFFFFFFFF != GRETINA_MARK:
        return False
    if word(data, at + 12) & 0xF >= N_GRETINA_CHANNELS:
        return False
    is_presorted = word(data, at + 4 * (GRETINA_HEADER + GRETINA_SAMPLES_AT)) & 0xFFFF == PRESORTED
    return n_words % GRETINA_EVENT == 0 or is_presorted


@kernel_part
def is_sound_card(data: np.ndarray, at: int, size: int, kind: int) -> bool:
    """Whether the packet of ``size`` bytes at ``at`` agrees with itself."""
    n_words = size // 4
    if kind == SIS3302:
        return _is_sis3302(data, at, n_words)
    if kind == SIS3316:
        return _is_sis3316(data, at, n_words)
    return _is_gretina(data, at, n_words)
