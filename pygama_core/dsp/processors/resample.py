"""More samples than were measured."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.dsp.processors._interpolate import interpolate, is_interpolation, second_derivatives
from pygama_core.dsp.processors._nan import has_nan
from pygama_core.dsp.registry import processor
from pygama_core.errors import ProcessorError


@processor("(n),()->(m)", "f,i1->f")
def interpolating_upsampler(w_in: Any, mode_in: Any, w_out: Any) -> None:
    """Resample to m samples: output i is the waveform at ``i n / m``.

    Parameters
    ----------
    w_in : (n,) [ADC], n >= 2
    mode_in : character; n nearest sample (half to later), f the one before, c the one after, l linear interpolation,
        these hold the last sample; h cubic Hermite interpolation with central differences as slopes, s natural cubic
        spline, these go on after the last sample; i puts zeros between the samples
    w_out : (m,) [ADC]; all NaN if any sample is

    Raises
    ------
    ProcessorError : if the mode is unknown, or is i and m no multiple of n
    """
    n, m = len(w_in), len(w_out)
    if mode_in == ord("i"):
        if m % n != 0:
            raise ProcessorError("mode i needs an output whose length is a multiple of the input's")
    elif not is_interpolation(mode_in):
        raise ProcessorError("unknown mode; there are i, n, f, c, l, h, s")
    w_out[:] = np.nan
    if has_nan(w_in):
        return
    if mode_in == ord("i"):
        w_out[:] = 0.0
        w_out[:: m // n] = w_in
        return
    second = second_derivatives(w_in) if mode_in == ord("s") else np.empty(0)
    for i in range(m):
        w_out[i] = interpolate(w_in, second, i * n / m, mode_in)
