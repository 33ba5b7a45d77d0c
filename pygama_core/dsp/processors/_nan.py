"""The test for missing samples that kernels share."""

from __future__ import annotations

from typing import Any

from pygama_core.accelerate import jit


@jit("boolean(f4[::1])", "boolean(f8[::1])")
def has_nan(w: Any) -> bool:
    """Return whether any sample is NaN; no early exit, so that the loop is vectorised."""
    bad = False
    for i in range(len(w)):
        bad |= w[i] != w[i]
    return bad
