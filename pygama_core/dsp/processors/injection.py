"""Add model pulses to waveforms, for tests and pile-up studies. All give NaN if any input is."""

from __future__ import annotations

import numpy as np

from pygama_core.dsp.processors._block import blank, missing
from pygama_core.dsp.registry import processor


def _add(wf_in: np.ndarray, pulse: np.ndarray, wf_out: np.ndarray) -> None:
    wf_out[...] = wf_in + pulse
    # a NaN parameter can be hidden outside the pulse's range
    blank(wf_out, missing(wf_in))


def _columns(*parameters: np.ndarray) -> list[np.ndarray]:
    return [np.asarray(p, np.float64)[..., np.newaxis] for p in parameters]


def _spoilt(*parameters: np.ndarray) -> np.ndarray:
    """Return 0, or NaN where any parameter is NaN."""
    return np.asarray(sum(np.where(np.isnan(p), np.nan, 0.0) for p in parameters))


@processor("(n),(),(),(),(),(),()->(n)", "f,f8,f8,f8,f8,f8,f8->f", compiled=False)
def inject_general_logistic(  # noqa: PLR0913 (the arguments of configurations)
    wf_in: np.ndarray,
    a: np.ndarray,
    t0: np.ndarray,
    rt: np.ndarray,
    q: np.ndarray,
    v: np.ndarray,
    decay: np.ndarray,
    wf_out: np.ndarray,
) -> None:
    """Add ``a (1 + q exp(-r (t - t0 - rt/2)))**(-1/v) exp(-(t - t0)/decay)`` with ``r = 4 ln(99) / rt``.

    Parameters
    ----------
    wf_in : (n,) [ADC]
    a : [ADC]; height
    t0, rt : [samples]; start, and 1 to 99 % rise time
    q, v : shape of the generalised logistic function
    decay : [samples]
    wf_out : (n,) [ADC]
    """
    a, t0, rt, q, v, decay = _columns(a, t0, rt, q, v, decay)
    t = np.arange(wf_in.shape[-1])
    rise = (1 + q * np.exp(-4 * np.log(99.0) / rt * (t - t0 - rt / 2))) ** (-1 / v)
    _add(wf_in, a * rise * np.exp(-(t - t0) / decay) + _spoilt(a, t0, rt, q, v, decay), wf_out)


@processor("(n),(),(),(),()->(n)", "f,f8,f8,f8,f8->f", compiled=False)
def inject_sig_pulse(
    wf_in: np.ndarray, t0: np.ndarray, rt: np.ndarray, a: np.ndarray, decay: np.ndarray, wf_out: np.ndarray
) -> None:
    """Add ``a / (1 + exp(-r (t - t0 - rt/2))) exp(-(t - t0)/decay)`` with ``r = 4 ln(99) / rt``.

    Parameters
    ----------
    wf_in : (n,) [ADC]
    t0, rt : [samples]; start, and 1 to 99 % rise time
    a : [ADC]; height
    decay : [samples]
    wf_out : (n,) [ADC]
    """
    one = np.ones(())
    inject_general_logistic.kernel(wf_in, a, t0, rt, one, one, decay, wf_out)


@processor("(n),(),(),(),()->(n)", "f,f8,f8,f8,f8->f", compiled=False)
def inject_exp_pulse(
    wf_in: np.ndarray, t0: np.ndarray, rt: np.ndarray, a: np.ndarray, decay: np.ndarray, wf_out: np.ndarray
) -> None:
    """Add an exponential rise up to ``t0``, nothing during ``rt``, and an exponential decay after ``t0 + rt``.

    ``a exp((t - t0 - rt)/rt) exp(-(t - t0)/decay)`` for t <= t0, ``a exp(-(t - t0)/decay)`` for t > t0 + rt; the gap
    is dspeed's definition, for a pulse without one use :func:`inject_sig_pulse`.

    Parameters
    ----------
    wf_in : (n,) [ADC]
    t0, rt : [samples]; start, and length of the gap
    a : [ADC]; height
    decay : [samples]
    wf_out : (n,) [ADC]
    """
    t0, rt, a, decay = _columns(t0, rt, a, decay)
    t = np.arange(wf_in.shape[-1])
    tail = a * np.exp(-(t - t0) / decay)
    pulse = np.where(t <= np.minimum(t0, t0 + rt), np.exp(np.minimum((t - t0 - rt) / rt, 0)) * tail, 0.0)
    pulse = np.where(t > t0 + rt, tail, pulse)
    _add(wf_in, pulse + _spoilt(t0, rt, a, decay), wf_out)


@processor("(n),(),(),()->(n)", "f,f8,f8,f8->f", compiled=False)
def inject_gumbel(wf_in: np.ndarray, a: np.ndarray, t0: np.ndarray, beta: np.ndarray, wf_out: np.ndarray) -> None:
    """Add a Gumbel distribution ``a/beta exp(-(z + exp(-z)))``, ``z = (t - t0)/beta - 2``, for t0 <= t < t0 + 10 beta.

    Parameters
    ----------
    wf_in : (n,) [ADC]
    a : [ADC samples]; area
    t0, beta : [samples]; start and width
    wf_out : (n,) [ADC]
    """
    a, t0, beta = _columns(a, t0, beta)
    t = np.arange(wf_in.shape[-1])
    z = (t - t0) / beta - 2
    pulse = np.where((t >= t0) & (t < t0 + 10 * beta), a / beta * np.exp(-(z + np.exp(-z))), 0.0)
    _add(wf_in, pulse + _spoilt(a, t0, beta), wf_out)
