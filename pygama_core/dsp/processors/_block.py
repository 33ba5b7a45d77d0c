"""What processors written with NumPy share: they get blocks with any number of leading axes."""

from __future__ import annotations

import numpy as np


def missing(w: np.ndarray) -> np.ndarray:
    """Return where any sample along the last axis is NaN, without that axis."""
    return np.asarray(np.isnan(w).any(axis=-1))


def blank(out: np.ndarray, bad: np.ndarray) -> None:
    """Make the rows of ``out`` NaN where ``bad``."""
    np.copyto(out, np.nan, where=bad[..., np.newaxis])


def letter(mode: np.ndarray) -> str:
    """Return the character of a mode argument, which is the same for all rows."""
    return chr(int(np.asarray(mode).flat[0]))
