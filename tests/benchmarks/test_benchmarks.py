"""Benchmarks run at their smallest size, so that they cannot rot; what they measure is no assertion."""

import pytest
import startup

pytestmark = pytest.mark.benchmark


def test_startup_measures_every_command():
    times = startup.measure(repeat=1)
    assert set(times) >= {"daq-to-raw", "build-tcm", "raw-to-dsp", "dsp-to-hit", "hit-to-evt", "par-dsp", "par-hit"}
    assert table_rows(startup.table(times)) == len(times)


def table_rows(text):
    return len(text.splitlines()) - 2
