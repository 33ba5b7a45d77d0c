"""Fourier and wavelet transforms, and convolutions by way of them; whole blocks by scipy.fft."""

from __future__ import annotations

import numpy as np

from pygama_core.dsp.processors._block import blank, letter, missing
from pygama_core.dsp.registry import processor
from pygama_core.errors import ProcessorError


def _check_spectrum(n: int, n_spectrum: int) -> None:
    if n_spectrum != n // 2 + 1:
        raise ProcessorError("a spectrum of n samples has n // 2 + 1 values; declare that length")


@processor("(n)->(m)", "f->c", compiled=False)
def fft(w_in: np.ndarray, dft_out: np.ndarray) -> None:
    """Discrete Fourier transform of a real waveform, ``out[k] = sum_i in[i] exp(-2 pi i k / n)`` for 0 <= k <= n/2.

    Parameters
    ----------
    w_in : (n,) [ADC]
    dft_out : (n // 2 + 1,) complex [ADC]; all NaN if any sample is

    Raises
    ------
    ProcessorError : if the output has another length
    """
    from scipy.fft import rfft

    _check_spectrum(w_in.shape[-1], dft_out.shape[-1])
    dft_out[...] = rfft(w_in, axis=-1)
    blank(dft_out, missing(w_in))


@processor("(m)->(n)", "c->f", compiled=False)
def ifft(dft_in: np.ndarray, w_out: np.ndarray) -> None:
    """Waveform of a spectrum, the inverse of :func:`fft`.

    Parameters
    ----------
    dft_in : (n // 2 + 1,) complex [ADC]
    w_out : (n,) [ADC]; all NaN if any value of the spectrum is

    Raises
    ------
    ProcessorError : if the lengths do not fit each other
    """
    from scipy.fft import irfft

    _check_spectrum(w_out.shape[-1], dft_in.shape[-1])
    w_out[...] = irfft(dft_in, n=w_out.shape[-1], axis=-1)
    blank(w_out, missing(dft_in))


@processor("(n)->(m)", "f->f", compiled=False)
def psd(w_in: np.ndarray, psd_out: np.ndarray) -> None:
    """Power spectrum, the squared modulus of :func:`fft` over n.

    Parameters
    ----------
    w_in : (n,) [ADC]
    psd_out : (n // 2 + 1,) [ADC**2]; all NaN if any sample is

    Raises
    ------
    ProcessorError : if the output has another length
    """
    from scipy.fft import rfft

    _check_spectrum(w_in.shape[-1], psd_out.shape[-1])
    spectrum = rfft(w_in, axis=-1)
    psd_out[...] = (spectrum.real**2 + spectrum.imag**2) / w_in.shape[-1]
    blank(psd_out, missing(w_in))


@processor("(n),(m),()->(p)", "f,f,i1->f", compiled=False)
def fft_convolve_wf(w_in: np.ndarray, kernel: np.ndarray, mode_in: np.ndarray, w_out: np.ndarray) -> None:
    """Convolve a waveform with a kernel by Fourier transforms, in float64; faster than convolve_wf for long kernels.

    Parameters
    ----------
    w_in : (n,) [ADC]
    kernel : (m,), m <= n
    mode_in : character; f full (p = n + m - 1), s same (p = n), v valid (p = n - m + 1)
    w_out : (p,) [ADC]; all NaN if any input is

    Raises
    ------
    ProcessorError : if the mode is unknown, m > n, or p does not fit the mode
    """
    from scipy.fft import irfft, next_fast_len, rfft

    n, m = w_in.shape[-1], kernel.shape[-1]
    ranges = {"f": (0, n + m - 1), "s": ((m - 1) // 2, n), "v": (m - 1, n - m + 1)}
    mode = letter(mode_in)
    if mode not in ranges:
        raise ProcessorError("unknown mode; there are f, s, v")
    first, length = ranges[mode]
    if m > n or w_out.shape[-1] != length:
        raise ProcessorError("need m <= n, and an output of n + m - 1 samples (f), n (s) or n - m + 1 (v)")
    # in mode v what wraps around falls on samples that are not wanted
    size = next_fast_len(n if mode == "v" else n + m - 1, real=True)
    product = rfft(w_in.astype(np.float64), size, axis=-1) * rfft(kernel.astype(np.float64), size, axis=-1)
    w_out[...] = irfft(product, size, axis=-1)[..., first : first + length]
    blank(w_out, missing(w_in) | missing(kernel))


@processor("(n),(m),(m)->(n)", "c,f8,f8->c", compiled=False)
def scale_spectrum(dft_in: np.ndarray, re: np.ndarray, im: np.ndarray, dft_out: np.ndarray) -> None:
    """Multiply a spectrum by ``re + i im``; the factory wiener_filter gives both.

    Parameters
    ----------
    dft_in : (n,) complex [ADC]; n = m, or n = m // 2 + 1 as of :func:`fft`
    re, im : (m,)
    dft_out : (n,) complex [ADC]; all NaN if any value of the spectrum is

    Raises
    ------
    ProcessorError : if the lengths do not fit each other
    """
    n, m = dft_in.shape[-1], re.shape[-1]
    if n not in (m, m // 2 + 1):
        raise ProcessorError("the filter was made for waveforms of another length")
    dft_out[...] = dft_in * (re[..., :n] + 1j * im[..., :n])
    blank(dft_out, missing(dft_in))


@processor("(n),(),(),()->(m)", "f,i4,i1,i1->f", compiled=False)
def discrete_wavelet_transform(
    w_in: np.ndarray, level: np.ndarray, wave_type: np.ndarray, coeff: np.ndarray, w_out: np.ndarray
) -> None:
    """Coefficients of the Haar wavelet at one level: sums (a) or differences (d) of pairs over the square root of 2.

    Parameters
    ----------
    w_in : (n,) [ADC]; an odd number of values at any level is completed by repeating the last
    level : >= 1; how often the sums are split
    wave_type : character; h and d both mean the Haar wavelet
    coeff : character; a for the approximation, d for the detail of the last level
    w_out : (m,) [ADC], m = ceil(n / 2**level); all NaN if any sample is

    Raises
    ------
    ProcessorError : if level < 1, a character is unknown, or the output has another length

    Notes
    -----
    Source: Mallat, IEEE Trans. Pattern Anal. Mach. Intell. 11 (1989) 674, doi:10.1109/34.192463.
    """
    depth, kind = int(np.asarray(level).flat[0]), letter(coeff)
    if depth < 1 or letter(wave_type) not in ("h", "d") or kind not in ("a", "d"):
        raise ProcessorError("need level >= 1, wave_type h or d, and coeff a or d")
    now = w_in.astype(np.float64)
    for i in range(depth):
        if now.shape[-1] % 2:
            now = np.concatenate([now, now[..., -1:]], axis=-1)
        even, odd = now[..., ::2], now[..., 1::2]
        now = (even - odd if kind == "d" and i == depth - 1 else even + odd) / np.sqrt(2.0)
    if now.shape[-1] != w_out.shape[-1]:
        raise ProcessorError("the output must have the number of samples divided by 2**level, rounded up at each level")
    w_out[...] = now
    blank(w_out, missing(w_in))
