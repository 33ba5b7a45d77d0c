"""Parameters of a model fitted to each waveform; milliseconds for each, for calibrations only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pygama_core.dsp.registry import processor
from pygama_core.errors import ProcessorError


def _rows(n_core: int, *operands: np.ndarray) -> Iterator[tuple[Any, ...]]:
    """Walk through a block; the first operand has one core axis if n_core is 1, the others none."""
    loop = np.broadcast_shapes(operands[0].shape[: operands[0].ndim - n_core], *(o.shape for o in operands[1:]))
    core = operands[0].shape[operands[0].ndim - n_core :]
    first = np.broadcast_to(operands[0], (*loop, *core))
    others = [np.broadcast_to(o, loop) for o in operands[1:]]
    for index in np.ndindex(loop):
        yield (np.array(index, int), first[index], *(o[index] for o in others))


def _tail(w: np.ndarray, t_beg: float, t_end: float) -> slice:
    if t_beg != np.floor(t_beg) or t_end != np.floor(t_end) or not 0 <= t_beg < t_end - 1 <= len(w) - 1:
        raise ProcessorError(
            "t_beg_in and t_end_in must be whole numbers with 0 <= t_beg_in, t_beg_in + 2 <= t_end_in <= n"
        )
    return slice(int(t_beg), int(t_end))


def _slope(w: np.ndarray) -> float:
    x = np.arange(len(w)) - (len(w) - 1) / 2
    return float(x @ w)


@processor("(n),(),(),(),()->()", "f,f8,f8,f8,f8->f", compiled=False)
def optimize_1pz(
    w_in: np.ndarray,
    a_baseline_in: np.ndarray,
    t_beg_in: np.ndarray,
    t_end_in: np.ndarray,
    p0_in: np.ndarray,
    val0_out: np.ndarray,
) -> None:
    """Decay time for which the pole-zero corrected waveform has no slope between two samples.

    The corrected waveform is linear in ``1 - exp(-1/tau)``, so the slope vanishes at
    ``exp(-1/tau) = 1 + slope(w) / slope(sum of w)``; nothing is searched for.

    Parameters
    ----------
    w_in : (n,) [ADC]
    a_baseline_in : [ADC]
    t_beg_in, t_end_in : [samples]; whole numbers, t_end_in is excluded
    p0_in : [samples]; start value of configurations, not needed
    val0_out : [samples]; NaN if any input is, or if no positive decay time makes the slope vanish

    Raises
    ------
    ProcessorError : if the range is not whole or not inside the waveform
    """
    for index, w, baseline, begin, end in _rows(1, w_in, a_baseline_in, t_beg_in, t_end_in):
        at = tuple(index)
        val0_out[at] = np.nan
        if np.isnan(w).any() or np.isnan([baseline, begin, end]).any():
            continue
        part, flat = _tail(w, begin, end), w.astype(np.float64) - baseline
        before = np.cumsum(flat) - flat
        slope = _slope(before[part])
        loss = -_slope(flat[part]) / slope if slope else np.nan
        if 0 < loss < 1:
            val0_out[at] = -1.0 / np.log1p(-loss)


def _corrected(flat: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return the double pole-zero correction of a waveform as a function of tau1, tau2 and frac."""
    from scipy.signal import lfilter, lfiltic

    def correct(parameters: np.ndarray) -> np.ndarray:
        tau_1, tau_2, frac = parameters
        a, b = np.exp(-1.0 / tau_1), np.exp(-1.0 / tau_2)
        d = frac * b - frac * a - b
        up, down = np.array([1.0, -(a + b), a * b]), np.array([1.0, d - 1.0, -d])
        start = lfiltic(up, down, y=[flat[1], flat[0]], x=[flat[1], flat[0]])
        return np.concatenate([flat[:2], lfilter(up, down, flat[2:], zi=start)[0]])

    return correct


