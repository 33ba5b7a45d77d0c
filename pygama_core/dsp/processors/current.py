"""The usual smoothing of a current, upsampling and several moving means, as one filter.

Each output is a weighted sum of a few samples of the current before upsampling; the weights depend on where between
two samples it lies. Three means of 48 samples after 16-fold upsampling are ten weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.accelerate import jit
from pygama_core.dsp.processors._nan import has_nan
from pygama_core.dsp.processors.convolution import add_taps
from pygama_core.dsp.processors.window import mean_of_last, mean_of_next
from pygama_core.dsp.registry import processor
from pygama_core.errors import ProcessorError


@jit("i8(i8, i8)")
def n_right(n_means: int, kind: int) -> int:
    """Number of the means that run to the right, of ``moving_window_multi``'s kinds."""
    if kind == 0:
        return n_means // 2
    return n_means if kind == 2 else 0


@processor("(),(),(),()->(q,u)", "i8,i8,i8,i8->f8")
def smoothing_weights(upsample: Any, length: Any, n_means: Any, kind: Any, weights: Any) -> None:
    """Weights of sample ``first + q`` for the output at phase u, see :func:`smoothed_current`.

    Raises
    ------
    ProcessorError : if the declared shape is not (weight_count, upsample)
    """
    n_taps = n_means * (length - 1) + 1
    if weights.shape[1] != upsample or weights.shape[0] != weight_count(upsample, length, n_means):
        raise ProcessorError("weights have the shape (weight_count, upsample)")
    taps, new = np.zeros(n_taps), np.zeros(n_taps)
    taps[0] = 1.0
    for _ in range(n_means):
        for i in range(n_taps):
            total = 0.0
            for j in range(max(0, i - length + 1), i + 1):
                total += taps[j]
            new[i] = total / length
        taps, new = new, taps
    weights[:] = 0.0
    reach = (n_means - n_right(n_means, kind)) * (length - 1)  # to earlier samples
    for u in range(upsample):
        for k in range(n_taps):
            # position of a tap counted from the oldest sample that phase 0 reaches
            position = u + reach // upsample * upsample + (upsample if reach % upsample else 0) - reach + k
            weights[position // upsample, u] += taps[n_taps - 1 - k]


@jit("i8(i8, i8, i8)")
def weight_count(upsample: int, length: int, n_means: int) -> int:
    """Number of samples that the outputs of all phases reach."""
    return (n_means * (length - 1) + 2 * upsample - 2) // upsample + 1


@jit("void(f4[::1], i8, i8, i8, i8, i8, f4[::1])", "void(f8[::1], i8, i8, i8, i8, i8, f8[::1])")
def smooth_directly(  # noqa: PLR0913 (all of both processors)
    w: Any, upsample: int, length: int, n_means: int, kind: int, begin: int, out: Any
) -> None:
    """Upsample outputs ``begin`` to ``begin + len(out)``, which then count as a waveform, and take the means."""
    n, half = len(out), upsample // 2
    now, new, sums = np.empty(n), np.empty(n), np.empty(n + 1)
    for i in range(n):
        now[i] = w[(begin + i + half) // upsample]
    for i in range(n_means):
        if kind == 2 or (kind == 0 and i % 2 == 1):
            mean_of_next(now, length, sums, new)
        else:
            mean_of_last(now, length, sums, new)
        now, new = new, now
    for i in range(n):
        out[i] = now[i]


@jit("void(f4[::1], f8[:,::1], i8, i8, i8, f4[::1])", "void(f8[::1], f8[:,::1], i8, i8, i8, f8[::1])")
def weigh(w: Any, weights: Any, first: int, last: int, back: int, out: Any) -> None:
    """Write the outputs of samples ``first`` to ``last``; the first weight is of the sample ``back`` before."""
    n_weights, upsample = weights.shape
    n = last - first
    begin, m = first - back, n_weights
    x, taps, total = np.zeros(n + m), np.empty(m), np.empty(n)
    for i in range(min(len(x), len(w) - begin)):
        x[i] = w[begin + i]
    for u in range(upsample):  # all outputs of one phase are neighbours in `total`
        for q in range(m):
            taps[q] = weights[m - 1 - q, u]
        total[:] = 0.0
        add_taps(x, taps, 0, m, m - 1, total)
        for i in range(n):
            out[i * upsample + u] = total[i]


@processor("(n),(),(),(),(),(q,u)->(m)", "f,i8,i8,i8,i8,f8->f")
def smoothed_current(  # noqa: PLR0913 (all of both processors)
    w_in: Any, upsample: Any, length: Any, n_means: Any, kind: Any, weights: Any, w_out: Any
) -> None:
    """``moving_window_multi(upsampler(w_in, upsample), length, n_means, kind)``; NaN if any sample is.

    Parameters
    ----------
    w_in : (n,) [ADC/sample]
    weights : (q, u); from :func:`smoothing_weights`
    w_out : (m,) [ADC/sample]; m <= n * upsample - upsample // 2

    Raises
    ------
    ProcessorError : if the output is longer than that, not longer than a window, or n_means < 1
    """
    n_out, half = len(w_out), upsample // 2
    if n_out > len(w_in) * upsample - half or not 1 <= length < n_out or n_means < 1:
        raise ProcessorError("the output must not be longer than n * upsample - upsample // 2, nor than a window")
    if has_nan(w_in):
        w_out[:] = np.nan
        return
    to_right = n_right(n_means, kind) * (length - 1)
    reach = n_means * (length - 1) - to_right  # to earlier outputs
    # outputs of whole samples whose means see no end of the waveform
    first, last = (reach + half + upsample - 1) // upsample, (n_out - to_right + half) // upsample
    begin, end = first * upsample - half, last * upsample - half
    if end - begin < reach + to_right + length:
        smooth_directly(w_in, upsample, length, n_means, kind, 0, w_out)
        return
    weigh(w_in, weights, first, last, (reach + upsample - 1) // upsample, w_out[begin:end])
    edge = np.empty(max(begin + to_right, reach + n_out - end), w_in.dtype)
    head, tail = edge[: begin + to_right], edge[: reach + n_out - end]
    smooth_directly(w_in, upsample, length, n_means, kind, 0, head)
    w_out[:begin] = head[:begin]
    smooth_directly(w_in, upsample, length, n_means, kind, end - reach, tail)
    w_out[end:] = tail[reach:]
