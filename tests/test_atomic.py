"""Whole or not there: on success, on errors, under kill -9, and with two writers of one file."""

import os
import signal
import subprocess
import sys

import pytest

from pygama_core.atomic import hold_lock, replacing
from pygama_core.errors import PygamaError

HOLD = """
import sys, time
from pathlib import Path
from pygama_core.atomic import hold_lock, replacing
path = Path(sys.argv[1])
if sys.argv[2] == "lock":
    hold_lock(path, "it")
    print("ready", flush=True)
    time.sleep(60)
with replacing(path) as partial:
    partial.write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Return a process that is in the middle of writing (or holds the lock of) tmp_path/file."""
    started = []

    def start(kind):
        command = [sys.executable, "-c", HOLD, str(tmp_path / "file"), kind]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ValueError, match="stop"), replacing(path) as partial:
        partial.write_text("half")
        raise ValueError("stop")
    assert os.listdir(tmp_path) == ["file"]
    assert path.read_text() == "old"


def test_remains_of_a_killed_process_are_removed(tmp_path, other):
    process = other("write")
    process.kill()
    process.wait()  # until then it holds its lock
    path = tmp_path / "file"
    assert not path.exists()
    with replacing(path) as partial:
        partial.write_text("new")
    assert os.listdir(tmp_path) == ["file"]
    assert path.read_text() == "new"


def test_two_writers_do_not_share_a_file(tmp_path, other):
    other("write")
    path = tmp_path / "file"
    with replacing(path) as partial:
        partial.write_text("new")
    assert path.read_text() == "new"
    assert len(os.listdir(tmp_path)) == 2  # the other one is still writing


def test_lock_names_its_holder_and_ends_with_it(tmp_path, other):
    process = other("lock")
    with pytest.raises(PygamaError, match=f"production is in use by process {process.pid} on .*; wait for it"):
        hold_lock(tmp_path / "file", "production")
    process.send_signal(signal.SIGKILL)
    process.wait()
    hold_lock(tmp_path / "file", "production")
