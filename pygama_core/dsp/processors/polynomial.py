"""Polynomials through waveforms."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.dsp.processors._block import blank, missing
from pygama_core.dsp.registry import processor


@processor("(n),(m,n)->(m)", "f,f8->f", compiled=False)
def poly_fit_apply(w_in: np.ndarray, inverse: np.ndarray, poly_pars: np.ndarray) -> None:
    """Least-squares coefficients, ascending; the factory poly_fit gives the pseudo-inverse of the powers.

    Parameters
    ----------
    w_in : (n,) [ADC]
    inverse : (m, n)
    poly_pars : (m,) [ADC/sample**k]; all NaN if any sample is
    """
    origin = w_in[..., :1].astype(np.float64)  # differences keep their digits on a large offset
    pars = (inverse @ (w_in - origin)[..., np.newaxis])[..., 0]
    pars[..., :1] += origin
    poly_pars[...] = pars
    blank(poly_pars, missing(w_in))


def _polynomial(w: np.ndarray, pars: np.ndarray) -> np.ndarray:
    x = np.arange(w.shape[-1], dtype=np.float64)
    value = np.zeros((*pars.shape[:-1], len(x)))
    for k in range(pars.shape[-1] - 1, -1, -1):
        value = value * x + pars[..., k : k + 1]
    return value


def _scatter(residual: np.ndarray, mean: Any, rms: Any) -> None:
    n = residual.shape[-1]
    mean[...] = residual.mean(axis=-1)
    rms[...] = np.sqrt((residual**2).sum(axis=-1) / (n - 1))


@processor("(n),(m)->(),()", "f,f8->f,f", compiled=False)
def poly_diff(w_in: np.ndarray, poly_pars: np.ndarray, mean: np.ndarray, rms: np.ndarray) -> None:
    """Mean and scatter of a waveform about a polynomial of the sample index.

    Parameters
    ----------
    w_in : (n,) [ADC]
    poly_pars : (m,) [ADC/sample**k]; ascending
    mean : [ADC]; of the residuals (dspeed weights them with 1/(i+1), which is not a mean); NaN if any input is
    rms : [ADC]; square root of the sum of squared residuals over n - 1
    """
    _scatter(w_in - _polynomial(w_in, poly_pars), mean, rms)


@processor("(n),(m)->(),()", "f,f8->f,f", compiled=False)
def poly_exp_rms(w_in: np.ndarray, poly_pars: np.ndarray, mean: np.ndarray, rms: np.ndarray) -> None:
    """Mean and scatter of a waveform about the exponential of a polynomial of the sample index.

    Parameters
    ----------
    w_in : (n,) [ADC]
    poly_pars : (m,); ascending coefficients of the logarithm
    mean, rms : [ADC]; as of :func:`poly_diff`
    """
    _scatter(w_in - np.exp(_polynomial(w_in, poly_pars)), mean, rms)
