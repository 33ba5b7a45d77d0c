"""Fixtures for all rooms: where the public test data lie."""

import os
from pathlib import Path

import pytest

DEFAULT_TESTDATA = Path(__file__).resolve().parents[2] / "shared" / "testdata"


@pytest.fixture(scope="session")
def testdata() -> Path:
    """Return the directory of the public DAQ and LH5 files; missing files are a failure, never a skip."""
    directory = Path(os.environ.get("LEGEND_TESTDATA", DEFAULT_TESTDATA))
    if not (directory / "fcio").is_dir():
        pytest.fail(f"no test data in {directory}; set LEGEND_TESTDATA to the directory that holds fcio/, orca/, lh5/")
    return directory