@processor("(n),(),(),(),(),(),(),(),()->(),(),()", "f,f8,f8,f8,f8,f8,f8,f8,f8->f,f,f", compiled=False)
def optimize_2pz(  # noqa: PLR0913 (the arguments of configurations)
    w_in: np.ndarray,
    a_baseline_in: np.ndarray,
    t_beg_in: np.ndarray,
    t_end_in: np.ndarray,
    tau_upper_bound: np.ndarray,
    frac_upper_bound: np.ndarray,
    p0_in: np.ndarray,
    p1_in: np.ndarray,
    p2_in: np.ndarray,
    val0_out: np.ndarray,
    val1_out: np.ndarray,
    val2_out: np.ndarray,
) -> None:
    """Parameters of :func:`double_pole_zero` for which the corrected waveform is flattest between two samples.

    Minimises the scatter of the corrected samples about their mean. (dspeed minimises the modulus of their slope
    alone, one number for three parameters, so that its result is whatever its start values lead to.)

    Parameters
    ----------
    w_in : (n,) [ADC], n >= 4
    a_baseline_in : [ADC]
    t_beg_in, t_end_in : [samples]; whole numbers, t_end_in is excluded
    tau_upper_bound : [samples]; limit of both decay times
    frac_upper_bound : limit of the weight of the second
    p0_in, p1_in, p2_in : start values of tau1, tau2 [samples] and the weight
    val0_out, val1_out, val2_out : tau1, tau2 [samples] and the weight; NaN if any input is, or if no minimum is found

    Raises
    ------
    ProcessorError : if the range is not whole or not inside the waveform
    """
    from scipy.optimize import least_squares

    settings = (a_baseline_in, t_beg_in, t_end_in, tau_upper_bound, frac_upper_bound, p0_in, p1_in, p2_in)
    for index, w, baseline, begin, end, tau_max, frac_max, *start in _rows(1, w_in, *settings):
        at = tuple(index)
        val0_out[at] = val1_out[at] = val2_out[at] = np.nan
        if np.isnan(w).any() or np.isnan([baseline, begin, end, tau_max, frac_max, *start]).any():
            continue
        part, correct = _tail(w, begin, end), _corrected(w.astype(np.float64) - baseline)

        def residual(
            x: np.ndarray, part: slice = part, correct: Callable[[np.ndarray], np.ndarray] = correct
        ) -> np.ndarray:
            tail = correct(x)[part]
            return np.asarray(tail - tail.mean())

        low, high = np.array([1e-3, 1e-3, 0.0]), np.array([tau_max, tau_max, frac_max])
        found = least_squares(residual, np.clip(start, low, high), bounds=(low, high), x_scale=np.maximum(start, 1e-3))
        if found.success:
            val0_out[at], val1_out[at], val2_out[at] = found.x


@processor("(m,n),(m),(),(),(),()->(n)", "f,f,f8,f8,b1,f8->f", compiled=False)
def optimize_nnls(  # noqa: PLR0913 (the arguments of configurations)
    a: np.ndarray,
    b: np.ndarray,
    maxiter: np.ndarray,
    tol: np.ndarray,
    allow_singularity: np.ndarray,
    min_value: np.ndarray,
    x: np.ndarray,
) -> None:
    """Non-negative least squares, ``argmin |A x - b|`` with x >= 0.

    Parameters
    ----------
    a : (m, n)
    b : (m,)
    maxiter : most exchanges of unknowns that became negative
    tol : gradients below it do not bring an unknown in
    allow_singularity : True gives NaN when the chosen columns of A depend on each other, False is an error then
    min_value : unknowns at or below it are set to 0
    x : (n,); NaN if any value of b is

    Raises
    ------
    ProcessorError : if the chosen columns of A depend on each other and allow_singularity is not set

    Notes
    -----
    Source: Bro and de Jong, J. Chemometrics 11 (1997) 393,
    doi:10.1002/(SICI)1099-128X(199709/10)11:5<393::AID-CEM483>3.0.CO;2-L.
    """
    loop = x.shape[:-1]
    a, b = np.broadcast_to(a, (*loop, *a.shape[-2:])), np.broadcast_to(b, (*loop, b.shape[-1]))
    settings = [np.broadcast_to(s, loop) for s in (maxiter, tol, allow_singularity, min_value)]
    for index in np.ndindex(loop):
        limits = [float(s[index]) for s in settings]
        if np.isnan(b[index]).any() or np.isnan(a[index]).any():
            x[index] = np.nan
            continue
        solution = _nnls(a[index].astype(np.float64), b[index].astype(np.float64), limits[0], limits[1], limits[3])
        if solution is None and not limits[2]:
            raise ProcessorError("the columns of a depend on each other; set allow_singularity to get NaN instead")
        x[index] = np.nan if solution is None else solution


def _nnls(a: np.ndarray, b: np.ndarray, max_exchanges: float, tolerance: float, floor: float) -> np.ndarray | None:
    """Return the solution, None if the normal equations become singular."""
    square, product = a.T @ a, a.T @ b
    x, free = np.zeros(len(product)), np.zeros(len(product), bool)
    n_exchanges = 0
    gradient = product.copy()
    while not free.all() and (gradient[~free] > tolerance).any():
        free[np.argmax(np.where(free, -np.inf, gradient))] = True
        trial = _solve(square, product, free)
        while trial is not None and n_exchanges < max_exchanges and trial[free].min() <= floor:
            n_exchanges += 1
            falling = free & (trial <= floor)
            step = (x[falling] / (x[falling] - trial[falling])).min()
            x += step * (trial - x)
            free &= x > tolerance
            trial = _solve(square, product, free)
        if trial is None:
            return None
        x, gradient = trial, product - square @ trial
        if n_exchanges >= max_exchanges:
            break
    return x


def _solve(square: np.ndarray, product: np.ndarray, free: np.ndarray) -> np.ndarray | None:
    x = np.zeros(len(product))
    if free.any():
        part = square[np.ix_(free, free)]
        if abs(np.linalg.det(part)) < np.finfo(np.float64).eps:
            return None
        x[free] = np.linalg.solve(part, product[free])
    return x
