"""Expand the presummed tail of GRETINA4M traces to the full sampling rate."""

# mypy: disable-error-code="no-any-return"
# (a compiled function returns Any, as far as mypy knows)

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pygama_core.accelerate import jit, kernel_part

N_SAMPLES = 2018  # of a recorded trace
N_BAD = 2  # the last samples are not data
SPREAD = 16  # samples among which the border may lie
CLEAR = 50  # [ADC] a step of the trace that noise does not make
FACTORS = (2, 4, 8, 10)
DIVISORS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Multirate:
    """How a channel records its traces: samples as digitised, then sums of ``factor`` samples over ``divisor``.

    Parameters
    ----------
    n_tail : presummed samples, as set; the recorded number differs by some
    n_full : samples as digitised, as set
    """

    n_tail: int
    n_full: int
    factor: int
    divisor: int

    @property
    def is_on(self) -> bool:
        """Whether the tail is presummed at all: if not, the part at full rate fills the trace."""
        return 0 < self.n_tail < N_SAMPLES - SPREAD - 2 and self.n_full < N_SAMPLES - 10

    @property
    def n_expanded(self) -> int:
        """Samples of an expanded trace: as many as every possible border gives."""
        return N_SAMPLES - self.n_tail + self.factor * (self.n_tail - N_BAD) if self.is_on else N_SAMPLES


@kernel_part
def find_border(trace: np.ndarray, mode: np.ndarray) -> int:
    """Return the index of the first presummed sample of a trace (2018,).

    It is where the trace, scaled back behind it, is smoothest. Where the scale does not change, or the trace is too
    close to zero to tell, it is where the settings put it. ``mode`` is (n_tail, n_full, factor, divisor).
    """
    n_tail, n_full, factor, divisor = mode[0], mode[1], mode[2], mode[3]
    low, high = N_SAMPLES - SPREAD - n_tail, N_SAMPLES - n_tail
    best = min(max(n_full - 1, low), high)
    level = np.int64(0)
    for at in range(low, high + 1):
        level = max(level, abs(np.int64(trace[at])))
    if factor == divisor or level * abs(factor - divisor) < CLEAR * factor:
        return best
    smallest = np.inf
    for at in range(low, high + 1):
        step = abs(trace[at] * divisor / factor - trace[at - 1])
        if step < smallest:
            best, smallest = at, step
    return best


@kernel_part
def _expand_one(trace: np.ndarray, border: int, mode: np.ndarray, out: np.ndarray) -> None:
    """Expand one trace: each presummed sample becomes a straight piece whose sum is exactly what was summed up."""
    factor, divisor = mode[2], mode[3]
    out[:border] = trace[:border]
    before = np.float64(trace[border - 1]) * factor
    for k in range(border, N_SAMPLES):
        total = np.int64(trace[k]) * divisor
        behind = np.float64(trace[k + 1]) * divisor if k + 1 < N_SAMPLES - N_BAD else np.float64(total)
        slope = (behind - before) / (2 * factor * factor)
        done = np.int64(0)
        for j in range(factor):
            # the sum up to sample j, rounded: the error of one sample is carried on to the next
            exact = (j + 1) * total / factor + slope * (j + 1) * (j + 1 - factor) / 2
            rounded = total if j + 1 == factor else np.int64(np.floor(exact + 0.5))
            place = border + (k - border) * factor + j
            if place >= len(out):
                return
            out[place] = min(max(rounded - done, -32768), 32767)
            done = rounded
        before = np.float64(total)


@jit("void(int16[:, ::1], int64[::1], int64[::1], int16[:, ::1])")
def expand(traces: np.ndarray, mode: np.ndarray, borders: np.ndarray, out: np.ndarray) -> None:
    """Expand traces (n, 2018) to the full rate.

    Parameters
    ----------
    traces : as recorded [ADC]
    mode : (4,) n_tail, n_full, factor, divisor
    borders : (n,) filled with the index of the first presummed sample
    out : (n, n_expanded) filled with the expanded traces [ADC]; the sum over the samples that one presummed sample
        stands for is that sample times the divisor
    """
    for i in range(len(traces)):
        borders[i] = find_border(traces[i], mode)
        _expand_one(traces[i], borders[i], mode, out[i])
