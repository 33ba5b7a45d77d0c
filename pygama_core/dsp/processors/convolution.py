"""Filter kernels and their convolution with waveforms."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.accelerate import jit
from pygama_core.dsp.processors._nan import has_nan
from pygama_core.dsp.processors._sums import prefix_sums
from pygama_core.dsp.registry import processor
from pygama_core.errors import ProcessorError

MIN_RUN = 32  # equal taps from which on sums are faster than adding each


@processor("(),()->(p)", "f,f->f")
def t0_filter(rise: Any, fall: Any, kernel: Any) -> None:
    """Kernel for the start of a pulse: a falling ramp over ``rise`` samples against a flat mean over ``fall``.

    Parameters
    ----------
    rise, fall : [samples]; whole numbers >= 1
    kernel : (rise + fall,); its sum is 0

    Raises
    ------
    ProcessorError : if rise or fall is not whole or < 1, or the kernel has not rise + fall samples
    """
    if rise < 1 or fall < 1 or rise != np.rint(rise) or fall != np.rint(fall) or len(kernel) != int(rise + fall):
        raise ProcessorError("need whole rise >= 1 and fall >= 1, and a kernel of rise + fall samples")
    n_rise = int(rise)
    for i in range(n_rise):
        kernel[i] = 2.0 * (rise - i) / (rise * (rise + 1.0))
    for i in range(n_rise, len(kernel)):
        kernel[i] = -1.0 / fall


@processor("(),()->(p)", "f,f->f")
def gaussian_filter1d(sigma: Any, truncate: Any, kernel: Any) -> None:
    """Normalised Gaussian kernel of standard deviation ``sigma`` [samples], cut at ``truncate`` times that.

    Raises
    ------
    ProcessorError : if the kernel has not 2 * int(truncate * sigma + 0.5) + 1 samples
    """
    radius = int(truncate * sigma + 0.5)
    if len(kernel) != 2 * radius + 1:
        raise ProcessorError("declare a kernel of 2 * int(truncate * sigma + 0.5) + 1 samples")
    total = 0.0
    for i in range(len(kernel)):
        total += np.exp(-0.5 * ((i - radius) / np.float64(sigma)) ** 2)
    for i in range(len(kernel)):
        kernel[i] = np.exp(-0.5 * ((i - radius) / np.float64(sigma)) ** 2) / total


@jit("void(f4[::1], f4[::1], i8, f8[::1])", "void(f8[::1], f8[::1], i8, f8[::1])")
def convolve(w: Any, kernel: Any, first: int, out: Any) -> None:
    """Samples ``first`` to ``first + len(out)`` of the full convolution, added tap by tap, four at a time.

    Sums over taps of whole arrays are vectorised without changing the order of any sum.
    """
    m, n, n_out = len(kernel), len(w), len(out)
    n_taps = m + (-m) % 4
    taps = np.zeros(n_taps)
    taps[:m] = kernel
    padded = np.zeros(n_out + n_taps)  # padded[i] = w[i + first - n_taps + 1], 0 outside
    begin = n_taps - 1 - first
    for i in range(max(begin, 0), min(begin + n, len(padded))):
        padded[i] = w[i - begin]
    out[:] = 0.0
    for j in range(0, n_taps, 4):
        offset = n_taps - 1 - j
        a, b = padded[offset : offset + n_out], padded[offset - 1 : offset - 1 + n_out]
        c, d = padded[offset - 2 : offset - 2 + n_out], padded[offset - 3 : offset - 3 + n_out]
        t0, t1, t2, t3 = taps[j], taps[j + 1], taps[j + 2], taps[j + 3]
        for i in range(n_out):
            out[i] += t0 * a[i] + t1 * b[i] + t2 * c[i] + t3 * d[i]


@jit("void(f4[::1], i8[::1])", "void(f8[::1], i8[::1])")
def longest_run(kernel: Any, found: Any) -> None:
    """Write begin and end of the longest run of equal taps, (2,)."""
    begin = 0
    found[0] = found[1] = 0
    for j in range(1, len(kernel) + 1):
        if j == len(kernel) or kernel[j] != kernel[begin]:
            if j - begin > found[1] - found[0]:
                found[0], found[1] = begin, j
            begin = j


@jit("f8(f4[::1], f4[::1], i8, i8, i8)", "f8(f8[::1], f8[::1], i8, i8, i8)")
def tap_sum(w: Any, kernel: Any, begin: int, end: int, i: int) -> float:
    """Sum of kernel[j] w[i - j] for j from begin to end; samples outside the waveform are 0."""
    total = 0.0
    for j in range(max(begin, i - len(w) + 1), min(end, i + 1)):
        total += np.float64(kernel[j]) * w[i - j]
    return total


@jit("f8(f4[::1], f8[::1], f4[::1], i8[::1], i8)", "f8(f8[::1], f8[::1], f8[::1], i8[::1], i8)")
def boxed_sample(w: Any, sums: Any, kernel: Any, run: Any, i: int) -> float:
    """Sample i of the full convolution, the run of equal taps from sums; samples outside the waveform are 0."""
    n = len(w)
    newest, oldest = min(max(i - run[0] + 1, 0), n), min(max(i - run[1] + 1, 0), n)
    box = kernel[run[0]] * (sums[newest] - sums[oldest])
    return float(box + tap_sum(w, kernel, 0, run[0], i) + tap_sum(w, kernel, run[1], len(kernel), i))


@jit("void(f8[::1], f8[::1], i8, i8, i8, f8[::1])")
def add_taps(w: Any, kernel: Any, begin: int, end: int, i: int, out: Any) -> None:
    """Add kernel[j] w[i + k - j] for j from begin to end to each out[k], eight taps at a time."""
    size = len(out)
    whole = begin + (end - begin) // 8 * 8
    for j in range(begin, whole, 8):
        t0, t1, t2, t3, t4, t5, t6, t7 = (
            kernel[j], kernel[j + 1], kernel[j + 2], kernel[j + 3], kernel[j + 4], kernel[j + 5], kernel[j + 6],
            kernel[j + 7],
        )  # fmt: skip
        x = w[i - j - 7 : i - j + size]
        a, b, c, d, e, f, g = x[7:], x[6:], x[5:], x[4:], x[3:], x[2:], x[1:]
        for k in range(size):
            left = t0 * a[k] + t1 * b[k] + t2 * c[k] + t3 * d[k]
            out[k] += left + (t4 * e[k] + t5 * f[k] + t6 * g[k] + t7 * x[k])
    for j in range(whole, end):
        tap, samples = kernel[j], w[i - j :]
        for k in range(size):
            out[k] += tap * samples[k]


@jit("void(f4[::1], f8[::1], f4[::1], i8[::1], i8, f4[::1])", "void(f8[::1], f8[::1], f8[::1], i8[::1], i8, f8[::1])")
def convolve_boxed(w: Any, sums: Any, kernel: Any, run: Any, first: int, out: Any) -> None:
    """Samples ``first`` to ``first + len(out)`` of the full convolution; the run of equal taps comes from sums.

    ``sums`` are those of :func:`prefix_sums`. In pieces that stay in the nearest cache while taps are added.
    """
    n, m, n_out = len(w), len(kernel), len(out)
    low = min(max(m - 1 - first, 0), n_out)  # from here to `high` all taps lie on the waveform
    high = max(min(n - first, n_out), low)
    for k in range(low):
        out[k] = boxed_sample(w, sums, kernel, run, first + k)
    level = np.float64(kernel[run[0]])
    taps, memory, wide = kernel.astype(np.float64), np.empty(512), np.empty(512 + m)
    for start in range(low, high, 512):
        piece, part = memory[: min(512, high - start)], out[start : min(start + 512, high)]
        i = first + start
        samples = w[i - m + 1 : i + len(piece)]  # converted once for all taps
        for k in range(len(samples)):
            wide[k] = samples[k]
        newest, oldest = sums[i - run[0] + 1 :], sums[i - run[1] + 1 :]
        for k in range(len(piece)):
            piece[k] = level * (newest[k] - oldest[k])
        add_taps(wide, taps, 0, run[0], m - 1, piece)
        add_taps(wide, taps, run[1], m, m - 1, piece)
        for k in range(len(piece)):
            part[k] = piece[k]
    for k in range(high, n_out):
        out[k] = boxed_sample(w, sums, kernel, run, first + k)


@jit("i8(i8, i8, i8, i8)")
def output_range(n: int, m: int, mode: int, n_out: int) -> int:
    """First sample of the full convolution that is wanted; raise ProcessorError if the lengths do not fit the mode."""
    if m > n:
        raise ProcessorError("the kernel is longer than the waveform")
    if mode == ord("f"):
        first, length = 0, n + m - 1
    elif mode == ord("s"):
        first, length = (m - 1) // 2, n
    elif mode == ord("v"):
        first, length = m - 1, n - m + 1
    else:
        raise ProcessorError("unknown mode; there are f, s, v")
    if n_out != length:
        raise ProcessorError("the output has the wrong length; mode f gives n + m - 1 samples, s n, v n - m + 1")
    return first


@processor("(n),(m),()->(p)", "f,f,i1->f")
def convolve_wf(w_in: Any, kernel: Any, mode_in: Any, w_out: Any) -> None:
    """Convolve a waveform with a kernel.

    Parameters
    ----------
    w_in : (n,) [ADC]
    kernel : (m,), m <= n
    mode_in : character; f full (p = n + m - 1), s same (p = n), v valid (p = n - m + 1)
    w_out : (p,) [ADC]; all NaN if any input is

    Raises
    ------
    ProcessorError : if the mode is unknown, m > n, or p does not fit the mode
    """
    first = output_range(len(w_in), len(kernel), mode_in, len(w_out))
    if has_nan(w_in) or has_nan(kernel):
        w_out[:] = np.nan
        return
    run = np.empty(2, np.int64)
    longest_run(kernel, run)
    if run[1] - run[0] >= MIN_RUN:  # equal taps are a difference of two sums
        sums = np.empty(len(w_in) + 1)
        prefix_sums(w_in, sums)
        convolve_boxed(w_in, sums, kernel, run, first, w_out)
        return
    result = np.empty(len(w_out))
    convolve(w_in, kernel, first, result)
    w_out[:] = result


@processor("(n),(m)->(n)", "f,f->f")
def reflected_convolve_wf(w_in: Any, kernel: Any, w_out: Any) -> None:
    """Convolve in mode same after mirroring the waveform about its first and last sample (which are not repeated).

    Raises
    ------
    ProcessorError : if the kernel is longer than the waveform
    """
    n, pad = len(w_in), len(kernel) // 2 + 1
    if len(kernel) > n or pad >= n:
        raise ProcessorError("the kernel is longer than the waveform")
    if has_nan(w_in) or has_nan(kernel):
        w_out[:] = np.nan
        return
    padded = np.empty(n + 2 * pad, w_in.dtype)
    padded[pad : pad + n] = w_in
    for i in range(pad):
        padded[i] = w_in[pad - i]
        padded[pad + n + i] = w_in[n - 2 - i]
    result = np.empty(n)
    convolve(padded, kernel, (len(kernel) - 1) // 2 + pad, result)
    w_out[:] = result
