"""The only place that knows numba: options, the compiled-code cache and its lock.

Every kernel that Python calls declares its signatures, so that it is compiled when its module is imported, never in the
middle of a job. A function that only kernels call is a :func:`kernel_part`. A module's cache directory is named by a
digest of everything its compiled code depends on: its source and those of the kernel modules it imports (which numba
itself does not track), numba, Python, CPU. Until :func:`mark_complete` was called for the module, each compilation
holds an exclusive lock of its kernel: jobs that start together compile each kernel once, whoever comes first.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import os
import platform
import re
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parent
COMPLETE = "complete"
KERNEL_MARK = b"pygama_core.accelerate import"
IMPORT = re.compile(rb"^from (pygama_core[\w.]*) import", re.MULTILINE)
_DECORATING = threading.RLock()  # numba's cache directory is one global setting

# `reassoc` and `nnan` are absent on purpose: NaN carries "no result", and sums must not depend on the block size.
FASTMATH = {"contract", "arcp", "nsz"}
NUMBA_OPTIONS: dict[str, Any] = {"nopython": True, "cache": True, "fastmath": FASTMATH}
JIT_OPTIONS: dict[str, Any] = {**NUMBA_OPTIONS, "nogil": True, "error_model": "numpy"}


def cache_root() -> Path:
    """Return the directory of all compiled-code caches: $PYGAMA_CORE_CACHE, else the user's cache directory."""
    if (explicit := os.environ.get("PYGAMA_CORE_CACHE")) is not None:
        return Path(explicit)
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "pygama_core"


@functools.cache
def _environment() -> str:
    """Describe what all compiled code depends on: interpreter, numba, CPU."""
    import llvmlite.binding as llvm  # ships with numba; its host name and features decide the instructions
    import numba
    import numba.np.linalg as numba_linalg
    from numba.core import entrypoints

    # our kernels use none of numba's extensions; loading them imports awkward in every job where it is installed
    entrypoints._already_initialized = True
    # numba imports scipy.linalg only to see that it is there, a quarter of a second in every job; it is a dependency
    check, numba_linalg.ensure_blas = numba_linalg.ensure_blas, lambda: None
    importlib.import_module("numba.np.arraymath")
    numba_linalg.ensure_blas = check
    cpu = (llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())
    return repr((platform.python_version(), numba.__version__, llvm.llvm_version_info, *cpu))


def _kernel_sources(path: Path, found: dict[Path, bytes] | None = None) -> dict[Path, bytes]:
    """Return the source of a kernel module and of all kernel modules it imports."""
    found = {} if found is None else found
    if path not in found:
        source = path.read_bytes()
        found[path] = source
        for name in IMPORT.findall(source):
            imported = PACKAGE.parent / Path(*name.decode().split(".")).with_suffix(".py")
            if imported.is_file() and KERNEL_MARK in imported.read_bytes():
                _kernel_sources(imported, found)
    return found


@functools.cache
def cache_directory(path: Path, extra: str = "") -> Path:
    """Return the cache directory of the kernel module in a file, made if it is missing.

    ``extra`` names what the code depends on besides.
    """
    digest = hashlib.sha256(_environment().encode())
    for source_path, source in sorted(_kernel_sources(path).items()):
        # numba looks entries up by path and time stamp: the same source elsewhere has a cache of its own
        digest.update(f"{source_path}{source_path.stat().st_mtime_ns}".encode() + source)
    digest.update(Path(__file__).read_bytes() + extra.encode())
    directory = cache_root() / f"{path.stem}-{digest.hexdigest()[:16]}"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@contextlib.contextmanager
def compiling(function: Callable[..., Any], path: Path | None = None, extra: str = "") -> Iterator[None]:
    """Point numba to the function's cache, and hold the kernel's lock unless that cache is complete and only read.

    Parameters
    ----------
    function
        what is compiled inside the block
    path, extra
        file of the kernel module whose cache takes it, and what it depends on besides; default: the function's file
    """
    import numba

    directory = cache_directory(path or Path(function.__code__.co_filename), extra)
    with _DECORATING:
        numba.config.CACHE_DIR = str(directory)  # type: ignore[attr-defined]
        if (directory / COMPLETE).exists():
            yield
            return
        import fcntl

        with (directory / f"{function.__qualname__}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def mark_complete(path: Path) -> None:
    """Declare that every kernel of the module in a file is compiled; from now on nobody locks its cache."""
    (cache_directory(path) / COMPLETE).touch()


def jit(*signatures: str, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile a function for the given signatures now, or load it from the cache; it releases the GIL."""
    from numba import njit

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        with compiling(function):
            return njit(list(signatures), **{**_without_nopython(JIT_OPTIONS), **options})(function)

    return decorate


def kernel_part(function: Callable[..., Any]) -> Callable[..., Any]:
    """Declare a function that only kernels call: it is compiled into them, so that nothing of its own is loaded."""
    from numba import njit

    return njit(**{**_without_nopython(JIT_OPTIONS), "cache": False})(function)  # type: ignore[no-any-return]


def gufunc(signatures: list[str], layout: str) -> Callable[[Callable[..., Any]], Any]:
    """Compile a NumPy generalised ufunc for the given signatures and layout now, or load it from the cache."""
    from numba import guvectorize

    def decorate(function: Callable[..., Any]) -> Any:
        with compiling(function):
            return guvectorize(  # type: ignore[no-untyped-call]
                signatures, layout, **NUMBA_OPTIONS
            )(function)

    return decorate


_DEFERRED: dict[str, dict[str, Callable[[], Any]]] = {}


def defer(function: Callable[..., Any], compile_now: Callable[[], Any]) -> None:
    """Remember how to compile what a kernel's module compiles at first use only."""
    _DEFERRED.setdefault(function.__code__.co_filename, {})[function.__name__] = compile_now


def compile_module(name: str, only: Collection[str] | None = None) -> None:
    """Compile a module's kernels into the cache; of the deferred ones those named, or all of them.

    A module without deferred kernels is marked complete.
    """
    path = importlib.import_module(name).__file__ or ""
    for kernel, compile_now in _DEFERRED.get(path, {}).items():
        if only is None or kernel in only:
            compile_now()
    if path not in _DEFERRED:
        mark_complete(Path(path))


def _without_nopython(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "nopython"}
