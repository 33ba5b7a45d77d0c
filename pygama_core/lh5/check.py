"""Verify a file in a process of its own: libhdf5 itself can crash or hang on a damaged file."""

from __future__ import annotations

import dataclasses
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from pygama_core.errors import LH5Error
from pygama_core.lh5.integrity import Fault, Verification, verify

STALL_S = 300.0  # without a sign of progress for so long, a file counts as unreadable
REPORT_EVERY_S = 0.2


def verify_apart(
    path: str | os.PathLike[str], *, stall_s: float = STALL_S, report: Callable[[str], None] | None = None
) -> Verification:
    """Verify a file as :func:`pygama_core.lh5.integrity.verify` does, in another process.

    A file that cannot be opened, or on which that process crashes or makes no progress, is a fault of the whole file.

    Parameters
    ----------
    path
        the file
    stall_s
        seconds without progress after which to give up; the time for the whole file is not limited. Progress is made
        with each object, and with each block of some MB of a large one
    report
        is called with the name of the object being read, a few times a second

    Raises
    ------
    LH5Error
        if there is no such file
    """
    if not Path(path).exists():
        raise LH5Error(f"{path}: no such file")
    command = [sys.executable, "-m", "pygama_core.lh5.check", os.fspath(path)]
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=messages)
        found: Verification | _End | None = None
        try:
            assert process.stdout is not None
            found = _follow(path, process.stdout, stall_s, report)
            process.stdout.close()
        finally:
            if found is None or (isinstance(found, _End) and found.is_stalled):
                process.kill()
            code = process.wait()
        if isinstance(found, Verification):
            return found
        if found.is_stalled:
            return _whole(path, f"no progress for {stall_s:g} s at {found.name}: HDF5 hangs on it, or the storage")
        messages.seek(0)
        text = messages.read().decode(errors="replace").strip()[-200:]
        return _whole(path, f"reading it ended with code {code} at {found.name}: {text}")


@dataclasses.dataclass(frozen=True)
class _End:
    """How a verification ended that gave no result."""

    name: str  # of the object that was being read
    is_stalled: bool


def _follow(
    path: str | os.PathLike[str], stream: IO[bytes], stall_s: float, report: Callable[[str], None] | None
) -> Verification | _End:
    name = "/"
    for line in _lines(stream, stall_s):
        if line is None:
            return _End(name, is_stalled=True)
        content = json.loads(line)
        if "faults" in content:
            faults = tuple(Fault(**fault) for fault in content.pop("faults"))
            return Verification(**content, faults=faults)
        name = content["at"]
        if report is not None:
            report(name)
    return _End(name, is_stalled=False)


def _lines(stream: IO[bytes], stall_s: float) -> Iterator[bytes | None]:
    """Yield the lines of a pipe; None, as the last, if none comes for so many seconds."""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        rest = b""
        while True:
            if not selector.select(stall_s):
                yield None
                return
            data = os.read(stream.fileno(), 1 << 16)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            yield from lines


def _whole(path: str | os.PathLike[str], problem: str) -> Verification:
    return Verification(str(path), 0, 0, (Fault("/", problem),))


class _Reporter:
    """Prints what is being read: at once when the object changes or time has passed, so that a crash is located."""

    def __init__(self) -> None:
        self._name, self._last = "", 0.0

    def __call__(self, name: str) -> None:
        now = time.monotonic()
        if name != self._name or now - self._last > REPORT_EVERY_S:
            self._name, self._last = name, now
            print(json.dumps({"at": name}), flush=True)


def verify_or_say(path: str) -> Verification:
    """Verify a file; one that cannot be opened is a fault of the whole file. Progress goes to standard output."""
    try:
        return verify(path, _Reporter())
    except LH5Error as error:
        return _whole(path, str(error))


if __name__ == "__main__":
    print(json.dumps(dataclasses.asdict(verify_or_say(sys.argv[1]))))
