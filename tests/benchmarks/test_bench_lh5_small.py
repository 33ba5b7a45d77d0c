"""The benchmark at its smallest size, so that it cannot rot."""

import bench_lh5_small
import pytest


@pytest.mark.benchmark
def test_benchmark_runs(peers_python, capsys):
    assert set(bench_lh5_small.run(2, 5, 1, peers_python)) == {"ours", "h5py", "reference"}
    assert "bytes for each dataset" in capsys.readouterr().out
