"""The reference decoder reads the simulated files, and finds what the truth says."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pygama_core import lh5
from pygama_core.sim.experiment import blocks, prepare, simulate_cycle
from pygama_core.sim.settings import load_channelmap, load_settings

pytestmark = pytest.mark.peers

PYTHON = os.environ.get("PYGAMA_PEERS_PYTHON", "/opt/peers/bin/python")
CONFIG = Path(__file__).resolve().parents[2] / "config"
READ = """
import json, sys
import h5py, numpy as np
from daq2lh5 import build_raw
daq, out, kind = sys.argv[1:]
build_raw(daq, out_spec=out, overwrite=True, in_stream_type=kind)
result = {}
with h5py.File(out) as f:
    for name, table in f.items():
        if not isinstance(table, h5py.Group) or "waveform" not in table:
            continue
        board, adc_input = table["board_id"], table["fc_input"]
        rawid = 1000000 * (table["fcid"][:].astype(int) & 0xFFFF) + 100 * board[:].astype(int) + adc_input[:]
        result[name] = {
            "rawid": rawid.tolist(),
            "eventnumber": table["eventnumber"][:].tolist(),
            "timestamp": table["timestamp"][:].tolist(),
            "deadtime": table["deadtime"][:].tolist(),
            "n_samples": table["waveform/values"].shape[1],
            "sample_sum": int(table["waveform/values"][:].astype("i8").sum()),
        }
print("RESULT" + json.dumps(result))
"""


@pytest.mark.parametrize(
    ("key", "kind", "table"),
    [
        ("demo-p01-r001-cal-20260101T000000Z", "FlashCam", "FCEvent"),
        ("demo-p01-r001-phy-20260101T010000Z", "FlashCam", "FCEvent"),
        ("demo-p01-r002-cal-20260108T001000Z", "ORCA", "ORFlashCamADCWaveform"),
        ("demo-p01-r002-phy-20260108T010000Z", "ORCA", "ORFCIOEvent"),
    ],
)
def test_daq2lh5_reads_simulated_files(tmp_path, key, kind, table):
    settings = load_settings(CONFIG / "simulation.yaml")
    runs = [run.model_copy(update={"events": 300 if run.datatype == "cal" else 40}) for run in settings.runs]
    sources = {name: source.model_copy(update={"dead_rate": 1.0}) for name, source in settings.sources.items()}
    settings = settings.model_copy(update={"runs": runs, "sources": sources})
    channels = load_channelmap(CONFIG / "channelmap.yaml")
    daq, truth_file = tmp_path / "cycle.daq", tmp_path / "truth.lh5"
    simulate_cycle(settings, channels, key, daq, truth_file)
    command = [PYTHON, "-c", READ, str(daq), str(tmp_path / "peer.lh5"), kind]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = json.loads(output[output.rindex("RESULT") + 6 :])[table]

    events, traces = lh5.read(truth_file, "truth/events"), lh5.read(truth_file, "truth/traces")
    kept = ~events.array("is_discarded")[traces.array("event")]
    expected = traces.array("event")[kept]
    assert found["eventnumber"] == expected.tolist()
    assert found["rawid"] == traces.array("rawid")[kept].tolist()
    np.testing.assert_allclose(found["timestamp"], events.array("timestamp")[expected], rtol=0, atol=5e-7)
    assert found["n_samples"] == 4096
    experiment = prepare(settings, channels, key)
    discarded = experiment.cycle.timeline.is_discarded
    sums = [b.digitised.words[~discarded[b.traces.event], 2:].sum(dtype=int) for b in blocks(experiment)]
    assert found["sample_sum"] == sum(sums)
    if table != "ORFlashCamADCWaveform":  # there the reference gives each record's own interval only
        dead = events.array("dead_interval")[: expected[-1] + 1].sum() / 1e9
        assert dead > 0.03
        assert found["deadtime"][-1] == pytest.approx(dead, abs=1e-7)
