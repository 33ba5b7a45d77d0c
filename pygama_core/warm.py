"""Compile every numerical kernel once, so that jobs which start together only read the cache."""

from __future__ import annotations

import importlib
import time
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


def compile_all() -> list[str]:
    """Import every kernel module, which compiles it, and mark the cache complete; return what was done."""
    from pygama_core import accelerate

    lines = []
    for name in kernel_modules():
        start = time.perf_counter()
        importlib.import_module(name)
        lines.append(f"{name}: {time.perf_counter() - start:.1f} s")
    accelerate.mark_complete()
    return [*lines, f"compiled code is in {accelerate.CACHE}"]
