"""The fused engine gives what the plain engine gives, to the last bit; rewriting keeps what it promises."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygama_core.dsp.chain import ProcessingChain
from pygama_core.dsp.fused import FusedProgram
from pygama_core.dsp.plain import Program
from pygama_core.dsp.registry import get
from pygama_core.dsp.resolve import layout_of, resolve
from pygama_core.dsp.rewrite import optimised
from pygama_core.errors import ConfigError, ProcessorError
from pygama_core.lh5.types import Array, Table, VectorOfVectors

HERE = Path(__file__).parent
SHIPPED = HERE.parents[1] / "config" / "dsp"
CONFIGS = [SHIPPED / "geds.yaml", SHIPPED / "spms.yaml", SHIPPED / "puls.yaml", SHIPPED / "pole_zero.yaml"]
CONFIGS += [HERE / "configs" / "geds_reference.yaml", HERE / "configs" / "spms_reference.yaml"]
# smoothed currents and cusps are summed in another order
ROUNDED = {"A_max", "cuspEmax", "cuspEftp", "zacEmax", "zacEftp"}


def table_of(values, dt=16.0):
    n = len(values)
    in_ns = {"units": "ns"}
    columns = {"t0": Array(np.arange(n) * 3.0, in_ns), "dt": Array(np.full(n, dt), in_ns), "values": Array(values)}
    baseline = Array(np.nan_to_num(values[:, :200].mean(axis=1)).astype("u2"))
    extra = {"timestamp": Array(np.arange(n) / 7), "eventnumber": Array(np.arange(n)), "baseline": baseline}
    return Table(extra | {"waveform": Table(columns)})


def pulses(n, n_samples=5592, dtype="u2"):
    rng = np.random.default_rng(11)
    t = np.arange(n_samples) - 2000 - rng.integers(0, 100, (n, 1))
    shape = np.clip(t / 30, 0, 1) * np.exp(-np.clip(t, 0, None) / 20000)
    values = 10000 + rng.uniform(10, 20000, (n, 1)) * shape + rng.normal(0, 4, (n, n_samples))
    return np.rint(values).astype(dtype) if np.dtype(dtype).kind in "iu" else values.astype(dtype)


def assert_same(ours, reference, rounded=ROUNDED):
    assert list(ours) == list(reference)
    for name in reference:
        a, b = ours[name], reference[name]
        assert a.attrs == b.attrs
        if isinstance(b, VectorOfVectors):
            np.testing.assert_array_equal(a.cumulative_length, b.cumulative_length, err_msg=name)
            np.testing.assert_array_equal(a.flattened_data, b.flattened_data, err_msg=name)
        elif isinstance(b, Table):
            assert_same(a, b)
        elif name in rounded:
            np.testing.assert_allclose(
                a.values, b.values, atol=1e-6 * np.nanmax(np.abs(b.values), initial=0), err_msg=name
            )
        else:
            assert a.values.dtype == b.values.dtype
            np.testing.assert_array_equal(a.values, b.values, err_msg=name)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_configurations_give_the_same_as_the_plain_engine(config):
    table = table_of(pulses(40))
    plain, fused = ProcessingChain(config), ProcessingChain(config, engine="fused", block_rows=7)
    assert_same(fused.execute(table), plain.execute(table))


def test_waveforms_with_missing_samples():
    values = pulses(12, dtype="f4")
    values[3, 700] = np.nan
    values[5] = np.nan
    values[7, -1] = np.nan
    config = HERE / "configs" / "geds_reference.yaml"
    table = table_of(values)
    table.columns["baseline"] = Array(np.full(12, 10000, "u2"))
    reference = ProcessingChain(config).execute(table)
    assert np.isnan(reference["trapTmax"].values).sum() == 3
    assert_same(ProcessingChain(config, engine="fused").execute(table), reference)


@pytest.mark.parametrize("n", [0, 1])
def test_few_rows(n):
    table = table_of(pulses(2)).rows(slice(0, n))
    chain = ProcessingChain(SHIPPED / "geds.yaml", engine="fused")
    assert_same(chain.execute(table), ProcessingChain(SHIPPED / "geds.yaml").execute(table))


def test_threads_do_not_disturb_each_other():
    table = table_of(pulses(64))
    chain = ProcessingChain(SHIPPED / "geds.yaml", engine="fused")
    whole = chain.execute(table)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda i: chain.execute(table.rows(slice(i, i + 4))), range(0, 64, 4)))
    for i, part in enumerate(parts):
        assert_same(part, whole.rows(slice(4 * i, 4 * i + 4)))


def test_an_error_names_processor_row_and_values():
    config = {
        "outputs": ["y"],
        "processors": {
            "y": {"function": "dspeed.processors.fixed_time_pickoff", "args": ["waveform", "timestamp*7/10", "'i'"]}
        },
    }
    table = table_of(pulses(20, 64))
    with pytest.raises(ProcessorError, match=r"ch1: y: fixed_time_pickoff on rows 101 to 101: mode i needs a whole"):
        ProcessingChain(config, name="ch1", engine="fused").execute(table, first_row=100)
    with pytest.raises(ConfigError, match=r"engine 'quick' is unknown; there are plain, fused"):
        ProcessingChain(config, engine="quick")


def program_of(processors, outputs, table):
    plan = resolve_config({"outputs": outputs, "processors": processors}, table)
    return plan, FusedProgram.make(optimised(plan))


def resolve_config(config, table):
    chain = ProcessingChain(config)
    return resolve(chain.config, layout_of(table), {}, None)


def test_steps_without_a_row_form_run_between_and_are_named():
    table = table_of(pulses(30, 200))
    processors = {
        "a, b, low, high": {"function": "dspeed.processors.min_max", "args": ["waveform", "a", "b", "low", "high"]},
        "root": {"function": "numpy.exp", "args": ["(low - high) / 10000", "root"]},
        "above": {"function": "dspeed.processors.time_over_threshold", "args": ["waveform", "low + root", "above"]},
    }
    plan, program = program_of(processors, ["root", "above"], table)
    assert program.reasons == {"root": "NumPy or Python computes it"}
    assert len(program.parts) == 3
    assert_same(program.execute(table), Program.make(plan).execute(table))


def test_shapers_share_their_sums_and_single_ones_report_wrong_lengths():
    table = table_of(pulses(3, 600))
    shaped = {"function": "dspeed.processors.trap_norm", "module": None}
    processors = {
        "w": {"function": "dspeed.processors.bl_subtract", "args": ["waveform", "baseline", "w"]},
        "one": {**shaped, "args": ["w", 100, 20, "one"]},
        "two": {**shaped, "args": ["w", 50, 0, "two"]},
        "three": {"function": "dspeed.processors.asym_trap_filter", "args": ["w", 8, 4, 125, "three"]},
    }
    for recipe in processors.values():
        recipe.pop("module", None)
    plan, program = program_of(processors, ["one", "two", "three"], table)
    names = [step.processor for part in program.parts for step in part.steps]
    assert names.count("running_sums") == 1
    assert names.count("box_of_sums") == 3
    assert_same(program.execute(table), Program.make(plan).execute(table))
    processors["one"]["args"] = ["w", 400, 20, "one"]
    plan, program = program_of(processors, ["one"], table)
    with pytest.raises(ProcessorError, match="rise"):
        program.execute(table)


@given(
    n=st.integers(4, 300),
    lengths=st.tuples(st.integers(1, 60), st.integers(0, 60), st.integers(1, 60)),
    working=st.sampled_from(["f4", "f8"]),
    seed=st.integers(0, 99),
)
def test_shapers_are_differences_of_moving_means(n, lengths, working, seed):
    rise, flat, fall = lengths
    if rise + flat + fall > n:
        return
    w = np.random.default_rng(seed).normal(0, 100, (2, n)).astype(working)
    padded = np.concatenate([np.zeros((2, rise + flat + fall)), w.astype("f8")], axis=1)
    expected = np.empty((2, n))
    for i in range(n):
        end = i + 1 + rise + flat + fall
        expected[:, i] = padded[:, end - rise : end].mean(axis=1)
        expected[:, i] -= padded[:, end - rise - flat - fall : end - rise - flat].mean(axis=1)
    found = get("asym_trap_filter")(w, rise, flat, fall)
    np.testing.assert_allclose(found, expected, atol=2e-5 if working == "f4" else 1e-11)


@given(
    n=st.integers(20, 120),
    upsample=st.integers(1, 16),
    length=st.integers(1, 50),
    n_means=st.integers(1, 4),
    kind=st.sampled_from([0, 1, 2]),
    short=st.integers(0, 40),
)
def test_smoothed_current_is_upsampling_and_moving_means(n, upsample, length, n_means, kind, short):
    n_out = n * upsample - upsample // 2 - short
    if length >= n_out:
        return
    table = Table({"w": Array(np.random.default_rng(n).normal(0, 10, (2, n)).astype("f4"))})
    processors = {
        "up": {"function": "dspeed.processors.upsampler", "args": ["w", upsample, f"up({n_out}, 'f')"]},
        "smooth": {
            "function": "dspeed.processors.moving_window_multi",
            "args": ["up", length, n_means, kind, "smooth"],
        },
    }
    plan = resolve_config({"outputs": ["smooth"], "processors": processors}, table)
    rewritten = optimised(plan)
    assert [step.processor for step in rewritten.steps] == ["smoothed_current"]
    found, expected = Program.make(rewritten).execute(table), Program.make(plan).execute(table)
    np.testing.assert_allclose(found["smooth"].values, expected["smooth"].values, rtol=1e-6, atol=1e-6)


def test_costs_are_measured_for_every_step_of_the_rows():
    table = table_of(pulses(3))
    plan = resolve_config(SHIPPED / "geds.yaml", table)
    program = FusedProgram.make(optimised(plan))
    costs = program.costs(table, n_calls=3)
    assert [step for step, _ in costs] == [step for part in program.parts for step in getattr(part, "steps", ())]
    assert all(seconds > 0 for _, seconds in costs)


@pytest.mark.parametrize("working", ["f4", "f8"])
def test_extrema_of_special_values(working):
    w = np.array([[-0.0, 0.0, -1e-45], [np.inf, -np.inf, 3.0], [-5.0, -2.0, -7.0], [1.0, np.nan, 2.0]], working)
    t_min, t_max, a_min, a_max = get("min_max")(w)
    np.testing.assert_array_equal(a_min, [*np.min(w[:3], axis=1), np.nan])
    np.testing.assert_array_equal(a_max, [*np.max(w[:3], axis=1), np.nan])
    np.testing.assert_array_equal(t_min, [*np.argmin(w[:3], axis=1), np.nan])
    np.testing.assert_array_equal(t_max, [*np.argmax(w[:3], axis=1), np.nan])
