"""What made a file: step, version, inputs, configuration; no times, no hosts, so equal work gives equal bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pygama_core import __version__
from pygama_core.lh5.types import Scalar, Struct


def digest(value: Any) -> str:
    """Return the SHA-256 of a configuration's canonical JSON text."""
    text = json.dumps(value, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def describe(step: str, inputs: Iterable[Path], settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the provenance of one output as plain text fields.

    Parameters
    ----------
    step
        the function that made it
    inputs
        its input files; names and sizes are recorded (a digest of gigabytes would cost more than the step)
    settings
        everything else that decided the content: configurations and parameters, loaded
    """
    files = [f"{path.name}:{path.stat().st_size}" for path in inputs]
    return {
        "step": step,
        "version": __version__,
        "inputs": " ".join(files),
        "settings_sha256": digest(settings),
    }


def provenance_struct(step: str, inputs: Iterable[Path], settings: Mapping[str, Any]) -> Struct:
    """Return the provenance as it is stored in an LH5 file, under the name ``provenance``."""
    return Struct({name: Scalar(text) for name, text in describe(step, inputs, settings).items()})
