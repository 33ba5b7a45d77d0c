"""Convolutions with kernels of known form, by running sums: the cost does not depend on the kernel's length.

Plans get them from :mod:`pygama_core.dsp.rewrite_kernels`; configurations name kernels and general convolutions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.accelerate import jit
from pygama_core.dsp.processors._nan import has_nan
from pygama_core.dsp.registry import processor
from pygama_core.errors import ProcessorError


@jit("f8[:, ::1](f8, f8, f8)")
def flank_weights(sigma: float, length: float, area: float) -> Any:
    """Coefficients of ``exp(d/sigma), exp(-d/sigma), d, d**2`` in a flank, ``d`` samples from its end; and the step.

    The first row holds the coefficients, the second the growth of both exponentials from one sample to the next.
    """
    weights = np.zeros((2, 4))
    norm = 1.0 / (2.0 * np.sinh(length / sigma))
    weights[0, 0], weights[0, 1] = norm, -norm
    weights[0, 2], weights[0, 3] = area * length, -area
    weights[1, 0], weights[1, 1] = np.exp(1.0 / sigma), np.exp(-1.0 / sigma)
    return weights


@jit("f8(f8, i8, i8, i8)")
def zero_area_factor(sigma: float, rising: int, falling: int, flat: int) -> float:
    """Factor of the parabolas that takes a cusp's area to 0."""
    cusp, parabola = flat + 1.0, 0.0
    for last in (rising - 1, falling):  # sums of sinh(d/sigma) and d**2 - rising d over d = 0 ... last
        sinh_sum = np.sinh(0.5 * last / sigma) * np.sinh(0.5 * (last + 1) / sigma) / np.sinh(0.5 / sigma)
        cusp += sinh_sum / np.sinh(rising / sigma)
        parabola += last * (last + 1.0) * ((2.0 * last + 1.0) / 6.0 - 0.5 * rising)
    return float(cusp / parabola)


@jit("void(f8[::1], i8, i8, f8[:, ::1], f8[::1])")
def rising_flank(z: Any, m: int, length: int, weights: Any, out: Any) -> None:
    """Add the sums over the kernel's first samples; ``z[t + m - 1 - j]`` meets sample j of the kernel."""
    up, down, s0, s1, s2 = 0.0, 0.0, 0.0, 0.0, 0.0
    grow, fade = weights[1, 0], weights[1, 1]
    part = z[m - length : m]
    grown, faded = 1.0, 1.0
    for d in range(length):
        x = part[length - 1 - d]
        up += grown * x
        down += faded * x
        grown *= grow
        faded *= fade
        s0 += x
        s1 += d * x
        s2 += d * d * x
    top_up, top_down = grow ** (length - 1), fade ** (length - 1)
    new, old = z[m:], z[m - length :]
    for t in range(len(out)):
        out[t] += weights[0, 0] * up + weights[0, 1] * down + weights[0, 2] * s1 + weights[0, 3] * s2
        if t < len(new):
            up = new[t] + grow * (up - top_up * old[t])
            down = new[t] + fade * (down - top_down * old[t])
            s2 += 2.0 * s1 + s0 - length * length * old[t]
            s1 += s0 - length * old[t]
            s0 += new[t] - old[t]


@jit("void(f8[::1], i8, i8, f8[:, ::1], f8[::1])")
def falling_flank(z: Any, m: int, length: int, weights: Any, out: Any) -> None:
    """Add the sums over the kernel's last ``length`` samples, of which the last is 1 sample from the end."""
    up, down, s0, s1, s2 = 0.0, 0.0, 0.0, 0.0, 0.0
    grow, fade = weights[1, 0], weights[1, 1]
    grown, faded = grow, fade
    for d in range(1, length + 1):
        x = z[d - 1]
        up += grown * x
        down += faded * x
        grown *= grow
        faded *= fade
        s0 += x
        s1 += d * x
        s2 += d * d * x
    top = length + 1
    top_up, top_down = grow**top, fade**top
    new = z[length:]
    for t in range(len(out)):
        out[t] += weights[0, 0] * up + weights[0, 1] * down + weights[0, 2] * s1 + weights[0, 3] * s2
        if t < len(new):
            up = fade * (up + top_up * new[t] - grow * z[t])
            down = grow * (down + top_down * new[t] - fade * z[t])
            s0 += new[t] - z[t]
            s1 += top * new[t] - z[t]
            s2 += top * top * new[t] - z[t]
            s2 += s0 - 2.0 * s1
            s1 -= s0


@processor("(n),(),(),(),()->(p)", "f,f8,i4,f8,i4->f")
def flank_convolve(w_in: Any, sigma: Any, flat: Any, decay: Any, is_zero_area: Any, w_out: Any) -> None:
    """Convolution in mode valid with the kernel of :func:`cusp_filter` or :func:`zac_filter` of n - p + 1 samples.

    The waveform with its decay undone, ``in[i] - exp(-1/decay) in[i-1]``, meets sliding sums of exponentials and
    powers, each updated with the sample that enters and the one that leaves.

    Parameters
    ----------
    w_in : (n,) [ADC]
    sigma, flat, decay : [samples]; as for cusp_filter
    is_zero_area : 1 for the kernel of zac_filter, 0 for that of cusp_filter
    w_out : (p,) [ADC]; all NaN if any sample is

    Raises
    ------
    ProcessorError : if sigma or decay is not > 0, or flat is not between 0 and the kernel's length less 4
    """
    n, n_out = len(w_in), len(w_out)
    m = n - n_out + 1
    if not sigma > 0 or not decay > 0 or flat < 0 or flat > m - 4:
        raise ProcessorError("need sigma > 0, decay > 0 and 0 <= flat <= m - 4 for a kernel of m samples")
    if has_nan(w_in):
        w_out[:] = np.nan
        return
    rising, part = (m - flat) // 2, np.exp(-1.0 / decay)
    falling = m - 1 - rising - flat
    area = 0.0
    if is_zero_area == 1:
        area = zero_area_factor(sigma, rising, falling, flat)
    z = np.empty(n)
    z[0] = w_in[0]
    for i in range(1, n):
        z[i] = w_in[i] - part * w_in[i - 1]
    weights = flank_weights(sigma, rising, area)
    result = np.zeros(n_out)
    rising_flank(z, m, rising, weights, result)
    falling_flank(z, m, falling, weights, result)
    top = 0.0
    for i in range(m - 1 - rising - flat, m - rising):
        top += z[i]
    last = part * (weights[0, 0] * weights[1, 0] + weights[0, 1] * weights[1, 1] + weights[0, 2] + weights[0, 3])
    for t in range(n_out):
        result[t] += top + (last * w_in[t - 1] if t > 0 else 0.0)
        if t + 1 < n_out:
            top += z[t + m - rising] - z[t + m - 1 - rising - flat]
    w_out[:] = result
