"""raw -> dsp over whole files: channels, blocks, threads, failures, real data."""

import json
from pathlib import Path

import numpy as np
import pytest

from pygama_core import lh5
from pygama_core.errors import ConfigError, LH5Error
from pygama_core.lh5.types import Array, Table
from pygama_core.tiers.raw_to_dsp import raw_to_dsp

CONFIGS = Path(__file__).parents[2] / "config" / "dsp"
MEAN = {
    "outputs": ["timestamp", "mean"],
    "processors": {
        "mean, std, slope, intercept": {
            "function": "linear_slope_fit",
            "module": "dspeed.processors",
            "args": ["waveform[:db.n]", "mean", "std", "slope", "intercept"],
            "unit": "ADC",
            "defaults": {"db.n": 50},
        }
    },
}


def raw_table(n_rows, seed, n_samples=128):
    values = np.random.default_rng(seed).integers(0, 1000, (n_rows, n_samples)).astype("u2")
    in_ns = {"units": "ns"}
    waveform = {
        "t0": Array(np.zeros(n_rows), in_ns),
        "dt": Array(np.full(n_rows, 16.0), in_ns),
        "values": Array(values),
    }
    return Table({"timestamp": Array(np.arange(n_rows) / 7, {"units": "s"}), "waveform": Table(waveform)})


@pytest.fixture
def raw_file(tmp_path):
    path = tmp_path / "raw.lh5"
    with lh5.Writer(path) as out:
        for channel, n_rows in ((1, 230), (2, 0), (3, 101), (20, 5)):
            out.append(f"ch{channel:07d}/raw", raw_table(n_rows, channel))
    return path


def mean_of(channel, n_rows, n=50):
    return raw_table(n_rows, channel)["waveform"].array("values")[:, :n].mean(axis=1)


def test_channels_find_their_config_and_parameters(raw_file, tmp_path):
    report = raw_to_dsp(
        raw_file,
        tmp_path / "dsp.lh5",
        configs={"ch0000001": MEAN, "ch000000*": {**MEAN, "outputs": ["mean"]}},
        parameters={"ch0000001": {"n": 10}, "ch0000002": {"n": 10}},
    )
    assert lh5.ls(tmp_path / "dsp.lh5", "*/dsp") == ["ch0000001/dsp", "ch0000002/dsp", "ch0000003/dsp"]
    first = lh5.read(tmp_path / "dsp.lh5", "ch0000001/dsp")
    np.testing.assert_allclose(first.array("mean"), mean_of(1, 230, 10), rtol=1e-6)
    np.testing.assert_array_equal(first.array("timestamp"), np.arange(230) / 7)
    assert first["timestamp"].attrs["units"] == "s"
    third = lh5.read(tmp_path / "dsp.lh5", "ch0000003/dsp")
    assert list(third) == ["mean"]
    np.testing.assert_allclose(third.array("mean"), mean_of(3, 101), rtol=1e-6)
    assert [(c.channel, c.status, c.n_rows) for c in report.channels] == [
        ("ch0000001", "done", 230),
        ("ch0000002", "done", 0),
        ("ch0000003", "done", 101),
        ("ch0000020", "no config", 0),
    ]
    assert report.n_rows == 331
    assert report.text().splitlines() == [
        "3 channels with 331 rows done, 0 failed, 1 without config",
        "ch0000020 has no config, not processed",
        "ch0000003 (1) used defaults for db.n",
    ]


def test_an_empty_channel_has_the_columns_of_the_others(raw_file, tmp_path):
    raw_to_dsp(raw_file, tmp_path / "dsp.lh5", configs={"*": MEAN})
    empty, full = (lh5.read(tmp_path / "dsp.lh5", f"ch000000{n}/dsp") for n in (2, 1))
    assert empty.n_rows == 0
    assert {k: (c.values.dtype, c.attrs) for k, c in empty.items()} == {
        k: (c.values.dtype, c.attrs) for k, c in full.items()
    }


def test_output_does_not_depend_on_threads_or_blocks(raw_file, tmp_path):
    files = []
    for n_threads, block_rows in ((1, 2048), (4, 7), (2, 1)):
        files.append(tmp_path / f"dsp-{n_threads}-{block_rows}.lh5")
        raw_to_dsp(raw_file, files[-1], configs={"*": MEAN}, n_threads=n_threads, block_rows=block_rows)
    assert files[0].read_bytes() == files[1].read_bytes() == files[2].read_bytes()


def test_n_max_limits_each_channel(raw_file, tmp_path):
    report = raw_to_dsp(raw_file, tmp_path / "dsp.lh5", configs={"*": MEAN}, n_max=10, block_rows=4)
    assert [c.n_rows for c in report.channels] == [10, 0, 10, 5]
    np.testing.assert_allclose(
        lh5.read(tmp_path / "dsp.lh5", "ch0000001/dsp/mean").values, mean_of(1, 230)[:10], rtol=1e-6
    )


def test_a_failing_channel_is_reported_and_left_out(raw_file, tmp_path):
    picked = {
        **MEAN["processors"],
        "y": {"function": "dspeed.processors.fixed_time_pickoff", "args": ["waveform", "timestamp*7/100", "'i'"]},
    }
    report = raw_to_dsp(
        raw_file,
        tmp_path / "dsp.lh5",
        configs={"ch0000001": {**MEAN, "outputs": ["y"], "processors": picked}, "ch0000003": MEAN, "*": MEAN},
        parameters={"ch0000003": {"n": float("nan")}},
        block_rows=20,
    )  # fmt: skip
    assert lh5.ls(tmp_path / "dsp.lh5", "*/dsp") == ["ch0000002/dsp", "ch0000020/dsp"]
    messages = {c.channel: c.error for c in report.failed}
    assert set(messages) == {"ch0000001", "ch0000003"}
    assert messages["ch0000001"].startswith(
        "ch0000001: y: fixed_time_pickoff on rows 0 to 19: mode i needs a whole t_in"
    )
    assert "dsp config of ch0000003: mean, std, slope, intercept: 'waveform[:db.n]'" in messages["ch0000003"]
    assert "ch0000001 failed: " in report.text()


