"""Verify a file in a process of its own: libhdf5 itself can crash or hang on a damaged file."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

from pygama_core.errors import LH5Error
from pygama_core.lh5.integrity import Fault, Verification, verify


def verify_apart(path: str | os.PathLike[str], *, timeout_s: float | None = None) -> Verification:
    """Verify a file as :func:`pygama_core.lh5.integrity.verify` does, in another process.

    A file that cannot be opened, or on which that process crashes or takes too long, is a fault of the whole file.

    Raises
    ------
    LH5Error
        if there is no such file
    """
    if not Path(path).exists():
        raise LH5Error(f"{path}: no such file")
    command = [sys.executable, "-m", "pygama_core.lh5.check", os.fspath(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return _whole(path, f"could not be read within {timeout_s} s; HDF5 hangs on it")
    if done.returncode:
        return _whole(path, f"reading it ended with code {done.returncode}: {done.stderr.strip()[-200:]}")
    content = json.loads(done.stdout)
    faults = tuple(Fault(**fault) for fault in content.pop("faults"))
    return Verification(**content, faults=faults)


def _whole(path: str | os.PathLike[str], problem: str) -> Verification:
    return Verification(str(path), 0, 0, (Fault("/", problem),))


def verify_or_say(path: str) -> Verification:
    """Verify a file; one that cannot be opened is a fault of the whole file."""
    try:
        return verify(path)
    except LH5Error as error:
        return _whole(path, str(error))


if __name__ == "__main__":
    print(json.dumps(dataclasses.asdict(verify_or_say(sys.argv[1]))))
