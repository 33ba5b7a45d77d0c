"""A production that is killed at any moment and started again ends with the same bytes as an undisturbed one."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from production import copy_config, digests, shrink

pytestmark = pytest.mark.workflow
N_KILLS = 3


@pytest.fixture
def small(tmp_path, repository):
    """Return a function that makes a working directory with a small experiment."""

    def make(name):
        directory = tmp_path / name
        directory.mkdir()
        shrink(copy_config(repository, directory), n_cal=300, n_phy=60, n_cycles=1)
        return directory

    return make


def start(repository, directory):
    command = [sys.executable, "-m", "snakemake", "-s", str(repository / "Snakefile"), "--directory", str(directory)]
    environment = {**os.environ, "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}
    return subprocess.Popen(
        [*command, "all_evt"],
        env=environment,
        cwd=directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def interrupt(process, kind):
    """Kill the workflow alone, the workflow with its jobs, or press Ctrl-C."""
    if kind == "workflow":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL if kind == "all" else signal.SIGINT)
    process.wait(timeout=60)


def test_interrupted_production_ends_with_the_same_bytes(small, repository, run_snakemake):
    undisturbed, disturbed = small("undisturbed"), small("disturbed")
    begin = time.monotonic()
    run_snakemake("all_evt", directory=undisturbed)
    duration = time.monotonic() - begin
    rng = random.Random(5)
    for i in range(N_KILLS):
        process = start(repository, disturbed)
        time.sleep(rng.uniform(0.15, 0.6) * duration)
        interrupt(process, ("all", "workflow", "interrupt")[i % 3])
    run_snakemake("all_evt", directory=disturbed)
    assert digests(disturbed) == digests(undisturbed)
    assert "Nothing to be done" in run_snakemake("all_evt", directory=disturbed).stdout


def test_two_productions_in_one_place_do_not_run_at_once(small, repository, run_snakemake):
    directory = small("shared")
    process = start(repository, directory)
    lock = directory / "generated/.lock"
    while not lock.exists() or not lock.read_text():
        assert process.poll() is None
        time.sleep(0.1)
    done = run_snakemake("all_evt", directory=directory, expect=1)
    assert f"the production in generated is in use by process {process.pid}" in done.stdout
    assert process.wait(timeout=600) == 0


def test_run_without_events_and_truncated_file_are_processed(small, run_snakemake):
    directory = small("damaged")
    run_snakemake("all_raw", directory=directory)
    daq = directory / "generated/daq"
    cut = next(daq.glob("phy/p01/r001/*.fcio"))
    cut.write_bytes(cut.read_bytes()[:-5000])
    empty = next(daq.glob("phy/p01/r002/*.orca"))
    empty.write_bytes(without_events(empty.read_bytes()))
    run_snakemake("all_evt", directory=directory)
    log = next((directory / "generated/log/raw/phy/p01/r001").glob("*.log")).read_text()
    assert "truncated: the last" in log
    log = (directory / "generated/log/evt/phy/p01/r002/demo-p01-r002-phy.log").read_text()
    assert "0 events" in log


def without_events(orca: bytes) -> bytes:
    """Keep an ORCA file's header and first packets up to the first event."""
    words = memoryview(orca).cast("I")
    position = words[0]
    header = bytes(orca[: 4 * position])
    kept = [header]
    while position < len(words):
        word = words[position]
        length = 1 if word >> 31 else (word & 0x3FFFF) or words[position + 1]
        packet = bytes(orca[4 * position : 4 * (position + length)])
        if len(packet) < 4096:  # run records and configurations; events hold waveforms
            kept.append(packet)
        position += length
    return b"".join(kept)