def test_a_configuration_that_suits_no_channel_is_an_error(raw_file, tmp_path):
    wrong = {"outputs": ["y"], "processors": {"y": {"function": "fixed_time_pickof", "args": ["waveform", "1", "'i'"]}}}
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(wrong))
    with pytest.raises(ConfigError, match=r"all 2 channels of .*wrong.json fail; the first: .*fixed_time_pickof"):
        raw_to_dsp(raw_file, tmp_path / "dsp.lh5", configs={"ch0000001": path, "ch0000002": str(path), "*": MEAN})
    with pytest.raises(ConfigError, match=r"none of its 4 channels \(ch0000001, .*there are configurations for geds"):
        raw_to_dsp(raw_file, tmp_path / "dsp.lh5", configs={"geds": MEAN})
    assert not (tmp_path / "dsp.lh5").exists()


def test_wrong_settings_and_files(raw_file, tmp_path):
    with pytest.raises(ConfigError, match="block_rows = 0; need at least 1"):
        raw_to_dsp(raw_file, tmp_path / "dsp.lh5", configs={}, block_rows=0)
    with pytest.raises(ConfigError, match=r"nothing\.yaml: cannot be read"):
        raw_to_dsp(raw_file, tmp_path / "dsp.lh5", configs={"*": tmp_path / "nothing.yaml"})
    with pytest.raises(LH5Error, match=r"nothing\.lh5"):
        raw_to_dsp(tmp_path / "nothing.lh5", tmp_path / "dsp.lh5", configs={})
    assert not (tmp_path / "dsp.lh5").exists()


def test_real_germanium_run(testdata, tmp_path):
    file = (
        testdata / "lh5/prod-ref-l200/generated/tier/raw/cal/p03/r001/l200-p03-r001-cal-20230318T012144Z-tier_raw.lh5"
    )
    report = raw_to_dsp(file, tmp_path / "dsp.lh5", configs={"*": CONFIGS / "geds.yaml"})
    assert report.failed == ()
    assert report.n_rows == sum(lh5.n_rows(file, table) for table in lh5.ls(file, "ch*/raw"))
    for table in lh5.ls(tmp_path / "dsp.lh5", "ch*/dsp"):
        out = lh5.read(tmp_path / "dsp.lh5", table)
        raw = lh5.read(file, table.replace("/dsp", "/raw"))
        values = raw["waveform"].array("values").astype(float)
        assert raw.array("timestamp").tobytes() == out.array("timestamp").tobytes()
        np.testing.assert_array_equal(out.array("wf_max"), values.max(axis=1))
        np.testing.assert_array_equal(out.array("tp_max"), 16 * values.argmax(axis=1) + raw["waveform"].array("t0"))
        np.testing.assert_allclose(out.array("bl_mean"), values[:, :1250].mean(axis=1), rtol=1e-7)
        np.testing.assert_allclose(out.array("bl_std"), values[:, :1250].std(axis=1, ddof=1), rtol=1e-5)


def test_presummed_production_numbers(testdata, tmp_path):
    """The same 10 events of three detectors as LEGEND's production stored them: presum by 6, window of 464 samples."""
    directory = testdata / "lh5/prod-ref-l200/generated/tier"
    key = "cal/p03/r001/l200-p03-r001-cal-20230318T012144Z"
    config = {
        "outputs": ["wf_max", "wf_min", "tp_max", "tp_min", "bl_mean", "bl_std", "bl_slope"],
        "processors": {
            "factor, wf": {
                "function": "dspeed.processors.presum",
                "args": ["waveform", 1, "factor", "wf(len(waveform)//6, period=96*ns, offset=waveform.offset)"],
                "unit": "ADC",
            },
            "tp_min, tp_max, wf_min, wf_max": {
                "function": "dspeed.processors.min_max",
                "args": ["wf", "tp_min", "tp_max", "wf_min", "wf_max"],
                "unit": ["ns", "ns", "ADC", "ADC"],
            },
            "bl_mean, bl_std, bl_slope, bl_intercept": {
                "function": "dspeed.processors.linear_slope_fit",
                "args": ["wf[:44.544*us]", "bl_mean", "bl_std", "bl_slope", "bl_intercept"],
                "unit": "ADC",
            },
        },
    }  # fmt: skip
    raw_to_dsp(directory / f"raw/{key}-tier_raw.lh5", tmp_path / "dsp.lh5", configs={"*": config})
    stored = directory / f"dsp/{key}-tier_dsp.lh5"
    compared = 0
    for table in lh5.ls(stored, "ch*/dsp"):
        theirs = lh5.read(stored, table)
        if "bl_slope" not in theirs:
            continue
        compared += 1
        ours = lh5.read(tmp_path / "dsp.lh5", table)
        for name, tolerance in {"wf_max": 2e-3, "wf_min": 2e-3, "tp_max": 0, "tp_min": 0, "bl_mean": 0.02}.items():
            np.testing.assert_allclose(ours.array(name), theirs.array(name), rtol=0, atol=tolerance, err_msg=name)
        np.testing.assert_allclose(ours.array("bl_std"), theirs.array("bl_std"), rtol=3e-4)
        np.testing.assert_allclose(ours.array("bl_slope"), theirs.array("bl_slope"), rtol=0, atol=2e-6)
    assert compared == 3
