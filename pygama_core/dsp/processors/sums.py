"""Steps that the fused engine puts in place of others, so that shapers of one waveform share its running sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.dsp.processors._sums import prefix_sums
from pygama_core.dsp.processors.convolution import convolve_boxed, longest_run, output_range
from pygama_core.dsp.processors.pole_zero import correct_and_sum, decay_per_sample
from pygama_core.dsp.processors.trapezoid import box_difference
from pygama_core.dsp.registry import processor
from pygama_core.errors import ProcessorError


@processor("(n)->(m)", "f->f8")
def running_sums(w_in: Any, sums: Any) -> None:
    """Sums of the first 0, 1, … n samples, (n + 1,); NaN from the first NaN on."""
    if len(sums) != len(w_in) + 1:
        raise ProcessorError("running sums of n samples are n + 1")
    prefix_sums(w_in, sums)


@processor("(n),()->(n),(m)", "f,f8->f,f8")
def pole_zero_with_sums(w_in: Any, t_tau: Any, w_out: Any, sums: Any) -> None:
    """``pole_zero`` and the running sums of its result.

    Raises
    ------
    ProcessorError : if t_tau < 0, or sums has not n + 1 samples
    """
    if t_tau < 0 or len(sums) != len(w_in) + 1:
        raise ProcessorError("t_tau must be >= 0, and the running sums of n samples are n + 1")
    correct_and_sum(w_in, decay_per_sample(t_tau), w_out, sums)


@processor("(m),(),(),(),(),()->(n)", "f8,i8,i8,i8,f8,f8->f")
def box_of_sums(  # noqa: PLR0913 (a shaper in full)
    sums: Any, rise: Any, flat: Any, fall: Any, late_scale: Any, early_scale: Any, w_out: Any
) -> None:
    """Trapezoidal shaper from running sums; parameters as of :func:`box_difference`, which are valid."""
    box_difference(sums, rise, flat, fall, late_scale, early_scale, w_out)


@processor("(n),(m),(k),()->(p)", "f,f8,f,i1->f")
def convolve_wf_of_sums(w_in: Any, sums: Any, kernel: Any, mode_in: Any, w_out: Any) -> None:
    """Convolution with a kernel that has a long run of equal taps, as ``convolve_wf``.

    Raises
    ------
    ProcessorError : if the mode is unknown, or lengths do not fit it
    """
    first = output_range(len(w_in), len(kernel), mode_in, len(w_out))
    run = np.empty(2, np.int64)
    longest_run(kernel, run)
    if sums[len(w_in)] != sums[len(w_in)]:
        w_out[:] = np.nan
        return
    convolve_boxed(w_in, sums, kernel, run, first, w_out)
