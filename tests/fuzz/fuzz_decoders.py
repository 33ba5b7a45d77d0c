"""Coverage-guided fuzzing of one decoder, on demand.

    pip install atheris
    python tests/fuzz/fuzz_decoders.py fcio -max_total_time=600 [CORPUS_DIRECTORY]

The compiled kernels run as plain Python here (numba switched off), so that their branches guide the fuzzer as well.
Whatever it finds is written to ``crash-*`` in the working directory; ``python tests/fuzz/fuzz_decoders.py fcio FILE``
runs it again.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from pathlib import Path

os.environ["NUMBA_DISABLE_JIT"] = "1"
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

import atheris  # noqa: E402

with atheris.instrument_imports(include=["pygama_core.daq"]):
    import numpy as np
    from damage import decode_array, subjects

    from pygama_core.daq.daqfile import known_formats
    from pygama_core.errors import DecodeError

    for known in known_formats().values():
        importlib.import_module(known.module)  # the decoders, instrumented

np.seterr(all="ignore")  # compiled kernels wrap silently


class Bytes(np.ndarray):
    """Bytes whose elements are Python's integers, as wide as those of compiled code."""

    def __getitem__(self, at):
        """Return an element as an integer, or a part."""
        found = super().__getitem__(at)
        return int(found) if isinstance(found, np.uint8) else found


def run(format: str, content: bytes) -> None:
    """Decode; only our own error may come out, and no more bytes lost than there are."""
    try:
        _, summary = decode_array(format, np.frombuffer(content, np.uint8).view(Bytes))
    except DecodeError:
        return
    n_lost = summary.bytes_skipped + summary.truncated_tail
    if not 0 <= n_lost <= len(content):
        raise AssertionError(f"{n_lost} of {len(content)} bytes lost")


def main() -> None:
    """Fuzz the decoder named first on the command line, starting from the synthetic files of its format."""
    formats = ("fcio", "orca", "compass", "llama")
    if len(sys.argv) < 2 or sys.argv[1] not in formats:
        sys.exit(f"usage: {sys.argv[0]} {'|'.join(formats)} [libFuzzer options] [corpus directory or file]")
    format = sys.argv.pop(1)
    with tempfile.TemporaryDirectory() as seeds:
        for name, subject in subjects().items():
            if subject.format == format:
                (Path(seeds) / name.replace(" ", "_")).write_bytes(subject.content)
        is_rerun = any(Path(argument).is_file() for argument in sys.argv[1:])
        arguments = sys.argv if is_rerun else [*sys.argv, "-max_len=20000", seeds]
        atheris.Setup(arguments, lambda data: run(format, data))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
