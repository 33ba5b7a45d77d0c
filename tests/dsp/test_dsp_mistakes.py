"""Every mistake in a configuration, and tables that do not fit: what the messages say."""

import numpy as np
import pytest
from dsp_tables import EXTREMA, N_ROWS, run, table, waveforms

from pygama_core.dsp.chain import ProcessingChain
from pygama_core.dsp.config import load_config
from pygama_core.dsp.resolve import layout_of, resolve
from pygama_core.errors import ConfigError, LH5Error, ProcessorError
from pygama_core.lh5.types import Array, Table, VectorOfVectors

TRAP = {"function": "trap_norm", "module": "dspeed.processors"}


@pytest.mark.parametrize(
    ("recipes", "message"),
    [
        ({"y": "wfx + 1"}, r"c\.yaml: y: 'wfx \+ 1': 'wfx' is neither .*; did you mean wf"),
        ({"y": "qqq"}, r"'qqq' is neither made by a processor nor a column of the table; columns: wf, big, x"),
        ({"y": "a + 1", "a": "b", "b": "a * 2"}, "depends on itself: a -> b -> a"),
        ({"y": "db.q"}, "db.q is not among the channel's parameters, and the recipe has no defaults"),
        ({"y": {"function": "db.q", "defaults": {"db.r": 1}}}, "and defaults: db.r"),
        ({"y": "x + 3*us"}, "is a time, but no argument has a time axis"),
        ({"y": "3 + 3*us"}, "one operand is a time and the other is not"),
        ({"y": "1 / 0"}, "divide: "),
        ({"y": "'a' + 1"}, "text where a number or a time is needed"),
        ({"y": "x & 1"}, "operator of 'x & 1' is not part"),
        ({"y": "~x"}, "operator of '~x' is not part"),
        ({"y": "lambda: 0"}, "is not part of the expression language"),
        ({"y": "0 < x < 1"}, "one comparison of two values only"),
        ({"y": "None"}, "is not a number or text"),
        ({"y": "np.nope"}, r"no constant np\.nope"),
        ({"y": "x.period"}, "'x' has no time axis"),
        ({"y": "wf.colour"}, "no attribute 'colour'"),
        ({"y": "frobnicate(x)"}, "no function 'frobnicate' in expressions"),
        ({"y": "len(x)"}, "has no length"),
        ({"y": "len(wf, x)"}, "len: 2 arguments, need 1 to 1"),
        ({"y": "round(x, q=2)"}, "no keyword arguments"),
        ({"y": "sqrt(x, x)"}, "sqrt: 2 arguments, need 1"),
        ({"y": "astype(x, 3)"}, "astype needs a variable and a type"),
        ({"y": "round(x, 1*us)"}, "round: step is a time"),
        ({"y": "round(3, 1*us)"}, "value and step must both be times"),
        ({"y": "where(x, 1, 2)"}, "is not a comparison"),
        ({"y": "x[0:3]"}, "has no samples to slice"),
        ({"y": "wf[0:x]"}, "slices must be constants"),
        ({"y": "wf[24*ns]"}, r"is 1\.5 samples; need a whole number"),
        ({"y": "wf[0:np.nan]"}, "is nan samples; need a number"),
        ({"y": "[1, 2][0:3*us]"}, "is a list, not an array"),
        ({"y": "(wf + [1] * 0)[0:3*us]"}, "list where a number or a time is needed"),
        ({"y": "wf[50:40]"}, "is empty"),
        ({"y": "wf[::0-1]"}, "slice step -1"),
        ({"y": "wf[200]"}, "index 200 of .* is outside"),
        ({"y": "(3)[0]"}, "is a number, not an array"),
        ({"y": "ragged + 1"}, "column 'ragged' is ragged or a table"),
        ({"y": "wf.grid"}, "only numbers, times and variables can be columns"),
        ({"y": {**TRAP, "args": ["wf", 3, "y"]}}, "3 arguments; trap_norm takes 4: w_in, rise, flat, w_out"),
        ({"y": {**TRAP, "args": ["wf", 3, 1, "z"]}}, r"argument 4 \(w_out of trap_norm\) is an output and must"),
        ({"y": {**TRAP, "args": ["wf", "y", 1, 3]}}, r"argument 4 .* found 3"),
        ({"y": {**TRAP, "args": ["y", 3, 1, "y"]}}, r"argument 1 is the output 'y', but trap_norm takes 'w_in' there"),
        ({"y, z": {**TRAP, "args": ["wf", 3, 1, "y"]}}, "every name of the key must be one output .*; missing: z"),
        ({"y": {**TRAP, "args": ["x", 3, 1, "y"]}}, r"argument 1 \(w_in\) must be an array"),
        ({"y": {**TRAP, "args": ["wf", "x", 1, "y"]}}, r"argument 2 \(rise\) must be a whole number known beforehand"),
        ({"y": {**TRAP, "args": ["wf", "np.nan", 1, "y"]}}, "must be a whole number, found nan"),
        ({"y": {**TRAP, "args": ["wf", "'abc'", 1, "y"]}}, "only modes are one letter"),
        ({"y": {**TRAP, "args": ["wf", None, 1, "y"]}}, "argument None is neither a number"),
        ({"y": {**TRAP, "args": ["wf", 3, 1, "y(99)"]}}, "is declared with 99 samples, but has 100"),
        ({"y": {**TRAP, "args": ["wf", 3, 1, "y(n=99)"]}}, "unknown n; known: shape"),
        ({"y": {**TRAP, "args": ["wf", 3, 1, "y(2.5)"]}}, "length is 2.5 samples"),
        ({"y": {**TRAP, "args": ["wf", 3, 1, "y(2*us)"]}}, "length is a time"),
        ({"y": {**TRAP, "args": ["wf", 3, 1, "y(grid=3)"]}}, "grid must be another variable's grid"),
        ({"y": {**TRAP, "args": ["wf", 3, 1, "y(period=3)"]}}, "period and offset must be times"),
        ({"y": {**TRAP, "args": ["wf", 3, 1, "y(vector_len=3)"]}}, "vector_len must name"),
        ({"y": {**TRAP, "args": ["wf", 3, 1, "y(+"]}}, r"cannot parse 'y\(\+'"),
        ({"y": {**TRAP, "args": ["wf", "wf.grid", 1, "y"]}}, "must be a whole number"),
        ({"y": {**TRAP, "function": "bl_subtract", "args": ["wf", "wf.grid", "y"]}}, "found a grid, need a number"),
        ({"y": {**TRAP, "function": "windower", "args": ["wf", 3, "y"]}}, "length of output 'y' cannot be deduced"),
        ({"y": {**TRAP, "function": "trap_nrm", "args": ["wf", 3, "y"]}}, r"y: unknown processor 'trap_nrm'; did you"),
        ({"y": "wf[0:10] + wf[0:20]"}, "do not fit each other"),
        ({"y": {**TRAP, "function": "multi_a_filter", "args": ["wf", "wf[0:9]", "y(8)"]}}, "is declared with 8"),
    ],
)  # fmt: skip
def test_mistakes_name_file_recipe_and_argument(recipes, message):
    config = load_config({"outputs": ["y"], "processors": recipes}, "c.yaml")
    ragged = VectorOfVectors.from_rows([[1]] * N_ROWS, "i4")
    with pytest.raises(ConfigError, match=message) as caught:
        resolve(config, layout_of(table(ragged=ragged)), {})
    assert str(caught.value).startswith("c.yaml: ")


