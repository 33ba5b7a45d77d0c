"""Run Snakemake on the repository's workflow in a directory of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def run_snakemake(repository: Path) -> Run:
    """Return a function that runs snakemake in a directory; it fails the test unless the exit code is as expected."""

    def run(*arguments: str, directory: Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "-s",
            str(repository / "Snakefile"),
            "--directory",
            str(directory),
        ]
        # the commands of the environment the tests run in, whether or not it is activated
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        done = subprocess.run(
            [*command, *arguments],
            env=environment,
            cwd=directory,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=1500,
        )
        assert done.returncode == expect, done.stdout
        return done

    return run


@pytest.fixture
def snakemake(run_snakemake: Run, tmp_path: Path) -> Run:
    """Return :func:`run_snakemake` in the test's own directory."""
    return partial(run_snakemake, directory=tmp_path)
