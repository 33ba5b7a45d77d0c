"""Removal of the preamplifier's exponential decay."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.accelerate import jit
from pygama_core.dsp.processors._sums import join_parts, total_of
from pygama_core.dsp.registry import processor
from pygama_core.errors import ProcessorError


@jit("f8(f8)")
def decay_per_sample(tau: float) -> float:
    """Part of a signal that decays within one sample, 1 - exp(-1/tau), without cancellation for long tau."""
    return float(-np.expm1(-1.0 / tau))


@jit("void(f4[::1], f8, f4[::1])", "void(f8[::1], f8, f8[::1])")
def correct(w: Any, loss: float, out: Any) -> None:
    """Write ``w[i] + loss * (w[0] + … + w[i-1])``, all NaN if a sample is. Four parts side by side, see _sums."""
    n, part = len(w), len(w) // 4
    w0, w1, w2, w3 = w[:part], w[part : 2 * part], w[2 * part : 3 * part], w[3 * part : 4 * part]
    o0, o1, o2, o3 = out[:part], out[part : 2 * part], out[2 * part : 3 * part], out[3 * part : 4 * part]
    s0 = 0.0
    s1 = s0 + total_of(w0)
    s2 = s1 + total_of(w1)
    s3 = s2 + total_of(w2)
    for i in range(part):
        x0, x1, x2, x3 = np.float64(w0[i]), np.float64(w1[i]), np.float64(w2[i]), np.float64(w3[i])
        o0[i], o1[i], o2[i], o3[i] = x0 + loss * s0, x1 + loss * s1, x2 + loss * s2, x3 + loss * s3
        s0, s1, s2, s3 = s0 + x0, s1 + x1, s2 + x2, s3 + x3
    for i in range(4 * part, n):
        out[i] = w[i] + loss * s3
        s3 += w[i]
    if s3 * loss != s3 * loss:  # a NaN anywhere stays in the sum
        out[:] = np.nan


@jit("void(f4[::1], f8, f4[::1], f8[::1])", "void(f8[::1], f8, f8[::1], f8[::1])")
def correct_and_sum(w: Any, loss: float, out: Any, sums: Any) -> None:
    """Do :func:`correct`, and :func:`prefix_sums` of its result in the same loop: each waits for its own additions."""
    n, part = len(w), len(w) // 4
    w0, w1, w2, w3 = w[:part], w[part : 2 * part], w[2 * part : 3 * part], w[3 * part : 4 * part]
    o0, o1, o2, o3 = out[:part], out[part : 2 * part], out[2 * part : 3 * part], out[3 * part : 4 * part]
    now = sums[1:]
    n0, n1, n2, n3 = now[:part], now[part : 2 * part], now[2 * part : 3 * part], now[3 * part : 4 * part]
    s0 = c0 = c1 = c2 = c3 = 0.0
    s1 = s0 + total_of(w0)
    s2 = s1 + total_of(w1)
    s3 = s2 + total_of(w2)
    as_stored = out.dtype.type
    for i in range(part):
        x0, x1, x2, x3 = np.float64(w0[i]), np.float64(w1[i]), np.float64(w2[i]), np.float64(w3[i])
        y0, y1 = as_stored(x0 + loss * s0), as_stored(x1 + loss * s1)
        y2, y3 = as_stored(x2 + loss * s2), as_stored(x3 + loss * s3)
        o0[i], o1[i], o2[i], o3[i] = y0, y1, y2, y3
        s0, s1, s2, s3 = s0 + x0, s1 + x1, s2 + x2, s3 + x3
        c0, c1, c2, c3 = c0 + y0, c1 + y1, c2 + y2, c3 + y3
        n0[i], n1[i], n2[i], n3[i] = c0, c1, c2, c3
    sums[0] = 0.0
    join_parts(sums)
    total = sums[4 * part]
    for i in range(4 * part, n):
        out[i] = w[i] + loss * s3
        s3 += w[i]
        total += out[i]
        now[i] = total
    if s3 * loss != s3 * loss:
        out[:] = np.nan
        sums[:] = np.nan


@processor("(n),()->(n)", "f,f8->f")
def pole_zero(w_in: Any, t_tau: Any, w_out: Any) -> None:
    """Turn a decay with one time constant into a step.

    ``out[i] = out[i-1] + in[i] - a in[i-1]`` with ``a = exp(-1/tau)``, that is the sample plus (1 - a) times the sum
    of all earlier samples.

    Parameters
    ----------
    w_in : (n,) [ADC]; baseline subtracted
    t_tau : [samples]; decay time constant, 0 gives the running sum
    w_out : (n,) [ADC]; all NaN if any input is

    Raises
    ------
    ProcessorError : if t_tau < 0
    """
    if t_tau < 0:
        raise ProcessorError("t_tau must be >= 0")
    loss = decay_per_sample(t_tau)
    correct(w_in, loss, w_out)


@processor("(n),(),(),()->(n)", "f,f8,f8,f8->f")
def double_pole_zero(w_in: Any, t_tau1: Any, t_tau2: Any, frac: Any, w_out: Any) -> None:
    """Turn the decay ``(1 - frac) exp(-t/tau1) + frac exp(-t/tau2)`` into a step.

    Parameters
    ----------
    w_in : (n,) [ADC], n >= 4; baseline subtracted; a pulse in its first two samples is not flattened
    t_tau1, t_tau2 : [samples]; decay time constants
    frac : weight of the second
    w_out : (n,) [ADC]; all NaN if any input is

    Raises
    ------
    ProcessorError : if n <= 3
    """
    if len(w_in) <= 3:
        raise ProcessorError("need a waveform of more than 3 samples")
    a, b = 1.0 - decay_per_sample(t_tau1), 1.0 - decay_per_sample(t_tau2)
    d = frac * b - frac * a - b
    in_2, in_1 = np.float64(w_in[0]), np.float64(w_in[1])
    out_2, out_1 = in_2, in_1
    w_out[0], w_out[1] = w_in[0], w_in[1]
    for i in range(2, len(w_in)):
        out = w_in[i] - (a + b) * in_1 + a * b * in_2 - (d - 1.0) * out_1 + d * out_2
        in_2, in_1 = in_1, np.float64(w_in[i])
        out_2, out_1 = out_1, out
        w_out[i] = out
    if out_1 != out_1:
        w_out[:] = np.nan