def test_no_outputs_and_unknown_outputs():
    with pytest.raises(ConfigError, match="no outputs; list the wanted names"):
        run({}, tb=table(), outputs=())
    with pytest.raises(ConfigError, match="outputs: 'zz' is neither"):
        run({"y": "x"}, ["zz"])


def test_unequal_sample_counts_are_named():
    recipes = {"y": {**TRAP, "function": "histogram_stats", "args": ["wf", "wf", "y", "b", "c", 1]}}
    recipes = {"y, b, c": recipes["y"], "z": {**TRAP, "function": "where", "args": ["x > 1", "wf", "wf[0:9]", "z"]}}
    with pytest.raises(ConfigError, match="do not fit each other"):
        run(recipes, ["z"])
    with pytest.raises(ProcessorError, match="ch1: y, b, c: histogram_stats on rows 0 to 4: need one border more"):
        run(recipes, ["y"])


def test_a_processor_that_refuses_names_channel_recipe_rows_and_values():
    with pytest.raises(
        ProcessorError, match=r"ch1: y: trap_norm on rows 0 to 4: .* found w_in=array of 100, rise=90, flat=1"
    ):
        run({"y": {**TRAP, "args": ["wf", 90, 1, "y"]}})
    with pytest.raises(ProcessorError, match=r"ch1: y: moving_window_left on rows .* length=0\.0\.\.4\.0"):
        run({"y": {**TRAP, "function": "moving_window_left", "args": ["wf", "x", "y"]}})


def test_a_table_that_does_not_fit_its_plan_is_refused():
    mixed = waveforms()
    mixed["dt"].values[3] = 8.0
    with pytest.raises(LH5Error, match=r"row 3 has a sampling period of 8\.0 ns, the table began with 16\.0 ns"):
        run({"t_lo, t_hi, lo, hi": EXTREMA}, tb=table(wf=mixed))
    chain = ProcessingChain({"outputs": ["lo"], "processors": {"t_lo, t_hi, lo, hi": EXTREMA}})
    program = chain._program(table())
    with pytest.raises(LH5Error, match="column wf/values is missing"):
        program.execute(Table({"x": Array(np.arange(5.0))}))
    with pytest.raises(LH5Error, match="the plan was made for an array"):
        program.execute(Table({"wf": Table({"values": VectorOfVectors.from_rows([[1]], "i4")})}))
