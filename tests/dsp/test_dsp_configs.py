"""The configurations that ship, on pulses whose amplitude, decay time and rise are known."""

from pathlib import Path

import numpy as np
import pytest

from pygama_core.dsp.chain import ProcessingChain
from pygama_core.lh5.types import Array, Table, VectorOfVectors

CONFIGS = Path(__file__).parents[2] / "config" / "dsp"
PERIOD, TAU = 16.0, 300_000.0  # [ns]
RISE = 25  # [samples] from 0 to 100 %
AMPLITUDES = np.array([500.0, 2000.0, 8000.0, 30000.0])


def pulses(n_samples, start, amplitudes=AMPLITUDES, noise=2.0):
    t = np.arange(n_samples) - start
    shape = np.clip(t / RISE, 0, 1) * np.exp(-np.clip(t, 0, None) * PERIOD / TAU)
    clean = 15000 + np.asarray(amplitudes)[:, np.newaxis] * shape
    return np.rint(clean + np.random.default_rng(5).normal(scale=noise, size=clean.shape)).astype("u2")


def raw_table(values):
    n = len(values)
    in_ns = {"units": "ns"}
    waveform = {
        "t0": Array(np.zeros(n, "f4"), in_ns),
        "dt": Array(np.full(n, PERIOD, "f4"), in_ns),
        "values": Array(values),
    }
    timestamp = Array(1.7e9 + np.arange(n) / 3, {"units": "s", "description": "time"})
    return Table({"timestamp": timestamp, "eventnumber": Array(np.arange(n, dtype="i4")), "waveform": Table(waveform)})


def run(name, values, parameters=None):
    return ProcessingChain(CONFIGS / name, parameters=parameters, name="ch1").execute(raw_table(values))


def test_geds_finds_amplitude_times_and_flat_tail():
    start = 1900
    out = run("geds.yaml", pulses(4096, start), {"pz": {"tau1": TAU / PERIOD}})
    assert not any(np.isnan(column.values).any() for column in out.columns.values())
    for name in ("trapTmax", "trapEmax", "trapEftp"):  # the slow rise costs (rise time / 2 tau) of the height
        np.testing.assert_allclose(out.array(name), AMPLITUDES, rtol=2e-3, atol=1.5)
    np.testing.assert_allclose(out.array("bl_mean"), 15000, atol=0.3)
    np.testing.assert_allclose(out.array("bl_std"), 2, atol=0.15)
    np.testing.assert_allclose(out.array("tp_50"), PERIOD * (start + RISE / 2), atol=PERIOD * 1.1)
    np.testing.assert_allclose(out.array("tp_90") - out.array("tp_10"), PERIOD * 0.8 * RISE, atol=3 * PERIOD)
    np.testing.assert_allclose(out.array("tp_0_est")[2:], PERIOD * start, atol=6 * PERIOD)
    np.testing.assert_allclose(out.array("A_max"), AMPLITUDES / RISE, rtol=0.02, atol=1)
    np.testing.assert_allclose(out.array("pz_slope"), 0, atol=0.002)
    np.testing.assert_array_equal(out.array("drift_time"), out.array("tp_99") - out.array("tp_0_est"))
    assert out["drift_time"].attrs["units"] == "ns"
    assert (out.array("n_sat_hi") == 0).all()


def test_handed_through_columns_are_the_same_bytes_with_their_attributes():
    values = pulses(4096, 1900)
    out = run("geds.yaml", values)
    before = raw_table(values)
    for name in ("timestamp", "eventnumber"):
        assert out.array(name).tobytes() == before.array(name).tobytes()
        assert (out.array(name).dtype, out[name].attrs) == (before.array(name).dtype, before[name].attrs)


def test_geds_counts_saturated_samples():
    values = np.minimum(pulses(4096, 1900, [30000, 60000], noise=0.0).astype(float), 65520).astype("u2")
    values[1, 1930:] = 65520
    out = run("geds.yaml", values)
    np.testing.assert_array_equal(out.array("n_sat_hi"), (values == 65520).sum(axis=1))


def test_pole_zero_finds_the_decay_time():
    out = run("pole_zero.yaml", pulses(4096, 1900))
    np.testing.assert_allclose(out.array("tail_tau"), TAU, rtol=0.03)
    np.testing.assert_allclose(-PERIOD / out.array("tail_slope")[2:], TAU, rtol=2e-3)
    assert out["tail_slope"].attrs["units"] == "1/sample"


def test_puls():
    out = run("puls.yaml", pulses(4096, 1900))
    np.testing.assert_allclose(out.array("trapTmax"), AMPLITUDES, rtol=0.03)
    assert set(out) >= {"timestamp", "bl_mean", "bl_std", "wf_max"}


@pytest.mark.parametrize("n_samples", [1024, 1836, 4096, 6402, 8192])
@pytest.mark.parametrize("edge", [0.3, 0.5])
def test_short_waveforms_of_any_length(n_samples, edge):
    out = run("short_waveforms.yaml", pulses(n_samples, int(edge * n_samples)), {"pz": {"tau1": f"{TAU}*ns"}})
    assert not any(np.isnan(column.values).any() for column in out.columns.values())
    np.testing.assert_allclose(out.array("trapEmax"), AMPLITUDES, rtol=5e-3, atol=2)
    np.testing.assert_allclose(out.array("tp_50"), PERIOD * (int(edge * n_samples) + RISE / 2), atol=PERIOD * 1.1)


def test_spms_finds_every_pulse_and_no_other():
    rng = np.random.default_rng(11)
    n_rows, n_samples = 20, 4096
    t = np.arange(n_samples)
    values = 15000 + rng.normal(scale=1.5, size=(n_rows, n_samples))
    times = [np.sort(rng.choice(np.arange(200, 3900, 150), size=k, replace=False)) for k in np.arange(n_rows) % 5]
    for row, starts in zip(values, times, strict=True):
        for i, start in enumerate(starts):
            row += (i + 1) * 60 * np.where(t >= start, np.exp(-np.clip(t - start, 0, None) / 25), 0)
    out = run("spms.yaml", np.rint(values).astype("u2"), {"spm": {"threshold": 4.0}})
    energies, positions = out["energies"], out["trigger_pos"]
    assert isinstance(energies, VectorOfVectors)
    assert isinstance(positions, VectorOfVectors)
    for row, starts in enumerate(times):
        np.testing.assert_allclose(positions[row] / PERIOD, starts, atol=6)
        np.testing.assert_allclose(energies[row] / np.arange(1, len(starts) + 1), 60 / 5 * 0.9, rtol=0.15)
    assert positions.attrs["units"] == "ns"
    np.testing.assert_array_equal(out.array("n_pulses"), [len(starts) for starts in times])


@pytest.mark.parametrize("name", [path.name for path in sorted(CONFIGS.glob("*.yaml"))])
def test_every_configuration_runs_on_flat_and_empty_input(name):
    flat = run(name, np.full((3, 4096), 15000, "u2"))
    empty = run(name, np.empty((0, 4096), "u2"))
    assert {n: c.attrs for n, c in flat.columns.items()} == {n: c.attrs for n, c in empty.columns.items()}
    assert empty.n_rows == 0
