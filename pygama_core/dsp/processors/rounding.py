"""Rounding to multiples, sorting and scaling; whole blocks by NumPy."""

from __future__ import annotations

import numpy as np

from pygama_core.dsp.processors._block import blank, missing
from pygama_core.dsp.registry import processor


@processor("(),()->()", "f,f->f", compiled=False)
def round_to_nearest(val: np.ndarray, to_nearest: np.ndarray, out: np.ndarray) -> None:
    """Nearest multiple of ``to_nearest``, half to even; NaN stays."""
    out[...] = np.rint(val / to_nearest) * to_nearest


@processor("(),()->()", "f,f->f", compiled=False)
def floor_to_nearest(val: np.ndarray, to_nearest: np.ndarray, out: np.ndarray) -> None:
    """Largest multiple of ``to_nearest`` that is not above the value; NaN stays."""
    out[...] = np.floor(val / to_nearest) * to_nearest


@processor("(),()->()", "f,f->f", compiled=False)
def ceil_to_nearest(val: np.ndarray, to_nearest: np.ndarray, out: np.ndarray) -> None:
    """Smallest multiple of ``to_nearest`` that is not below the value; NaN stays."""
    out[...] = np.ceil(val / to_nearest) * to_nearest


@processor("(),()->()", "f,f->f", compiled=False)
def trunc_to_nearest(val: np.ndarray, to_nearest: np.ndarray, out: np.ndarray) -> None:
    """Next multiple of ``to_nearest`` towards zero; NaN stays."""
    out[...] = np.trunc(val / to_nearest) * to_nearest


@processor("(n)->(n)", "f->f", compiled=False)
def sort(w_in: np.ndarray, w_out: np.ndarray) -> None:
    """Samples in ascending order.

    Parameters
    ----------
    w_in : (n,) [ADC]
    w_out : (n,) [ADC]; all NaN if any sample is
    """
    w_out[...] = np.sort(w_in, axis=-1)
    blank(w_out, missing(w_in))


@processor("(n),(),()->(n)", "f,f,f->f", compiled=False)
def min_max_norm(w_in: np.ndarray, a_min: np.ndarray, a_max: np.ndarray, w_out: np.ndarray) -> None:
    """Divide by the larger modulus of the two extrema; unchanged if either is 0.

    Parameters
    ----------
    w_in : (n,) [ADC]
    a_min, a_max : [ADC]
    w_out : (n,); all NaN if any input is
    """
    scale = np.maximum(np.abs(a_min), np.abs(a_max))
    w_out[...] = w_in / np.where((a_min == 0) | (a_max == 0), 1.0, scale)[..., np.newaxis]
    blank(w_out, missing(w_in))
