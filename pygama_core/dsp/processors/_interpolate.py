"""Interpolation between samples, shared by pick-offs and upsampling."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.accelerate import jit


@jit("boolean(i1)")
def is_interpolation(mode: int) -> bool:
    """Whether the mode is one of n, f, c, l, h, s."""
    is_step = mode == ord("n") or mode == ord("f") or mode == ord("c")
    return is_step or mode == ord("l") or mode == ord("h") or mode == ord("s")


@jit("f8[::1](f4[::1])", "f8[::1](f8[::1])")
def second_derivatives(w: Any) -> Any:
    """Second derivatives of the natural cubic spline through all samples, by the tridiagonal algorithm."""
    n = len(w)
    second, right = np.zeros(n), np.zeros(n)
    for i in range(1, n - 1):
        pivot = 4.0 + second[i - 1]
        curvature = np.float64(w[i + 1]) - 2.0 * w[i] + w[i - 1]
        second[i] = -1.0 / pivot
        right[i] = (6.0 * curvature - right[i - 1]) / pivot
    second[n - 1] = 0.0
    for i in range(n - 2, 0, -1):
        second[i] = second[i] * second[i + 1] + right[i]
    return second


@jit("f8(f4[::1], i8)", "f8(f8[::1], i8)")
def slope_at(w: Any, i: int) -> float:
    """Central difference, one-sided at the ends."""
    low, high = max(i - 1, 0), min(i + 1, len(w) - 1)
    return float((np.float64(w[high]) - w[low]) / (high - low))


@jit("f8(f4[::1], f8[::1], f8, i1)", "f8(f8[::1], f8[::1], f8, i1)")
def interpolate(w: Any, second: Any, t: float, mode: int) -> float:
    """Value at a time t >= 0; only mode s reads ``second``. Steps and lines hold the last sample, cubics go on."""
    last = len(w) - 1
    if mode == ord("n"):
        return float(w[min(int(np.floor(t + 0.5)), last)])
    if mode == ord("f"):
        return float(w[min(int(np.floor(t)), last)])
    if mode == ord("c"):
        return float(w[min(int(np.ceil(t)), last)])
    if mode == ord("l"):
        i = min(int(np.floor(t)), last)
        return float(w[i] + (t - i) * (np.float64(w[min(i + 1, last)]) - w[i]))
    i = min(int(np.floor(t)), last - 1)
    x = t - i
    y = 1.0 - x
    left, right = np.float64(w[i]), np.float64(w[i + 1])
    if mode == ord("h"):
        ends = y * y * (1.0 + 2.0 * x) * left + x * x * (1.0 + 2.0 * y) * right
        return float(ends + x * y * y * slope_at(w, i) - x * x * y * slope_at(w, i + 1))
    bend = (y * y * y - y) * second[i] + (x * x * x - x) * second[i + 1]
    return float(y * left + x * right + bend / 6.0)
