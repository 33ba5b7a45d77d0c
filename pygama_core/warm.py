"""Compile every numerical kernel once, so that jobs which start together only read the cache."""

from __future__ import annotations

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

MARKS = (b"from pygama_core.accelerate import", b"from pygama_core.dsp.registry import")


def kernel_modules() -> list[str]:
    """Return the names of all modules that declare compiled kernels."""
    from pygama_core.accelerate import PACKAGE

    modules = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.stem not in ("accelerate", "warm") and any(mark in path.read_bytes() for mark in MARKS):
            name = Path(PACKAGE.name, path.relative_to(PACKAGE)).with_suffix("")
            modules.append(".".join(name.parts))
    return modules


def _compile(name: str) -> str:
    from pygama_core import accelerate

    start = time.perf_counter()
    accelerate.compile_module(name)
    return f"{name}: {time.perf_counter() - start:.1f} s"


def compile_all() -> list[str]:
    """Compile every kernel module into the cache; return what was done.

    Modules are compiled by as many processes as there are cores: the compiler holds the interpreter's lock.
    """
    from pygama_core import accelerate

    n_cores = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(n_cores, mp_context=multiprocessing.get_context("spawn")) as pool:
        lines = list(pool.map(_compile, kernel_modules()))
    return [*lines, f"compiled code is in {accelerate.cache_root()}"]
