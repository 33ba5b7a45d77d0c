"""Filter kernels for energies and slopes; computed once for a chain and applied by a convolution."""

from __future__ import annotations

import numpy as np

from pygama_core.dsp.registry import processor
from pygama_core.errors import ProcessorError


def _sinh_ratio(x: np.ndarray, top: np.ndarray) -> np.ndarray:
    """Return sinh(x) / sinh(top) for 0 <= x <= top without overflow."""
    return np.asarray(np.exp(x - top) * np.expm1(-2 * x) / np.expm1(-2 * top))


def _flanks(sigma: np.ndarray, flat: np.ndarray, decay: np.ndarray, m: int) -> tuple[np.ndarray, ...]:
    """Return the index, the distance to the near end, the length of a flank and where the flat top is."""
    if (sigma < 0).any() or (flat < 0).any() or (flat != np.floor(flat)).any() or (decay < 0).any():
        raise ProcessorError("need sigma >= 0, a whole flat >= 0 and decay >= 0")
    if (flat >= m).any():
        raise ProcessorError("the flat top is as long as the kernel; declare a longer kernel")
    index = np.arange(m)
    length = np.floor((m - flat) / 2)
    rising, top = index < length, (index >= length) & (index <= length + flat)
    return np.where(rising, index, m - index), length, top


def _cusp(sigma: np.ndarray, distance: np.ndarray, length: np.ndarray, top: np.ndarray) -> np.ndarray:
    return np.where(top, 1.0, _sinh_ratio(distance / sigma, length / sigma))


def _undo_decay(base: np.ndarray, decay: np.ndarray, kernel: np.ndarray) -> None:
    """Subtract from each sample what the preamplifier's decay leaves of the one before."""
    kernel[...] = base
    kernel[..., 1:] -= np.exp(-1.0 / decay) * base[..., :-1]


@processor("(),(),()->(p)", "f8,f8,f8->f", compiled=False)
def cusp_filter(sigma: np.ndarray, flat: np.ndarray, decay: np.ndarray, kernel: np.ndarray) -> None:
    """Cusp of finite length with a flat top, followed by the deconvolution of an exponential decay.

    ``base[j] = sinh(j/sigma) / sinh(l/sigma)`` for j < l, 1 for l <= j <= l + flat, mirrored after that, with
    ``l = (m - flat) // 2``; ``kernel[j] = base[j] - exp(-1/decay) base[j-1]``.

    Parameters
    ----------
    sigma : [samples]; shaping time, 0 gives NaN
    flat : [samples]; whole number, length of the flat top
    decay : [samples]; decay time of the signal; the waveform must not be pole-zero corrected
    kernel : (m,)

    Raises
    ------
    ProcessorError : if sigma or decay is negative, or flat negative, not whole or not shorter than the kernel

    Notes
    -----
    Source: Kalinin and Bednyakov, EPJ C 75 (2015) 255 (GERDA), doi:10.1140/epjc/s10052-015-3409-6, section 2.
    """
    sigma, flat, decay = (x[..., np.newaxis] for x in (sigma, flat, decay))
    distance, length, top = _flanks(sigma, flat, decay, kernel.shape[-1])
    _undo_decay(_cusp(sigma, distance, length, top), decay, kernel)


@processor("(),(),()->(p)", "f8,f8,f8->f", compiled=False)
def zac_filter(sigma: np.ndarray, flat: np.ndarray, decay: np.ndarray, kernel: np.ndarray) -> None:
    """Zero-area cusp: a cusp minus parabolas under its flanks, then the deconvolution of an exponential decay.

    With the cusp of :func:`cusp_filter` and ``parabola[j] = (j - l/2)**2 - (l/2)**2`` on the flanks, 0 on the flat
    top, the kernel before the deconvolution is ``cusp - parabola * sum(cusp) / sum(parabola)``.

    Parameters
    ----------
    sigma, flat, decay : as for cusp_filter
    kernel : (m,)

    Raises
    ------
    ProcessorError : as cusp_filter

    Notes
    -----
    Source: GERDA collaboration, EPJ C 75 (2015) 255, doi:10.1140/epjc/s10052-015-3409-6.
    """
    sigma, flat, decay = (x[..., np.newaxis] for x in (sigma, flat, decay))
    distance, length, top = _flanks(sigma, flat, decay, kernel.shape[-1])
    cusp = _cusp(sigma, distance, length, top)
    parabola = np.where(top, 0.0, (distance - length / 2) ** 2 - (length / 2) ** 2)
    area = cusp.sum(axis=-1, keepdims=True) / parabola.sum(axis=-1, keepdims=True)
    _undo_decay(cusp - parabola * area, decay, kernel)


