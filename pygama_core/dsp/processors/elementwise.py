"""Steps that NumPy does on whole blocks: reductions, selection, conversions."""

from __future__ import annotations

import numpy as np

from pygama_core.dsp.registry import processor


@processor("(n),()->()", "f,i8->f", compiled=False)
def amax(w_in: np.ndarray, axis: np.ndarray, a_max: np.ndarray) -> None:
    """Largest sample; NaN if any is. ``axis`` is what configurations pass to numpy.amax, always the last one."""
    np.max(w_in, axis=-1, out=a_max)


@processor("(n),()->()", "f,i8->f", compiled=False)
def amin(w_in: np.ndarray, axis: np.ndarray, a_min: np.ndarray) -> None:
    """Smallest sample; NaN if any is; see :func:`amax`."""
    np.min(w_in, axis=-1, out=a_min)


@processor("(),(),()->()", "b1,f,f->f", compiled=False)
def where(condition: np.ndarray, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """``a`` where the condition holds, else ``b``."""
    np.copyto(out, b)
    np.copyto(out, a, where=condition)


@processor("(),(),()->()", "f,f8,f8->f", compiled=False)
def convert(x_in: np.ndarray, scale: np.ndarray, shift: np.ndarray, x_out: np.ndarray) -> None:
    """``x * scale + shift``, computed in float64; the plan inserts it to move times between grids."""
    np.copyto(x_out, x_in * scale + shift, casting="same_kind")


@processor("()->()", "f->f", compiled=False)
def convert_type(x_in: np.ndarray, x_out: np.ndarray) -> None:
    """Copy to the output's type; the plan inserts it where a processor needs another type."""
    np.copyto(x_out, x_in, casting="unsafe")
