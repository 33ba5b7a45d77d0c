"""Convolutions by running sums against the sums themselves, and rewritten plans against plain ones."""

from pathlib import Path

import numpy as np
import pytest
from dsp_signals import NOISE, dsp
from dsp_tables import N_SAMPLES, VALUES, table

from pygama_core.dsp.chain import ProcessingChain
from pygama_core.errors import ProcessorError
from pygama_core.lh5.types import Array, Table

LANES = 16  # numbers that the processor compares at once
WALK = np.random.default_rng(5).normal(size=(2, 1500)).cumsum(axis=1)
GEDS = Path(__file__).parent / "configs" / "geds_reference.yaml"


def largest_difference(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("name", ["cusp_filter", "zac_filter"])
@pytest.mark.parametrize(("m", "flat"), [(1200, 188), (1201, 188), (1200, 0), (40, 3), (1500, 700)])
def test_flanks_by_running_sums(name, m, flat):
    kernel = dsp(name, 300.0, flat, 2800.0, np.empty(m))
    expected = np.array([np.convolve(w, kernel, "valid") for w in WALK])
    found = dsp("flank_convolve", WALK, 300.0, flat, 2800.0, name == "zac_filter", np.empty(expected.shape))
    assert largest_difference(found, expected) < 1e-10


def test_missing_samples():
    bad = np.where(np.arange(200) == 190, np.nan, NOISE)
    assert np.isnan(dsp("flank_convolve", bad, 30.0, 5, 90.0, 0, np.empty(20))).all()


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("flank_convolve", (NOISE, 0.0, 5, 90.0, 0, np.empty(20)), "need sigma > 0"),
        ("flank_convolve", (NOISE, 9.0, 178, 90.0, 0, np.empty(20)), "flat <= m - 4"),
    ],
)
def test_what_cannot_work_is_an_error(name, arguments, message):
    with pytest.raises(ProcessorError, match=message):
        dsp(name, *arguments)


@pytest.mark.parametrize("n", [1, LANES - 1, LANES, LANES + 1, 5 * LANES + 3])
def test_extrema_of_any_length_are_the_first_ones(n):
    w = np.random.default_rng(n).integers(-3, 4, n).astype("f4")
    assert dsp("min_max", w) == (w.argmin(), w.argmax(), w.min(), w.max())


def both(config, tb, **options):
    chains = [ProcessingChain(config, engine=engine, **options) for engine in ("plain", "fused")]
    return [chain.plan_for(tb) for chain in chains], [chain.execute(tb) for chain in chains]


def test_a_rewritten_germanium_chain_gives_the_same():
    values = np.zeros((6, 5592), "u2")
    for row, height in zip(values, (300, 1000, 4000, 9000, 20000, 0), strict=True):
        t = np.arange(5592) - 2700
        pulse = height * np.clip(t / 30, 0, 1) * np.exp(-np.clip(t, 0, None) / 27000)
        row[:] = np.rint(15000 + pulse + np.random.default_rng(height).normal(scale=3, size=5592))
    waveform = {"t0": np.zeros(6), "dt": np.full(6, 16.0), "values": values}
    tb = Table(
        {
            "baseline": Array(np.full(6, 15000, "u2")),
            "waveform": Table({name: Array(column, {"units": "ns"}) for name, column in waveform.items()}),
        }
    )
    plans, outs = both(GEDS, tb)
    replaced = {"convolve_wf_of_sums", "flank_convolve"}
    assert not replaced & {step.processor for step in plans[0].steps}
    assert replaced <= {step.processor for step in plans[1].steps}
    assert not {"cusp_filter", "zac_filter"} & {step.processor for step in plans[1].setup}
    for name in outs[0]:
        a, b = (out[name].values.astype(float) for out in outs)
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b), err_msg=name)
        assert np.nanmax(np.abs(a - b)) <= 2e-6 * max(np.nanmax(np.abs(a)), 1), name


KERNEL = {"module": "dspeed.processors", "function": "t0_filter"}
CONVOLVE = {"module": "dspeed.processors", "function": "convolve_wf"}


@pytest.mark.parametrize(
    ("kernel", "args"),
    [
        ({**KERNEL, "args": [4, 6, "kernel(10, 'f')"]}, ["wf", "kernel[1:]", "'s'", "y(100, 'f')"]),
        ({**KERNEL, "function": "step", "args": [1, "kernel(10, 'f')"]}, ["wf", "kernel", "'s'", "y(100, 'f')"]),
        (
            {**KERNEL, "function": "cusp_filter", "args": [0.5, 3, 50, "kernel(40, 'f')"]},  # grows too fast
            ["wf", "kernel", "'v'", "y(61, 'f')"],
        ),
        ("wf[0:7]", ["wf", "kernel", "'s'", "y(100, 'f')"]),  # no constant
    ],
)
def test_other_convolutions_stay_as_they_are(kernel, args):
    config = {"outputs": ["y"], "processors": {"kernel": kernel, "y": {**CONVOLVE, "args": args}}}
    plans, outs = both(config, table())
    assert plans[0] == plans[1]
    assert len(outs[0]["y"]) == len(VALUES)
    assert VALUES.shape[1] == N_SAMPLES
