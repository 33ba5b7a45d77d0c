"""Compile numerical kernels before jobs that start together would each wait for them."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

PROCESSORS = "pygama_core.dsp.processors."


def kernel_modules() -> list[str]:
    """Return the names of all modules that declare kernels, those of signal processors among them."""
    from pygama_core.accelerate import KERNEL_MARK, PACKAGE

    marks = (b"from " + KERNEL_MARK, b"from pygama_core.dsp.registry import processor")
    modules = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.stem not in ("accelerate", "warm") and any(mark in path.read_bytes() for mark in marks):
            name = Path(PACKAGE.name, path.relative_to(PACKAGE)).with_suffix("")
            modules.append(".".join(name.parts))
    return modules


def compile_kernels(chains: Iterable[Path] = ()) -> list[str]:
    """Compile kernels into the cache; return what was done, one line for each module.

    Modules are compiled by as many processes as there are cores: the compiler holds the interpreter's lock.

    Parameters
    ----------
    chains
        processing-chain configurations whose processors are compiled; default: all processors
    """
    from pygama_core import accelerate

    wanted = _processors_of(chains)
    tasks: list[tuple[str, frozenset[str] | None]] = []
    for name in kernel_modules():
        if not name.startswith(PROCESSORS) or not wanted:
            tasks.append((name, None))
        elif names := wanted.get(name.removeprefix(PROCESSORS)):
            tasks.append((name, frozenset(names)))
    n_cores = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(n_cores, mp_context=multiprocessing.get_context("spawn")) as pool:
        lines = list(pool.map(_compile, tasks))
    return [*lines, f"compiled code is in {accelerate.cache_root()}"]


def _processors_of(chains: Iterable[Path]) -> dict[str, set[str]]:
    """Return family -> processors that the configurations use."""
    from pygama_core.dsp.config import load_config
    from pygama_core.dsp.registry import FAMILY_OF

    families: dict[str, set[str]] = {}
    for chain in chains:
        for recipe in load_config(chain).recipes:
            if recipe.function in FAMILY_OF:
                families.setdefault(FAMILY_OF[recipe.function], set()).add(recipe.function)
    return families


def _compile(task: tuple[str, frozenset[str] | None]) -> str:
    from pygama_core import accelerate

    name, only = task
    start = time.perf_counter()
    accelerate.compile_module(name, only)
    what = f" ({', '.join(sorted(only))})" if only else ""
    return f"{name}{what}: {time.perf_counter() - start:.1f} s"
