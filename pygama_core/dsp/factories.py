"""Processors that a configuration makes from ``init_args``: what depends on them is computed once, as constants.

A factory takes the evaluated ``init_args`` and returns the processor to call and the constants that follow the
recipe's own inputs; so a plan stays plain data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pygama_core.dsp.units import Quantity
from pygama_core.dsp.values import Ref, Value, describe, is_number, quantity
from pygama_core.errors import ConfigError

Constants = tuple[Any, ...]


@dataclass(frozen=True)
class Bound:
    """A processor with the constants that follow the recipe's inputs."""

    processor: str
    constants: Constants = ()


def _tuples(array: np.ndarray) -> Any:
    """Return an array as nested tuples of Python numbers."""
    return tuple(map(_tuples, array)) if array.ndim else array.item()


def poly_fit(length: Value, deg: Value) -> Bound:
    """Least-squares polynomial: ``init_args: [length, degree]``, ``args: [w_in(length), poly_pars(degree + 1)]``.

    The sample index is scaled to 0 ... 1 before the fit, so that high degrees keep their digits.
    """
    n, degree = _whole(length, "length"), _whole(deg, "deg")
    if not 0 <= degree < n:
        raise ConfigError(f"poly_fit: degree {degree} for {n} samples; need 0 <= degree < length")
    scale = max(n - 1, 1)
    powers = np.vander(np.arange(n) / scale, degree + 1, increasing=True)
    inverse = np.linalg.pinv(powers) / np.float64(scale) ** np.arange(degree + 1)[:, np.newaxis]
    return Bound("poly_fit_apply", (_tuples(inverse),))


def iir_filter(  # noqa: PLR0913 (the arguments of configurations)
    freq: Value,
    order: Value,
    rp: Value | None = None,
    rs: Value | None = None,
    f_samp: Value | None = None,
    ftype: Value = "butter",
    btype: Value = "lowpass",
) -> Bound:
    """Recursive filter by SciPy's designs, in the steady state of the first sample at its start.

    ``freq`` [Hz], two for bandpass and bandstop, or parts of the Nyquist frequency without ``f_samp``; ``f_samp`` is
    a frequency, or a variable whose sampling rate is taken; ``rp``, ``rs`` [dB]; ``ftype`` butter, cheby1, cheby2,
    ellip, bessel; ``btype`` lowpass, highpass, bandpass, bandstop.
    """
    from scipy.signal import iirfilter

    pair = btype in ("bandpass", "bandstop")
    if btype not in ("lowpass", "highpass", "bandpass", "bandstop"):
        raise ConfigError(f"iir_filter: btype {btype!r}; there are lowpass, highpass, bandpass, bandstop")
    given = freq if isinstance(freq, tuple) else (freq,)
    if len(given) != 1 + pair:
        raise ConfigError(f"iir_filter: {len(given)} frequencies; {btype} needs {1 + pair}")
    critical = [_part_of_nyquist(f, f_samp, "iir_filter") for f in given]
    ripple = [None if x is None else float(quantity(x).value) for x in (rp, rs)]
    try:
        a, b = iirfilter(
            _whole(order, "order"),
            critical if pair else critical[0],
            rp=ripple[0],
            rs=ripple[1],
            btype=str(btype),
            ftype=str(ftype),
        )
    except ValueError as error:
        raise ConfigError(f"iir_filter: {error}") from error
    return _recursive(a, b, float(np.sum(a) / np.sum(b)))


def notch_filter(freq: Value, bandwidth: Value, f_samp: Value | None = None) -> Bound:
    """Suppress one frequency: ``init_args: [freq, bandwidth, f_samp]``, see :func:`iir_filter`."""
    from scipy.signal import iirnotch

    a, b = iirnotch(*_centre_and_quality(freq, bandwidth, f_samp, "notch_filter"))
    return _recursive(a, b, 1.0)


def peak_filter(freq: Value, bandwidth: Value, f_samp: Value | None = None) -> Bound:
    """Keep one frequency: ``init_args: [freq, bandwidth, f_samp]``, see :func:`iir_filter`."""
    from scipy.signal import iirpeak

    a, b = iirpeak(*_centre_and_quality(freq, bandwidth, f_samp, "peak_filter"))
    return _recursive(a, b, 0.0)


def wiener_filter(file_name_array: Value) -> Bound:
    """Wiener deconvolution of a spectrum: ``conj(H) / (|H|**2 + N/S)``.

    The file holds ``spms/processed/superpulse`` and ``spms/processed/noise_wf``; H is the spectrum of the superpulse
    over that of a delta of its height at its maximum, N and S are the power spectra of both.
    """
    from pygama_core import lh5

    names = file_name_array if isinstance(file_name_array, tuple) else (file_name_array,)
    path = Path(str(names[0]))
    read = [lh5.read(path, f"spms/processed/{name}") for name in ("superpulse", "noise_wf")]
    pulse, noise = (np.asarray(getattr(column, "values", ()), np.float64) for column in read)
    if pulse.ndim != 1 or pulse.shape != noise.shape or not len(pulse) or not pulse.argmax():
        raise ConfigError(
            f"wiener_filter: {path}: superpulse of shape {pulse.shape}, noise_wf of {noise.shape}; need two arrays of "
            f"one length, and the pulse's maximum after its first sample"
        )
    spectrum = np.fft.fft(pulse)
    response = spectrum / np.fft.fft(np.where(np.arange(len(pulse)) == pulse.argmax(), pulse.max(), 0.0))
    ratio = np.abs(np.fft.fft(noise)) ** 2 / np.abs(spectrum) ** 2
    weights = np.conj(response) / (np.abs(response) ** 2 + ratio)
    return Bound("scale_spectrum", (_tuples(weights.real), _tuples(weights.imag)))


