"""Fixtures for all rooms: where the public test data and the reference packages lie."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# a shared machine can stall any test for seconds; time is measured in benchmarks, not judged here
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

REPOSITORY = Path(__file__).resolve().parents[1]
DEFAULT_TESTDATA = REPOSITORY.parent / "shared" / "testdata"


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the root of the repository."""
    return REPOSITORY


@pytest.fixture(scope="session")
def testdata() -> Path:
    """Return the directory of the public DAQ and LH5 files; missing files are a failure, never a skip."""
    directory = Path(os.environ.get("LEGEND_TESTDATA", DEFAULT_TESTDATA))
    if not (directory / "fcio").is_dir():
        pytest.fail(f"no test data in {directory}; set LEGEND_TESTDATA to the directory that holds fcio/, orca/, lh5/")
    return directory


@pytest.fixture(scope="session")
def peers_python() -> str:
    """Return the interpreter of the environment that holds the reference packages."""
    python = os.environ.get("PYGAMA_PEERS_PYTHON", "/opt/peers/bin/python")
    if not Path(python).exists():
        pytest.fail(
            f"no {python}; install the extra `peers` into an environment of its own and name it in PYGAMA_PEERS_PYTHON"
        )
    return python


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name every skip; CI counts it as a failure."""
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped and os.environ.get("PYGAMA_FAIL_ON_SKIP"):
        terminalreporter.section("skips are failures here")
        for report in skipped:
            terminalreporter.line(f"{report.nodeid}: {report.longrepr}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Turn a green session with skips red when PYGAMA_FAIL_ON_SKIP is set."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and reporter.stats.get("skipped") and exitstatus == 0 and os.environ.get("PYGAMA_FAIL_ON_SKIP"):
        session.exitstatus = 1
