"""The benchmark of the decoders at its smallest size, so that it does not rot."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import bench_daq

pytestmark = pytest.mark.benchmark


@pytest.mark.parametrize("name", bench_daq.CASES)
def test_every_case_runs(testdata, tmp_path, monkeypatch, name):
    monkeypatch.setattr(bench_daq, "TESTDATA", testdata)
    speeds = bench_daq.measure(bench_daq.CASES[name], tmp_path, 5e6, 1, None)
    assert speeds.decode > 0
    assert min(speeds.whole) > 0


def test_table(capsys):
    bench_daq.main(["--size", "2", "--only", "CoMPASS"])
    assert "| CoMPASS" in capsys.readouterr().out


def test_the_reference_is_remembered(capsys, tmp_path):
    known = tmp_path / "times.json"
    known.write_text('{"llamaDAQ, 2 channels 2.0": [1000.0, 500.0]}')
    bench_daq.main(["--size", "2", "--only", "llama", "--remember", str(known)])
    factors = [float(cell) for cell in capsys.readouterr().out.splitlines()[-1].split("|")[7:9]]
    assert factors[0] > 1