SVM_ARRAYS = ("support_vectors", "dual_coef", "intercept", "n_support", "classes", "gamma")


def svm_predict(svm_file: Value) -> Bound:
    """Support vector machine with radial kernel, from a NumPy file (.npz) of the fitted machine's arrays; 0 gives NaN.

    The names are those of scikit-learn's SVC: ``support_vectors, dual_coef, intercept, n_support, classes, gamma``.
    Its pickles are not read, because loading one can execute any code; docs/reference/processors.md shows the export.
    """
    if svm_file == 0 or svm_file == "0":
        return Bound("no_result")
    path = Path(str(svm_file))
    try:
        with np.load(path, allow_pickle=False) as arrays:
            missing = [name for name in SVM_ARRAYS if name not in arrays]
            if missing:
                raise ConfigError(f"svm_predict: {path}: no {', '.join(missing)}; need {', '.join(SVM_ARRAYS)}")
            content = [np.asarray(arrays[name], np.float64) for name in SVM_ARRAYS]
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"svm_predict: {path} is no NumPy file of arrays: {error}; export the machine's arrays with numpy.savez"
        ) from error
    vectors, weights, intercepts, counts, classes, gamma = content
    if len(classes) == 2:  # scikit-learn negates both for two classes
        weights, intercepts = -weights, -intercepts
    return Bound("svm_vote", tuple(map(_tuples, (vectors, weights, intercepts, counts, classes, gamma.reshape(())))))


def tf_model(filepath: Value) -> Bound:
    """TensorFlow model; 0 or no file gives NaN as in dspeed, an existing file is an error: use the dense layers."""
    if filepath == 0 or not Path(str(filepath)).exists():
        return Bound("no_result")
    raise ConfigError(
        f"tf_model: {filepath}: TensorFlow models are not executed; write the network with dense_layer_with_bias, "
        f"classification_layer_with_bias and normalisation_layer"
    )


FACTORIES: Mapping[str, Callable[..., Bound]] = {
    f.__name__: f for f in (iir_filter, notch_filter, peak_filter, poly_fit, svm_predict, tf_model, wiener_filter)
}
FILE_FACTORIES = ("svm_predict", "tf_model", "wiener_filter")  # their arguments are paths, not expressions


def bind(name: str, arguments: list[Any], keywords: Mapping[str, Any]) -> Bound:
    """Call a factory.

    Raises
    ------
    ConfigError : if the arguments do not fit it
    """
    import inspect

    make = FACTORIES[name]
    try:
        inspect.signature(make).bind(*arguments, **keywords)
    except TypeError as error:
        takes = ", ".join(inspect.signature(make).parameters)
        raise ConfigError(f"{name}: init_args: {error}; it takes {takes}") from error
    return make(*arguments, **keywords)


def _whole(value: Value, what: str) -> int:
    if not is_number(value) or float(value) != round(float(value)):  # type: ignore[arg-type]
        raise ConfigError(f"{what} must be a whole number, found {describe(value)}")
    return round(float(value))  # type: ignore[arg-type]


def _rate(f_samp: Value) -> Quantity:
    """Return a sampling rate [1/ns], or a plain number."""
    if not isinstance(f_samp, Ref):
        return quantity(f_samp)
    if f_samp.time_axis is None:
        raise ConfigError("f_samp is a variable without a time axis; give a frequency, such as 62.5*MHz")
    return Quantity(1.0 / f_samp.time_axis.period, -1)


def _part_of_nyquist(freq: Value, f_samp: Value | None, name: str) -> float:
    frequency, rate = quantity(freq), Quantity(2.0, 0) if f_samp is None else _rate(f_samp)
    if frequency.power != rate.power:
        raise ConfigError(f"{name}: freq and f_samp must both be frequencies, or both numbers")
    part = 2 * frequency.value / rate.value
    if not 0 < part < 1:
        raise ConfigError(f"{name}: frequency is {part:g} of the Nyquist frequency; need more than 0 and less than 1")
    return float(part)


def _centre_and_quality(freq: Value, bandwidth: Value, f_samp: Value | None, name: str) -> tuple[float, float]:
    centre, width = quantity(freq), quantity(bandwidth)
    if centre.power != width.power or not width.value > 0:
        raise ConfigError(f"{name}: freq and bandwidth must be of one unit, and bandwidth > 0")
    return _part_of_nyquist(freq, f_samp, name), centre.value / width.value


def _recursive(a: np.ndarray, b: np.ndarray, gain: float) -> Bound:
    return Bound("filter_from_rest", (_tuples(np.asarray(a)), _tuples(np.asarray(b)), gain))
