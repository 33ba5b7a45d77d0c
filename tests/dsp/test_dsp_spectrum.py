"""Transforms against their sums."""

import numpy as np
import pytest
from dsp_signals import NOISE, assert_close, dsp

from pygama_core.errors import ProcessorError


@pytest.mark.parametrize("n", [200, 199])
def test_fourier_transforms(n):
    w = NOISE[:n]
    k, i = np.arange(n // 2 + 1)[:, np.newaxis], np.arange(n)
    expected = (w * np.exp(-2j * np.pi * k * i / n)).sum(axis=1)
    spectrum = dsp("fft", w, np.empty(n // 2 + 1, "c16"))
    assert_close(spectrum, expected)
    assert_close(dsp("psd", w, np.empty(n // 2 + 1)), np.abs(expected) ** 2 / n)
    assert_close(dsp("ifft", spectrum, np.empty(n)), w)


@pytest.mark.parametrize(("mode", "numpy_mode"), [("f", "full"), ("s", "same"), ("v", "valid")])
@pytest.mark.parametrize("m", [1, 2, 133, 200])
def test_fft_convolve_wf_is_the_convolution(mode, numpy_mode, m):
    kernel = np.random.default_rng(3).normal(size=m)
    expected = np.convolve(NOISE, kernel, numpy_mode)
    assert_close(dsp("fft_convolve_wf", NOISE, kernel, ord(mode), np.empty(len(expected))), expected, 1e-10)


@pytest.mark.parametrize("n", [200, 101])
@pytest.mark.parametrize("level", [1, 2, 5])
def test_wavelet_levels_are_means_and_differences_of_ever_longer_pieces(n, level):
    size = n
    for _ in range(level):
        size = (size + 1) // 2
    whole = n // 2**level
    found = [dsp("discrete_wavelet_transform", NOISE[:n], level, ord("h"), ord(c), np.empty(size)) for c in "ad"]
    pieces = NOISE[: whole * 2**level].reshape(whole, 2, 2 ** (level - 1)).sum(axis=2) / 2 ** (level / 2)
    assert_close(found[0][:whole], pieces.sum(axis=1))
    assert_close(found[1][:whole], pieces[:, 0] - pieces[:, 1])
    again = dsp("discrete_wavelet_transform", NOISE[:n], level, ord("d"), ord("a"), np.empty(size))
    np.testing.assert_array_equal(again, found[0])


def test_scale_spectrum():
    w, re, im = NOISE[:20] + 1j * NOISE[20:40], NOISE[40:60], NOISE[60:80]
    assert_close(dsp("scale_spectrum", w, re, im), w * (re + 1j * im))
    assert_close(dsp("scale_spectrum", w[:11], re, im), w[:11] * (re + 1j * im)[:11])
    assert np.isnan(dsp("scale_spectrum", np.where(re == re[3], np.nan, w), re, im)).all()


@pytest.mark.parametrize(
    ("name", "arguments", "n_out"),
    [
        ("fft", (), 101),
        ("psd", (), 101),
        ("fft_convolve_wf", (np.ones(5), ord("s")), 200),
        ("discrete_wavelet_transform", (1, ord("h"), ord("a")), 100),
    ],
)
def test_a_missing_sample_spoils_its_row_only(name, arguments, n_out):
    block = np.stack([NOISE, np.where(np.arange(200) == 190, np.nan, NOISE), NOISE])
    dtype = complex if name == "fft" else float
    found = dsp(name, block, *arguments, np.empty((3, n_out), dtype))
    assert np.isnan(found[1]).all()
    np.testing.assert_allclose(found[2], dsp(name, NOISE, *arguments, np.empty(n_out, dtype)), atol=1e-12)
    if name == "fft":
        assert np.isnan(dsp("ifft", found, np.empty((3, 200)))[1]).all()


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("fft", (NOISE, np.empty(100, complex)), r"n // 2 \+ 1"),
        ("ifft", (NOISE[:101] + 0j, np.empty(202)), r"n // 2 \+ 1"),
        ("scale_spectrum", (NOISE + 0j, NOISE[:5], NOISE[:5]), "waveforms of another length"),
        ("psd", (NOISE, np.empty(100)), r"n // 2 \+ 1"),
        ("fft_convolve_wf", (NOISE, np.ones(3), ord("x"), np.empty(200)), "unknown mode"),
        ("fft_convolve_wf", (NOISE, np.ones(201), ord("s"), np.empty(200)), "need m <= n"),
        ("fft_convolve_wf", (NOISE, np.ones(3), ord("v"), np.empty(200)), "an output of"),
        ("discrete_wavelet_transform", (NOISE, 0, ord("h"), ord("a"), np.empty(200)), "level >= 1"),
        ("discrete_wavelet_transform", (NOISE, 1, ord("x"), ord("a"), np.empty(100)), "wave_type h or d"),
        ("discrete_wavelet_transform", (NOISE, 1, ord("h"), ord("x"), np.empty(100)), "coeff a or d"),
        ("discrete_wavelet_transform", (NOISE, 1, ord("h"), ord("a"), np.empty(99)), r"divided by 2\*\*level"),
    ],
)
def test_what_cannot_work_is_an_error(name, arguments, message):
    with pytest.raises(ProcessorError, match=message):
        dsp(name, *arguments)
