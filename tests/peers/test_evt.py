"""hit and evt tiers beside pygama, on dense events where its known defects do not show."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pygama_core import lh5
from pygama_core.tiers.build_tcm import build_tcm
from pygama_core.tiers.dsp_to_hit import dsp_to_hit
from pygama_core.tiers.hit_to_evt import hit_to_evt

pytestmark = pytest.mark.peers

PYTHON = os.environ.get("PYGAMA_PEERS_PYTHON", "/opt/peers/bin/python")
NAME = "phy/p03/r001/l200-p03-r001-phy-20230322T160139Z-tier"
GEDS = ["ch1084803", "ch1084804", "ch1121600"]

HIT = {
    "outputs": ["timestamp", "e_cal", "e_ctc", "good", "loud", "bits"],
    "operations": {
        "e_cal": {"expression": "a + b*e_ctc", "parameters": {"a": -0.3, "b": 0.1537}},
        "e_ctc": {"expression": "cuspEmax*(1 + k*dt_eff)", "parameters": {"k": 5.7e-7}},
        "good": {"expression": "(bl_std < 20) & (tp_0_est > 40000)"},
        "loud": {"expression": "sqrt(abs(wf_max - bl_mean)) > c", "parameters": {"c": 5}},
    },
    "aggregations": {"bits": {"bit0": "good", "bit1": "loud"}},
}
LOUD = {"channels": "geds", "query": "dsp.wf_max > 15050", "expression": "dsp.wf_max > 15080"}
EVT = {
    "channels": {"geds": GEDS, "one": ["ch1084804"]},
    "operations": {
        "timestamp": {"channels": "one", "aggregation_mode": "first_at:dsp.tp_0_est", "expression": "dsp.timestamp"},
        "first": {"channels": "geds", "aggregation_mode": "first_at:dsp.tp_0_est", "expression": "dsp.wf_max"},
        "last": {"channels": "geds", "aggregation_mode": "last_at:dsp.tp_0_est", "expression": "dsp.wf_max"},
        "n": {
            "channels": "geds",
            "aggregation_mode": "sum",
            "expression": "hit.cuspEmax_ctc_cal > a",
            "parameters": {"a": 25},
            "initial": 0,
        },
        "total": {
            "channels": "geds",
            "aggregation_mode": "sum",
            "query": "hit.cuspEmax_ctc_cal > 25",
            "expression": "hit.cuspEmax_ctc_cal",
            "initial": 0.0,
        },
        "any": {
            "channels": "geds",
            "aggregation_mode": "any",
            "expression": "hit.is_valid_t0",
            "query": "hit.cuspEmax_ctc_cal > 25",
            "initial": False,
        },
        "all": {"channels": "geds", "aggregation_mode": "all", "expression": "dsp.wf_max > 15100", "initial": True},
        "n_from_5": LOUD | {"aggregation_mode": "sum", "initial": 5},
        "any_from_true": LOUD | {"aggregation_mode": "any", "initial": True},
        "any_from_false": LOUD | {"aggregation_mode": "any", "initial": False},
        "all_from_true": LOUD | {"aggregation_mode": "all", "initial": True},
        "all_from_false": LOUD | {"aggregation_mode": "all", "initial": False},
        "first_row": LOUD
        | {"aggregation_mode": "first_at:dsp.tp_0_est", "expression": "tcm.row_in_table", "initial": -1},
        "index": {
            "channels": "geds",
            "aggregation_mode": "gather",
            "query": "dsp.wf_max > 15050",
            "expression": "tcm.index",
            "sort": "descend_by:dsp.wf_max",
        },
        "height": {"channels": "geds", "aggregation_mode": "keep_at_idx:evt.index", "expression": "dsp.wf_max"},
        "rawid": {"channels": "geds", "aggregation_mode": "keep_at_idx:evt.index", "expression": "tcm.table_key"},
        "slope": {"channels": "geds", "aggregation_mode": "keep_at_ch:evt.rawid", "expression": "dsp.bl_slope"},
        "twice": {"expression": "2*evt.total + evt.n"},
    },
}
PEER = """
import json, sys
from pygama.hit import build_hit
from pygama.evt import build_evt, build_tcm
job = json.load(open(sys.argv[1]))
build_hit(job["dsp"], job["hit_out"], hit_config=job["hit_config"], lh5_tables=job["tables"], wo_mode="of")
build_tcm([(job["raw"], "ch*/raw")], coin_cols="timestamp", coin_windows=1e-6, out_file=job["tcm_out"],
          out_name="hardware_tcm_1", wo_mode="of")
build_evt({"tcm": (job["tcm"], "hardware_tcm_1"), "evt": (job["evt_out"], "evt"),
           "dsp": (job["dsp"], "dsp", "ch{}"), "hit": (job["hit"], "hit", "ch{}")},
          config=job["evt_config"], wo_mode="of")
"""


@pytest.fixture(scope="module")
def job(testdata, tmp_path_factory):
    out = tmp_path_factory.mktemp("peer")
    tier = testdata / "lh5/prod-ref-l200/generated/tier"
    files = {t: str(tier / t / f"{NAME}_{t}.lh5") for t in ("raw", "tcm", "dsp", "hit")}
    job = files | {f"{t}_out": str(out / f"peer_{t}.lh5") for t in ("tcm", "hit", "evt")}
    job |= {"hit_config": HIT, "evt_config": EVT, "tables": [f"{c}/dsp" for c in GEDS]}
    (out / "job.json").write_text(json.dumps(job))
    (out / "peer.py").write_text(PEER)
    subprocess.run(
        [PYTHON, out / "peer.py", out / "job.json"], check=True, cwd=out, env={**os.environ, "PYTHONPATH": ""}
    )
    return {name: Path(value) if isinstance(value, str) else value for name, value in job.items()}


def same(found, expected):
    assert type(found) is type(expected)
    if isinstance(found, lh5.VectorOfVectors):
        np.testing.assert_array_equal(found.cumulative_length, expected.cumulative_length)
        found, expected = lh5.Array(found.flattened_data), lh5.Array(expected.flattened_data)
    np.testing.assert_allclose(found.values, expected.values, rtol=2e-7)


def test_hit(job, tmp_path):
    report = dsp_to_hit(job["dsp"], tmp_path / "hit.lh5", configs=dict.fromkeys(GEDS, HIT))
    assert list(report.n_rows) == GEDS
    for channel in GEDS:
        ours, theirs = (lh5.read(path, f"{channel}/hit") for path in (tmp_path / "hit.lh5", job["hit_out"]))
        assert sorted(ours) == sorted(theirs)
        for name in theirs:
            same(ours[name], theirs[name])
            assert ours.array(name).dtype == theirs.array(name).dtype


def test_tcm(job, tmp_path):
    build_tcm(job["raw"], tmp_path / "tcm.lh5", window_ns=1000)
    ours, theirs = (lh5.read(path, "hardware_tcm_1") for path in (tmp_path / "tcm.lh5", job["tcm_out"]))
    for name in theirs:
        same(ours[name], theirs[name])


@pytest.mark.parametrize("name", EVT["operations"])
def test_evt(job, tmp_path, name):
    cycle = {tier: job[tier] for tier in ("tcm", "dsp", "hit")}
    hit_to_evt([cycle], tmp_path / "evt.lh5", config=EVT)
    same(lh5.read(tmp_path / "evt.lh5", f"evt/{name}"), lh5.read(job["evt_out"], f"evt/{name}"))
