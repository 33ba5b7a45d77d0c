"""The benchmark at its smallest size, so that it cannot rot."""

import bench_lh5
import pytest


@pytest.mark.benchmark
def test_benchmark_runs(peers_python, capsys):
    results = bench_lh5.run(64, 1, peers_python)
    assert len(results) == 21
    assert "read 37 columns of 2000 rows" in capsys.readouterr().out
