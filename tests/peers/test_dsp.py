"""The same configuration and waveforms through dspeed, column by column."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from pygama_core import lh5
from pygama_core.dsp.chain import ProcessingChain
from pygama_core.lh5.types import Array, Table, VectorOfVectors

pytestmark = pytest.mark.peers

GEDS = Path(__file__).parents[1] / "dsp" / "configs" / "geds_reference.yaml"
SPMS = Path(__file__).parents[1] / "dsp" / "configs" / "spms_reference.yaml"
SCRIPT = """
import json, sys
import numpy as np, h5py
from lgdo import Array, Table, WaveformTable, VectorOfVectors
from dspeed import build_dsp
raw, config, out = sys.argv[1:]
with np.load(raw) as columns:
    columns = dict(columns)
values = columns.pop("values")
n = len(values)
table = Table({name: Array(column) for name, column in columns.items()})
table["waveform"] = WaveformTable(values=values, t0=np.full(n, 0.0), t0_units="ns", dt=np.full(n, 16.0), dt_units="ns")
result = build_dsp(raw_in=table, dsp_config=json.load(open(config)))
arrays = {}
for name, column in result.items():
    if isinstance(column, VectorOfVectors):
        arrays[name + ":flat"] = column.flattened_data.nda[: column.cumulative_length.nda[-1]]
        arrays[name + ":ends"] = column.cumulative_length.nda
    else:
        arrays[name] = column.nda
    arrays[name + ":units"] = np.array(column.attrs.get("units", ""))
np.savez(out, **arrays)
"""
# relative to the column's largest value: the reference sums in float32
TOLERANCE = {"bl_mean": 3e-4, "bl_slope": 3e-4, "bl_std": 3e-5, "pz_std": 3e-5, "pz_mean": 3e-5, "A_max": 2e-5}
DEFAULT_TOLERANCE = 5e-6


def peer_columns(tmp_path: Path, config: dict, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    (tmp_path / "config.json").write_text(json.dumps(config))
    np.savez(tmp_path / "raw.npz", **columns)
    python = os.environ.get("PYGAMA_PEERS_PYTHON", "/opt/peers/bin/python")
    arguments = [tmp_path / "raw.npz", tmp_path / "config.json", tmp_path / "dsp.npz"]
    done = subprocess.run([python, "-c", SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    with np.load(tmp_path / "dsp.npz") as arrays:
        return dict(arrays)


def our_table(columns: dict[str, np.ndarray]) -> Table:
    n_rows = len(columns["values"])
    in_ns = {"units": "ns"}
    waveform = Table(
        {
            "t0": Array(np.zeros(n_rows), in_ns),
            "dt": Array(np.full(n_rows, 16.0), in_ns),
            "values": Array(columns["values"]),
        }
    )
    return Table({name: Array(c) for name, c in columns.items() if name != "values"} | {"waveform": waveform})


@pytest.fixture(scope="module")
def geds_columns(testdata: Path) -> dict[str, np.ndarray]:
    raw = lh5.read(testdata / "lh5" / "LDQTA_r117_20200110T105115Z_cal_geds_raw.lh5", "geds/raw")
    return {"baseline": raw.array("baseline"), "values": raw["waveform"].array("values")}


def test_geds_columns_equal_dspeed(tmp_path, geds_columns):
    config = yaml.safe_load(GEDS.read_text())
    theirs = peer_columns(tmp_path, config, geds_columns)
    ours = ProcessingChain(GEDS).execute(our_table(geds_columns))
    assert set(ours) == {name for name in theirs if ":" not in name}
    worst = {}
    for name in ours:
        a, b = ours.array(name).astype(float), theirs[name].astype(float)
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b), err_msg=name)
        assert ours[name].attrs.get("units", "") == str(theirs[name + ":units"]), name
        worst[name] = np.nanmax(np.abs(a - b)) / max(np.nanmax(np.abs(b)), 1.0)
    outside = {name: d for name, d in worst.items() if d > TOLERANCE.get(name, DEFAULT_TOLERANCE)}
    assert not outside
    times = [
        name for name in worst if name.startswith("tp_") and name not in ("tp_aoe_samp", "tp_10")
    ]  # those are interpolated
    assert len(times) >= 9
    assert all(worst[name] == 0 for name in times)


def test_spms_columns_equal_dspeed(tmp_path, testdata):
    file = (
        testdata / "lh5/prod-ref-l200/generated/tier/raw/phy/p03/r001/l200-p03-r001-phy-20230322T160139Z-tier_raw.lh5"
    )
    values = np.concatenate([lh5.read(file, f"ch{n}/raw/waveform").array("values") for n in (1057600, 1059201)])
    columns = {"values": values}
    theirs = peer_columns(tmp_path, yaml.safe_load(SPMS.read_text()), columns)
    ours = ProcessingChain(SPMS).execute(our_table(columns))
    for name in ("energies", "trigger_pos"):
        assert isinstance(ours[name], VectorOfVectors)
        np.testing.assert_array_equal(ours[name].cumulative_length, theirs[name + ":ends"])
        np.testing.assert_allclose(ours[name].flattened_data, theirs[name + ":flat"], rtol=1e-5)
    assert len(ours["energies"].flattened_data) > 0