@processor("(n,n),(m),(),(),(),()->(n)", "f8,f8,f8,f8,f8,f8->f", compiled=False)
def dplms(  # noqa: PLR0913 (the arguments of configurations)
    noise_mat: np.ndarray,
    reference: np.ndarray,
    a1: np.ndarray,
    a2: np.ndarray,
    a3: np.ndarray,
    ff: np.ndarray,
    kernel: np.ndarray,
) -> None:
    """Kernel by the digital penalised least mean squares method, for the noise and pulse shape that were measured.

    Solves ``(a1 N + a2 R + a3 1) x = s``, where R and s are the mean outer product and the sum of the central n
    samples of the reference, shifted by -1, 0 and 1; the kernel is x reversed, scaled so that its valid convolution
    with the reference has the maximum 1.

    Parameters
    ----------
    noise_mat : (n, n) [ADC**2]; covariance of the noise
    reference : (m,) [ADC], m >= n + 2; mean pulse
    a1, a2, a3 : weights > 0 of the noise, of the reference and of the kernel's area
    ff : 1, the flat top
    kernel : (n,)

    Raises
    ------
    ProcessorError : if a weight is not > 0, ff is not 1, or the reference is shorter than n + 2

    Notes
    -----
    Source: D'Andrea et al., EPJ C 83 (2023) 149, doi:10.1140/epjc/s10052-023-11299-z.
    """
    n, n_reference = kernel.shape[-1], reference.shape[-1]
    if any((weight <= 0).any() for weight in (a1, a2, a3)) or (ff != 1).any():
        raise ProcessorError("need a1 > 0, a2 > 0, a3 > 0 and ff = 1")
    first = int(n_reference / 2 - n / 2)
    if first < 1 or first + n + 1 > n_reference:
        raise ProcessorError("the reference must be at least 2 samples longer than the kernel")
    shifted = np.stack([reference[..., first + i : first + i + n] for i in (-1, 0, 1)], axis=-2)
    outer = np.swapaxes(shifted, -1, -2) @ shifted / 3
    a1, a2, a3 = (a[..., np.newaxis, np.newaxis] for a in (a1, a2, a3))
    solved = np.linalg.solve(a1 * noise_mat + a2 * outer + a3, shifted.sum(axis=-2)[..., np.newaxis])[..., ::-1, 0]
    windows = np.lib.stride_tricks.sliding_window_view(reference, n, axis=-1)
    height = (windows @ solved[..., ::-1, np.newaxis])[..., 0].max(axis=-1)
    kernel[...] = solved / height[..., np.newaxis]


@processor("->(p)", "->f", compiled=False)
def moving_slope(kernel: np.ndarray) -> None:
    """Kernel whose valid convolution is the least-squares slope of each window [1/sample].

    Parameters
    ----------
    kernel : (m,), m >= 2

    Raises
    ------
    ProcessorError : if m < 2
    """
    m = kernel.shape[-1]
    if m < 2:
        raise ProcessorError("a slope needs a kernel of at least 2 samples")
    x = np.arange(m)[::-1] - (m - 1) / 2
    kernel[...] = x / (x * x).sum()


@processor("()->(p)", "f8->f", compiled=False)
def step(weight_pos: np.ndarray, kernel: np.ndarray) -> None:
    """Kernel that is -1 on its first quarter, +1 on its middle half and -1 on its last quarter.

    Parameters
    ----------
    weight_pos : not used, an argument of configurations
    kernel : (m,)
    """
    quarter = np.arange(kernel.shape[-1]) / kernel.shape[-1] * 4
    kernel[...] = np.where((quarter >= 1) & (quarter < 3), 1.0, -1.0)
