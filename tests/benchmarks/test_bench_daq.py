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
    assert speeds["decode"] > 0
    assert speeds["whole"] > 0


def test_table(capsys):
    bench_daq.main(["--size", "2", "--only", "CoMPASS"])
    assert "| CoMPASS" in capsys.readouterr().out
