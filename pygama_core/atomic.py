"""Files that appear whole or not at all, also when several processes make the same one or are killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from pygama_core.errors import PygamaError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``, renamed to it if the block ends without an error, else removed.

    The name belongs to this process alone: a job that outlives its killed workflow and the job that repeats it do not
    write into one file. What killed processes left behind for the same ``path`` is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path)
    partial = path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}.part")
    guard = os.open(partial, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX)  # says "in use" until this process ends, however it ends
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
        os.close(guard)


def _remove_abandoned(path: Path) -> None:
    for partial in path.parent.glob(f".{path.name}.*.part"):
        with contextlib.suppress(OSError), partial.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            partial.unlink()


def hold_lock(path: Path, what: str) -> None:
    """Hold an exclusive lock on a file until this process ends, however it ends.

    Raises
    ------
    PygamaError
        if another process holds it
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)  # open until the process ends
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise PygamaError(f"{what} is in use by {holder or 'another process'}; wait for it or stop it") from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
