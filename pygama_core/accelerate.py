"""The only place that knows numba: options, the compiled-code cache and its lock.

Every kernel declares its signatures, so that it is compiled when its module is imported, never in the middle of a
job. The cache directory's name is a digest of everything compiled code depends on (sources, numba, CPU), which numba
itself does not track across files. Until :func:`mark_complete` was called for that directory, each compilation holds
an exclusive lock of its kernel: jobs that start together compile each kernel once, whoever comes first.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parent
COMPLETE = "complete"

# `reassoc` and `nnan` are absent on purpose: NaN carries "no result", and sums must not depend on the block size.
FASTMATH = {"contract", "arcp", "nsz"}
NUMBA_OPTIONS: dict[str, Any] = {"nopython": True, "cache": True, "fastmath": FASTMATH}
JIT_OPTIONS: dict[str, Any] = {**NUMBA_OPTIONS, "nogil": True, "error_model": "numpy"}


def cache_root() -> Path:
    """Return the directory of all compiled-code caches: $PYGAMA_CORE_CACHE, else the user's cache directory."""
    if (explicit := os.environ.get("PYGAMA_CORE_CACHE")) is not None:
        return Path(explicit)
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "pygama_core"


def _cache_key() -> str:
    """Digest what compiled code depends on: package location and sources, interpreter, numba, CPU."""
    from importlib.metadata import version

    import llvmlite.binding as llvm  # ships with numba; its host name and features decide the instructions

    digest = hashlib.sha256()
    environment = (
        PACKAGE,
        platform.python_version(),
        version("numba"),
        version("llvmlite"),
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
    )
    digest.update(repr(environment).encode())
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_bytes()
        if b"pygama_core.accelerate import" in source or path == Path(__file__):
            digest.update(f"{path}{path.stat().st_mtime_ns}".encode() + source)
    return digest.hexdigest()[:20]


def _setup() -> Path:
    import numba
    from numba.core import entrypoints

    directory = cache_root() / _cache_key()
    directory.mkdir(parents=True, exist_ok=True)
    # our kernels use none of numba's extensions; loading them imports awkward in every job where it is installed
    entrypoints._already_initialized = True
    numba.config.CACHE_DIR = str(directory)  # type: ignore[attr-defined]
    return directory


CACHE = _setup()


@contextlib.contextmanager
def _compile_lock(function: Callable[..., Any]) -> Iterator[None]:
    """Hold a kernel's exclusive lock, unless the cache is complete and only read."""
    if (CACHE / COMPLETE).exists():
        yield
        return
    import fcntl

    with (CACHE / f"{function.__module__}.{function.__qualname__}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def mark_complete() -> None:
    """Declare that every kernel is compiled into the cache; from now on nobody locks it."""
    (CACHE / COMPLETE).touch()


def jit(*signatures: str, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile a function for the given signatures now, or load it from the cache; it releases the GIL."""
    from numba import njit

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        with _compile_lock(function):
            return njit(list(signatures), **{**_without_nopython(JIT_OPTIONS), **options})(function)

    return decorate


def gufunc(signatures: list[str], layout: str) -> Callable[[Callable[..., Any]], Any]:
    """Compile a NumPy generalised ufunc for the given signatures and layout now, or load it from the cache."""
    from numba import guvectorize

    def decorate(function: Callable[..., Any]) -> Any:
        with _compile_lock(function):
            return guvectorize(  # type: ignore[no-untyped-call]
                signatures, layout, **NUMBA_OPTIONS
            )(function)

    return decorate


def _without_nopython(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "nopython"}
