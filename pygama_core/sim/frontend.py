"""Electronics: charge -> amplifier -> noise -> ADC, the same for HPGe, SiPM and pulser channels.

An amplifier is a low-pass (rise) followed by an exponential decay; as recursions on samples these are the exact
inverses of the pole-zero correction, so that the true charge is the height of the corrected signal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pygama_core.accelerate import jit

FULL_SCALE = 65520  # highest value of a FlashCam ADC; the lowest is 0
BASELINE_SAMPLES = 1000  # most samples of the FPGA's baseline mean
ENERGY_GAP, ENERGY_SAMPLES = 128, 256  # the FPGA's energy: mean of a window behind the trigger, minus the baseline
SLOW_STEP = 16  # [samples] grid of the low-frequency noise, interpolated between
WINDOW = 6.0  # [sigma] how far the current peak is followed

CHARGE_DTYPE = np.dtype(
    [
        ("row", "i8"),  # trace it arrives in
        ("time", "f8"),  # [samples] of the deposit since the start of the trace; negative: earlier
        ("drift", "f8"),  # [samples] until it reaches the contact
        ("width", "f8"),  # [samples] sigma of the current peak then
        ("charge", "f8"),  # [ADC]
        ("slow", "f8"),  # share that rises evenly during the drift
    ]
)


@dataclass(frozen=True, eq=False)
class Traces:
    """The traces of a block of events."""

    event: np.ndarray  # (n_traces,) int64 event number
    channel: np.ndarray  # (n_traces,) int64 trace index
    start: np.ndarray  # (n_traces,) int64 [ns] time of the first sample
    n_samples: int

    def __len__(self) -> int:
        return len(self.event)


@dataclass(frozen=True, eq=False)
class Digitised:
    """What the ADC delivers, and what only the simulation knows."""

    words: np.ndarray  # (n_traces, 2 + n_samples) uint16: FPGA baseline, FPGA energy, samples
    n_low: np.ndarray  # (n_traces,) int64 samples at 0
    n_high: np.ndarray  # (n_traces,) int64 samples at full scale
    history: np.ndarray  # (n_traces,) float64 [ADC] signal of earlier deposits before the first sample


def digitise(
    traces: Traces, charges: np.ndarray, electronics: np.ndarray, trigger_sample: int, rng: np.random.Generator
) -> Digitised:
    """Turn charges (n,) of CHARGE_DTYPE into traces; ``electronics`` (n_channels,) of ELECTRONICS."""
    n, n_samples = len(traces), traces.n_samples
    own = electronics[traces.channel]
    steps = np.zeros((n, n_samples), dtype=np.float64)
    history = np.zeros(n, dtype=np.float64)
    table = np.column_stack([charges[name] for name in ("time", "drift", "width", "charge", "slow")])
    add_charges(np.ascontiguousarray(charges["row"]), table, np.ascontiguousarray(own["decay"]), steps, history)
    white = rng.standard_normal((n, n_samples), dtype=np.float32)
    slow = rng.standard_normal((n, n_samples // SLOW_STEP + 2), dtype=np.float32)
    words = np.zeros((n, 2 + n_samples), dtype=np.uint16)
    amplify(_matrix(own), history, steps, white, slow, words)
    fpga_words(words, trigger_sample)
    samples = words[:, 2:]
    n_low, n_high = np.count_nonzero(samples == 0, axis=1), np.count_nonzero(samples == FULL_SCALE, axis=1)
    return Digitised(words, n_low, n_high, history)


def _matrix(electronics: np.ndarray) -> np.ndarray:
    """Return (n, 6) float64 for the kernel: baseline, decay, smoothing, white, slow noise, its correlation per step."""
    correlation = np.exp(-SLOW_STEP / electronics["slow_noise_time"])
    names = ("baseline", "decay", "smoothing", "white_noise", "slow_noise")
    return np.column_stack([*(electronics[name] for name in names), correlation])


@jit("f8(f8, f8, f8, f8)")
def collected(time, drift, width, slow):  # type: ignore[no-untyped-def]
    """Return the share of a site's charge signal that is there ``time`` samples after the deposit.

    An even rise during the drift, then a Gaussian current peak when the charge comes close to the contact: the shape
    of point-contact detectors. All arguments but ``slow`` [1] are in [samples].
    """
    ramp = 0.0 if time <= 0.0 else (1.0 if time >= drift else time / drift)
    peak = 0.5 * (1.0 + math.erf((time - drift) / (width * math.sqrt(2.0))))
    return slow * ramp + (1.0 - slow) * peak


@jit("void(i8[::1], f8[:,::1], f8[::1], f8[:,::1], f8[::1])")
def add_charges(rows, charges, decay, steps, history):  # type: ignore[no-untyped-def]
    """Add to each trace the charge that arrives at each sample, and what earlier charge has left at its start.

    What arrives before the first sample is not smoothed by the low-pass, which forgets it in some samples anyway.

    Parameters
    ----------
    rows
        (n,) int64 trace of each arrival
    charges
        (n, 5) float64: time, drift, width [samples], charge [ADC], slow share [1]
    decay
        (n_traces,) float64 signal left after one sample
    steps
        (n_traces, n_samples) float64 [ADC]; added to
    history
        (n_traces,) float64 [ADC]; added to
    """
    n_samples = steps.shape[1]
    for k in range(len(rows)):
        row = rows[k]
        time, drift, width, charge, slow = charges[k, 0], charges[k, 1], charges[k, 2], charges[k, 3], charges[k, 4]
        first = math.floor(time + min(0.0, drift - WINDOW * width))
        last = math.ceil(time + drift + WINDOW * width)
        if last < 0:
            history[row] += charge * decay[row] ** (-1.0 - time - drift)
            continue
        before = 0.0
        for i in range(first, last + 1):
            now = 1.0 if i == last else collected(i - time, drift, width, slow)
            if 0 <= i < n_samples:
                steps[row, i] += charge * (now - before)
            elif i < 0:
                history[row] += charge * (now - before) * decay[row] ** (-1.0 - i)
            before = now


@jit("void(f8[:,::1], f8[::1], f8[:,::1], f4[:,::1], f4[:,::1], u2[:,::1])")
def amplify(electronics, history, steps, white, slow, words):  # type: ignore[no-untyped-def]
    """Filter the steps, add noise and baseline, round and clip; see :func:`digitise` for the arrays.

    ``history`` is the signal one sample before the trace; ``white`` and ``slow`` are standard normal numbers.
    """
    n_samples = steps.shape[1]
    for row in range(len(steps)):
        baseline, decay, smoothing = electronics[row, 0], electronics[row, 1], electronics[row, 2]
        white_noise, slow_noise, correlation = electronics[row, 3], electronics[row, 4], electronics[row, 5]
        innovation = slow_noise * math.sqrt(1.0 - correlation * correlation)
        signal, input_ = history[row], 0.0
        drift = slow_noise * slow[row, 0]  # of the noise: first-order autoregression, linear between grid points
        slope = 0.0
        for i in range(n_samples):
            if i % SLOW_STEP == 0:
                following = correlation * drift + innovation * slow[row, i // SLOW_STEP + 1]
                slope = (following - drift) / SLOW_STEP
            input_ = smoothing * input_ + (1.0 - smoothing) * steps[row, i]
            signal = decay * signal + input_
            value = math.floor(baseline + signal + drift + white_noise * white[row, i] + 0.5)
            drift += slope
            words[row, i + 2] = min(max(value, 0), FULL_SCALE)


def fpga_words(words: np.ndarray, trigger_sample: int) -> None:
    """Fill the two leading words: the baseline, and how far the signal lies above it behind the trigger (>= 0)."""
    samples = words[:, 2:]
    baseline = samples[:, : min(BASELINE_SAMPLES, trigger_sample // 2)].mean(axis=1)
    begin = trigger_sample + ENERGY_GAP
    window = samples[:, begin : begin + ENERGY_SAMPLES]
    height = window.mean(axis=1) - baseline if window.shape[1] else np.zeros(len(words))
    words[:, 0] = np.rint(baseline)
    words[:, 1] = np.rint(height.clip(0, 65535))
