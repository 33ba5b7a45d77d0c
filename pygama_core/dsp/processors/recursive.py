"""Recursive filters: the general one, exponentials, oscillations, and a bipolar shaper for triggers."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.accelerate import jit
from pygama_core.dsp.processors._nan import has_nan
from pygama_core.dsp.registry import processor
from pygama_core.errors import ProcessorError


@jit("void(f4[::1], f8[:], f8[:], f8, f8, f4[::1])", "void(f8[::1], f8[:], f8[:], f8, f8, f8[::1])")
def recur(w: Any, a: Any, b: Any, init_in: float, init_out: float, out: Any) -> None:
    """Apply the filter with numerator ``a`` and denominator ``b``; before the start both signals are constant."""
    state = np.full(len(w) + len(b), init_out)  # float64 also for float32 waveforms: errors would feed back
    for i in range(len(w)):
        total = 0.0
        for j in range(len(a)):
            total += a[j] * (w[i - j] if j <= i else init_in)
        for j in range(1, len(b)):
            total -= b[j] * state[i + len(b) - j]
        total /= b[0]
        state[i + len(b)] = total
        out[i] = total


@processor("(n),(p),(q),(),()->(n)", "f,f8,f8,f,f->f")
def recursive_filter(w_in: Any, a: Any, b: Any, init_in: Any, init_out: Any, w_out: Any) -> None:
    """General recursive filter, ``b[0] out[i] = sum_j a[j] in[i-j] - sum_{j>0} b[j] out[i-j]``.

    Parameters
    ----------
    w_in : (n,) [ADC]
    a : (p,); numerator of the transfer function
    b : (q,), q < n; its denominator
    init_in, init_out : [ADC]; values of both signals before the start
    w_out : (n,) [ADC]; all NaN if any input is

    Raises
    ------
    ProcessorError : if the waveform is not longer than b
    """
    if len(w_in) <= len(b):
        raise ProcessorError("the waveform must be longer than the denominator b")
    if has_nan(w_in) or has_nan(a) or has_nan(b) or init_in != init_in or init_out != init_out:
        w_out[:] = np.nan
        return
    recur(w_in, a, b, init_in, init_out, w_out)


@processor("(n),(p),(q),()->(n)", "f,f8,f8,f8->f")
def filter_from_rest(w_in: Any, a: Any, b: Any, gain: Any, w_out: Any) -> None:
    """Filter as :func:`recursive_filter`, as if the first sample had lasted for ever and the output were gain times it.

    The factories iir_filter, notch_filter and peak_filter give a, b and gain.
    """
    if len(w_in) <= len(b):
        raise ProcessorError("the waveform must be longer than the denominator b")
    if has_nan(w_in):
        w_out[:] = np.nan
        return
    recur(w_in, a, b, w_in[0], gain * w_in[0], w_out)


@processor("(n),()->(n)", "f,f8->f")
def convolve_exp(w_in: Any, tau: Any, w_out: Any) -> None:
    """Convolve with ``exp(-t/tau)``: ``out[i] = in[i] + exp(-1/tau) out[i-1]``.

    Parameters
    ----------
    w_in : (n,) [ADC], n >= 3; its first sample stands for input and output before the start
    tau : [samples]
    w_out : (n,) [ADC]; all NaN if any input is
    """
    if has_nan(w_in) or tau != tau:
        w_out[:] = np.nan
        return
    recur(w_in, np.ones(1), np.array([1.0, -np.exp(-1.0 / tau)]), w_in[0], w_in[0], w_out)


@jit("f8[::1](f8, f8, f8)")
def oscillator_numerator(decay: float, omega: float, phase: float) -> Any:
    """Numerator of the z-transform of ``decay**t cos(omega t + phase)``."""
    return np.array([np.cos(phase), -decay * np.cos(omega - phase), 0.0])


@jit("f8[::1](f8, f8)")
def oscillator_denominator(decay: float, omega: float) -> Any:
    """Its denominator."""
    return np.array([1.0, -2.0 * decay * np.cos(omega), decay * decay])


@processor("(n),(),(),()->(n)", "f,f8,f8,f8->f")
def convolve_damped_oscillator(w_in: Any, tau: Any, omega: Any, phase: Any, w_out: Any) -> None:
    """Convolve with the damped oscillation ``exp(-t/tau) cos(omega t + phase)``.

    Parameters
    ----------
    w_in : (n,) [ADC]; its first sample stands for input and output before the start
    tau : [samples]
    omega : [rad/sample]
    phase : [rad]
    w_out : (n,) [ADC]; all NaN if any input is
    """
    if has_nan(w_in) or tau != tau or omega != omega or phase != phase:
        w_out[:] = np.nan
        return
    decay = np.exp(-1.0 / tau)
    a, b = oscillator_numerator(decay, omega, phase), oscillator_denominator(decay, omega)
    recur(w_in, a, b, w_in[0], w_in[0], w_out)


@processor("(n),(),(),(),()->(n)", "f,f8,f8,f8,f8->f")
def inject_damped_oscillation(w_in: Any, tau: Any, omega: Any, phase: Any, frac: Any, w_out: Any) -> None:
    """Add ringing: the waveform plus ``frac`` times its derivative convolved with ``exp(-t/tau) cos(omega t + phase)``.

    Parameters
    ----------
    w_in : (n,) [ADC]; baseline subtracted: before the start the input is its first sample, the output 0
    tau : [samples]
    omega : [rad/sample]
    phase : [rad]
    frac : 0 to 1
    w_out : (n,) [ADC]; all NaN if any input is

    Raises
    ------
    ProcessorError : if frac is not between 0 and 1
    """
    w_out[:] = np.nan
    if has_nan(w_in) or tau != tau or omega != omega or phase != phase or frac != frac:
        return
    if not 0 <= frac <= 1:
        raise ProcessorError("need 0 <= frac <= 1")
    decay = np.exp(-1.0 / tau)
    b = oscillator_denominator(decay, omega)
    ringing = oscillator_numerator(decay, omega, phase)
    a = b + frac * np.array([ringing[0], ringing[1] - ringing[0], -ringing[1]])
    recur(w_in, a, b, w_in[0], 0.0, w_out)


@processor("(n),()->(n)", "f,f8->f")
def rc_cr2(w_in: Any, t_tau: Any, w_out: Any) -> None:
    """RC-CR**2 shaper: ``(1 - 1/z)**2 / (1 - a/z)**3`` with ``a = exp(-1/tau)``; a step becomes a bipolar pulse.

    Parameters
    ----------
    w_in : (n,) [ADC], n >= 4
    t_tau : [samples]
    w_out : (n,) [ADC]; begins with the first three samples of the input; all NaN if any input is

    Raises
    ------
    ProcessorError : if n <= 3
    """
    if len(w_in) <= 3:
        raise ProcessorError("need a waveform of more than 3 samples")
    a = np.exp(-1.0 / np.float64(t_tau))
    out_3, out_2, out_1 = np.float64(w_in[0]), np.float64(w_in[1]), np.float64(w_in[2])
    w_out[0], w_out[1], w_out[2] = w_in[0], w_in[1], w_in[2]
    for i in range(3, len(w_in)):
        curvature = np.float64(w_in[i]) - 2.0 * w_in[i - 1] + w_in[i - 2]
        out = curvature + 3.0 * a * out_1 - 3.0 * a * a * out_2 + a * a * a * out_3
        out_3, out_2, out_1 = out_2, out_1, out
        w_out[i] = out
    if out_1 != out_1 or has_nan(w_in):
        w_out[:] = np.nan
