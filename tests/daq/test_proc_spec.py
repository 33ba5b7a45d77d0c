import numpy as np
import pytest

from pygama_core.daq.columns import waveform_table
from pygama_core.daq.proc_spec import parse_proc_spec
from pygama_core.errors import ConfigError
from pygama_core.lh5.types import Array, Table

VALUES = np.arange(40, dtype=np.uint16).reshape(2, 20)


def table():
    columns = {"energy": Array(np.array([1.0, 300.0])), "matrix": Array(VALUES), "waveform": waveform_table(VALUES, 16)}
    return Table(columns)


def no_dsp(config, table):
    raise AssertionError


def apply(spec, run_dsp=no_dsp):
    return parse_proc_spec(spec, "D.geds").apply(table(), run_dsp)


@pytest.mark.parametrize(("start", "stop"), [(3, 12), (0, 20), (5, -2), (-6, -1), (-6, 20)])
def test_a_window_is_a_slice_and_moves_the_time_of_its_first_sample(start, stop):
    out = apply({"window": ["waveform", start, stop, "cut"]})
    np.testing.assert_array_equal(out["cut"].array("values"), VALUES[:, start:stop])
    first = VALUES[0, start]
    assert out["cut"].array("t0").tolist() == [16 * first] * 2
    assert out["cut"].array("t0").dtype == np.float32
    assert out["cut"]["t0"].attrs["units"] == "ns"
    assert out["waveform"].array("t0").tolist() == [0, 0]


def test_a_window_of_a_plain_column_and_several_windows():
    out = apply({"window": [["matrix", 1, 3, "a"], ["waveform", 0, 2, "b"]]})
    np.testing.assert_array_equal(out.array("a"), VALUES[:, 1:3])
    assert out["b"].array("values").shape == (2, 2)


def test_steps_come_in_their_order():
    seen = {}

    def run(config, columns):
        seen.update(config=config, columns=sorted(columns))
        made = waveform_table(VALUES[:, ::4].astype(np.float64), 64)
        made.columns["dt"] = Array(made.array("dt").astype(np.float64))
        return Table({"presummed": made, "sum": Array(np.array([2.0, 70000.0]))})

    spec = {
        "dtype_conv": {"presummed/values": "uint32", "sum": "uint32"},
        "drop": ["waveform", "matrix"],
        "dsp_config": {"outputs": ["presummed"]},
        "window": ["waveform", 0, 2, "cut"],
    }
    out = apply(spec, run)
    assert seen == {"config": {"outputs": ["presummed"]}, "columns": ["cut", "energy", "matrix", "waveform"]}
    assert sorted(out) == ["cut", "energy", "presummed", "sum"]
    assert out["presummed"].array("values").dtype == np.uint32
    assert out["presummed"].array("dt").dtype == np.float32
    assert out.array("sum").dtype == np.uint32


def test_columns_to_drop_that_are_not_there_are_told():
    spec = parse_proc_spec({"drop": ["packet_ids", "energy", "cut"], "window": ["waveform", 0, 1, "cut"]}, "D.geds")
    assert spec.missing(table()) == ("packet_ids",)
    assert sorted(spec.apply(table(), no_dsp)) == ["matrix", "waveform"]


def test_storage_settings_are_told_to_have_no_effect():
    spec = parse_proc_spec({"compression": {"waveform/values": "RadwareSigcompress(codec_shift=-32768)"}}, "D.geds")
    assert "D.geds.proc_spec.compression: not used" in spec.warnings[0]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"window": ["nothing", 0, 2, "cut"]}, r"D\.geds\.proc_spec\.window: 'nothing' is missing"),
        ({"window": ["energy", 0, 2, "cut"]}, r"'energy' is no column of equal rows"),
        ({"window": ["waveform", 30, 40, "cut"]}, r"samples 30:40 of 'waveform', which has 20, are none"),
        ({"dtype_conv": {"nothing": "uint8"}}, r"no array 'nothing' in the table"),
        ({"dtype_conv": {"waveform": "uint8"}}, r"no array 'waveform' in the table; for a waveform name its samples"),
        ({"dtype_conv": {"energy/values": "uint8"}}, r"no array 'energy/values'"),
        ({"dtype_conv": {"energy": "uint8"}}, r"dtype_conv\.energy: values 1\.0 \.\.\. 300\.0 do not fit uint8"),
    ],
)
def test_steps_that_do_not_fit_the_table(spec, message):
    with pytest.raises(ConfigError, match=message):
        apply(spec)


def test_nan_does_not_fit_an_integer():
    spec = parse_proc_spec({"dtype_conv": {"x": "int32"}}, "D.geds")
    with pytest.raises(ConfigError, match="do not fit int32"):
        spec.apply(Table({"x": Array(np.array([1.0, np.nan]))}), no_dsp)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (3, "expected a mapping of window"),
        ({"wndow": []}, r"unknown step 'wndow'; did you mean window\?"),
        ({"window": ["waveform", 0, 2]}, r"window: .*expected \[column, first sample"),
        ({"window": ["waveform", "0", 2, "x"]}, r"window: .*expected \[column, first sample"),
        ({"dsp_config": 3}, "dsp_config: expected a processing chain"),
        ({"compression": 3}, "compression: expected a mapping"),
        ({"dtype_conv": {"x": "unit16"}}, r"dtype_conv\.x: 'unit16' is no type"),
    ],
)
def test_malformed_specifications(spec, message):
    with pytest.raises(ConfigError, match=message):
        parse_proc_spec(spec, "D.geds")
