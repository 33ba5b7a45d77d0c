"""Run Snakemake on the repository's workflow in a directory of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def snakemake(repository: Path, tmp_path: Path) -> Run:
    """Return a function that runs snakemake in tmp_path; it fails the test unless the exit code is as expected."""

    def run(*arguments: str, expect: int = 0, directory: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "snakemake", "-s", str(repository / "Snakefile"), "--directory", str(directory)]
        # the commands of the environment the tests run in, whether or not it is activated
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        done = subprocess.run(
            [*command, *arguments], env=environment, cwd=directory, text=True, capture_output=True, timeout=1500
        )
        assert done.returncode == expect, done.stdout + done.stderr
        return done

    return run
