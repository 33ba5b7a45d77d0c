"""The shape of a configuration: what is accepted, and what every mistake is answered with."""

import json

import pytest

from pygama_core.dsp.config import load_config
from pygama_core.errors import ConfigError

MINMAX = {"function": "min_max", "module": "dspeed.processors", "args": ["w", "a", "b", "c", "d"]}


def one(recipe, key="x"):
    return load_config({"outputs": [key], "processors": {key: recipe}}, "f.yaml").recipes[0]


def test_several_outputs_share_a_recipe():
    recipe = one({**MINMAX, "unit": ["ns", "ns", "ADC", "ADC"], "comment": "ignored"}, "a, b ,c d")
    assert recipe.outputs == ("a", "b", "c", "d")
    assert recipe.units == ("ns", "ns", "ADC", "ADC")
    assert one({**MINMAX, "unit": "ADC"}, "a,b,c,d").units == ("ADC",) * 4


@pytest.mark.parametrize(
    "recipe",
    [
        {"function": "trap_norm", "module": "dspeed.processors", "args": ["w", 1, 2, "x"]},
        {"function": "trap_norm", "module": "dspeed.processors.trap_filters", "args": ["w", 1, 2, "x"]},
        {"function": "trap_norm", "module": "pygama.dsp.processors", "args": ["w", 1, 2, "x"]},
        {"function": "dspeed.processors.trap_norm", "args": ["w", 1, 2, "x"]},
    ],
)
def test_processors_are_named_in_several_ways(recipe):
    assert (one(recipe).function, one(recipe).args) == ("trap_norm", ("w", 1, 2, "x"))


def test_calls_and_expressions():
    call = one("dspeed.processors.trap_norm(w, 10*us, 2*us, x)")
    assert (call.function, call.args) == ("trap_norm", ("w", "10 * us", "2 * us", "x"))
    assert one("numpy.add(a, b, x)").function == "numpy.add"
    assert one({"function": "a*16", "unit": "ADC"}).args is None
    assert one("where(a > 1, a, b)").args is None
    assert one(5).function == "5"
    assert (
        one({"function": "max", "module": "numpy", "args": ["w", 1, "x"], "kwargs": {"types": []}}).function == "amax"
    )


def test_files_are_yaml_or_json(tmp_path):
    content = {"outputs": ["x"], "processors": {"x": "y + 1"}, "float": "float64"}
    (tmp_path / "c.json").write_text(json.dumps(content))
    (tmp_path / "c.yaml").write_text("outputs: [x]\nprocessors: {x: y + 1}\nfloat: float64\n")
    read = [load_config(tmp_path / name) for name in ("c.json", "c.yaml")]
    assert read[0].recipes == read[1].recipes
    assert (read[0].outputs, read[0].working) == (("x",), "f8")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"output": ["x"]}, r"f\.yaml: unknown key 'output'; did you mean 'outputs'"),
        ({"outputs": "wf"}, "outputs must be a list of names, found 'wf'"),
        ({"processors": ["x"]}, "processors must be a mapping"),
        ({"float": "float16"}, "float must be float32 or float64"),
        (
            {"processors": {"x": {**MINMAX, "defualts": {}}}},
            r"f\.yaml: x: unknown key 'defualts'; did you mean 'default",
        ),
        ({"processors": {"x": {**MINMAX, "kwargs": {"sig": ""}}}}, "x: kwargs: unknown key 'sig'"),
        ({"processors": {"x": {"args": []}}}, r"f\.yaml: x: no function"),
        ({"processors": {"x": None}}, "an expression or a mapping"),
        ({"processors": {"x": {**MINMAX, "unit": ["a", "b"]}}}, "2 units for 1 outputs"),
        ({"processors": {"x": {**MINMAX, "defaults": [1]}}}, "defaults must be a mapping"),
        ({"processors": {"x": {**MINMAX, "args": "w, a"}}}, "args must be a list"),
        ({"processors": {"x": {"function": "a + b", "args": []}}}, "function must be a name, found 'a . b'"),
        ({"processors": {"x": {"function": "a.b", "module": "c", "args": []}}}, "the module is given twice"),
        ({"processors": {"x": {**MINMAX, "init_args": 3}}}, "x: init_args must be a list, found 3"),
        ({"processors": {"x": {**MINMAX, "kwargs": {"types": [1]}}}}, "x: types must be a list such as"),
        ({"processors": {"x": {"function": "f", "module": "dspeed.processors"}}}, "module without args"),
        ({"processors": {"x": "a +"}}, r"f\.yaml: x: cannot parse 'a \+'"),
        ({"processors": {"a, b": "c + d"}}, "an expression makes one name, the key has 2"),
        ({"processors": {"a, a": MINMAX}}, "several different names"),
        ({"processors": {"2x": "a"}}, "'2x' is not a name"),
        ({"processors": {"us": "a"}}, "'us' is reserved"),
        ({"processors": {"a, b": MINMAX, "b, c": MINMAX}}, "'b' is made by 'a, b' and by 'b, c'"),
    ],
)
def test_mistakes_name_file_and_key(content, message):
    with pytest.raises(ConfigError, match=message):
        load_config(content, "f.yaml")


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match=r"bad\.yaml: not valid YAML"):
        load_config(tmp_path / "bad.yaml")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(ConfigError, match=r"list\.json: holds list"):
        load_config(tmp_path / "list.json")
