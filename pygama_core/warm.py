"""Compile every numerical kernel once, so that jobs which start together only read the cache."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path


def kernel_modules() -> list[str]:
    """Return the names of all modules that declare compiled kernels."""
    from pygama_core.accelerate import PACKAGE

    modules = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.stem != "accelerate" and b"from pygama_core.accelerate import" in path.read_bytes():
            name = Path(PACKAGE.name, path.relative_to(PACKAGE)).with_suffix("")
            modules.append(".".join(name.parts))
    return [name for name in modules if name != __name__]


def _compile(name: str) -> str:
    from pygama_core import accelerate

    start = time.perf_counter()
    module = importlib.import_module(name)
    accelerate.mark_complete(Path(module.__file__ or ""))
    return f"{name}: {time.perf_counter() - start:.1f} s"


def compile_all() -> list[str]:
    """Import every kernel module, which compiles it, and mark its cache complete; return what was done.

    Modules are compiled by as many processes as there are cores: the compiler holds the interpreter's lock.
    """
    from pygama_core import accelerate

    n_cores = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(n_cores, mp_context=multiprocessing.get_context("spawn")) as pool:
        lines = list(pool.map(_compile, kernel_modules()))
    return [*lines, f"compiled code is in {accelerate.cache_root()}"]
