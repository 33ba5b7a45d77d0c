"""Trapezoidal shapers: differences of two moving sums. Samples before the waveform count as 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.accelerate import jit
from pygama_core.dsp.processors._nan import has_nan
from pygama_core.dsp.processors._sums import prefix_sums
from pygama_core.dsp.registry import processor
from pygama_core.errors import ProcessorError


@jit("void(f8[::1], i8, i8, i8, f8, f8, f4[::1])", "void(f8[::1], i8, i8, i8, f8, f8, f8[::1])")
def box_difference(  # noqa: PLR0913 (one loop behind all shapers)
    sums: Any, rise: int, flat: int, fall: int, late_scale: float, early_scale: float, out: Any
) -> None:
    """Scaled sum of the latest ``rise`` samples minus that of ``fall`` samples before a gap of ``flat``.

    ``sums`` are those of :func:`prefix_sums`, (n + 1,).
    """
    n, gap, end = len(out), rise + flat, rise + flat + fall
    if sums[n] != sums[n]:
        out[:] = np.nan
        return
    now = sums[1:]  # now[i] ends with sample i
    for i in range(rise):
        out[i] = now[i] * late_scale
    # slices, because an index that may be negative keeps numba from fast code
    new, shaped = now[rise:], out[rise:]
    for i in range(flat):
        shaped[i] = (new[i] - now[i]) * late_scale
    new, before, shaped = now[gap:], now[flat:], out[gap:]
    for i in range(fall):
        shaped[i] = (new[i] - before[i]) * late_scale - now[i] * early_scale
    new, before, middle, shaped = now[end:], now[end - rise :], now[fall:], out[end:]
    for i in range(n - end):
        shaped[i] = (new[i] - before[i]) * late_scale - (middle[i] - now[i]) * early_scale


@jit("f8(f8[::1], i8, i8, i8, f8, f8, i8)")
def box_difference_at(  # noqa: PLR0913 (as box_difference)
    sums: Any, rise: int, flat: int, fall: int, late_scale: float, early_scale: float, index: int
) -> float:
    """One value of :func:`box_difference`, to the last bit."""
    now, gap, end = sums[index + 1], index + 1 - rise - flat, index + 1 - rise - flat - fall
    if index < rise:
        return float(now * late_scale)
    late = now - sums[index + 1 - rise]
    if gap <= 0:
        return float(late * late_scale)
    if end <= 0:
        return float(late * late_scale - sums[gap] * early_scale)
    return float(late * late_scale - (sums[gap] - sums[end]) * early_scale)


@processor("(n),(),()->(n)", "f,i4,i4->f")
def trap_filter(w_in: Any, rise: Any, flat: Any, w_out: Any) -> None:
    """Trapezoidal shaper: sum of the latest window minus the sum of an earlier one; see :func:`trap_norm`."""
    if rise < 0 or flat < 0 or 2 * rise + flat > len(w_in):
        raise ProcessorError("need rise >= 0, flat >= 0 and 2 * rise + flat <= n")
    sums = np.empty(len(w_in) + 1)
    prefix_sums(w_in, sums)
    box_difference(sums, rise, flat, rise, 1.0, 1.0, w_out)


@processor("(n),(),()->(n)", "f,i4,i4->f")
def trap_norm(w_in: Any, rise: Any, flat: Any, w_out: Any) -> None:
    """Trapezoidal shaper: mean of the latest window minus the mean of an earlier one.

    Parameters
    ----------
    w_in : (n,) [ADC]; pole-zero corrected waveform
    rise : [samples]; length of each window, >= 1
    flat : [samples]; gap between the windows, >= 0
    w_out : (n,) [ADC]; samples before the waveform count as 0; all NaN if any sample is

    Raises
    ------
    ProcessorError : if rise < 1, flat < 0 or 2 * rise + flat > n

    Notes
    -----
    Source: Jordanov and Knoll, NIM A 345 (1994) 337, doi:10.1016/0168-9002(94)91011-1.
    """
    if rise < 1 or flat < 0 or 2 * rise + flat > len(w_in):
        raise ProcessorError("need rise >= 1, flat >= 0 and 2 * rise + flat <= n")
    sums = np.empty(len(w_in) + 1)
    prefix_sums(w_in, sums)
    box_difference(sums, rise, flat, rise, 1.0 / rise, 1.0 / rise, w_out)


@processor("(n),(),(),()->(n)", "f,i4,i4,i4->f")
def asym_trap_filter(w_in: Any, rise: Any, flat: Any, fall: Any, w_out: Any) -> None:
    """Trapezoidal shaper whose windows differ in length: ``rise`` samples now, ``fall`` samples earlier.

    Parameters
    ----------
    w_in : (n,) [ADC]
    rise, flat, fall : [samples]; length of the later window, gap, length of the earlier window; rise and fall >= 1
    w_out : (n,) [ADC]; all NaN if any sample is

    Raises
    ------
    ProcessorError : if rise < 1, flat < 0, fall < 1 or rise + flat + fall > n
    """
    if rise < 1 or flat < 0 or fall < 1 or rise + flat + fall > len(w_in):
        raise ProcessorError("need rise >= 1, flat >= 0, fall >= 1 and rise + flat + fall <= n")
    sums = np.empty(len(w_in) + 1)
    prefix_sums(w_in, sums)
    box_difference(sums, rise, flat, fall, 1.0 / rise, 1.0 / fall, w_out)


@jit("f8(f4[::1], i8, i8, i8)", "f8(f8[::1], i8, i8, i8)")
def trapezoid_at(w: Any, rise: int, flat: int, index: int) -> float:
    """Value of :func:`trap_norm` at one index >= 2 * rise + flat - 1."""
    late = w[index + 1 - rise : index + 1]
    early = w[index + 1 - 2 * rise - flat : index + 1 - rise - flat]
    total = 0.0
    for i in range(rise):
        total += np.float64(late[i]) - early[i]
    return total / rise


@processor("(n),(),(),()->()", "f,i4,i4,f->f")
def trap_pickoff(w_in: Any, rise: Any, flat: Any, t_pickoff: Any, a_out: Any) -> None:
    """Value of :func:`trap_norm` at one time, interpolated linearly, without the other times.

    Parameters
    ----------
    w_in : (n,) [ADC]
    rise, flat : [samples]; as for trap_norm
    t_pickoff : [samples]
    a_out : [ADC]; NaN if any input is, or if a window reaches outside the waveform

    Raises
    ------
    ProcessorError : if rise < 1, flat < 0 or 2 * rise + flat > n
    """
    a_out[0] = np.nan
    if rise < 1 or flat < 0 or 2 * rise + flat > len(w_in):
        raise ProcessorError("need rise >= 1, flat >= 0 and 2 * rise + flat <= n")
    before = np.floor(t_pickoff)
    if not (before >= 2 * rise + flat - 1 and np.ceil(t_pickoff) < len(w_in)) or has_nan(w_in):
        return
    value = trapezoid_at(w_in, rise, flat, int(before))
    if t_pickoff > before:
        after = trapezoid_at(w_in, rise, flat, int(before) + 1)
        value += (t_pickoff - before) * (after - value)
    a_out[0] = value
