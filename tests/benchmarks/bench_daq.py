"""Speed of the DAQ decoders beside the reference, as a table for ``docs/performance.md``.

    python tests/benchmarks/bench_daq.py [--size MB ...] [--repeat N] [--peers PYTHON] [--only NAME ...]
                                         [--directory DIR] [--remember FILE]

A large file is made of a real one by repeating its events. Timed are the whole process (``daq_to_raw`` in a fresh
interpreter, to the finished file), decoding alone (processor time of one thread), and the same by the reference; of
whole processes both the time that passed and that of all processors, which tells more on a machine that others use.
The reference's times are kept in the file that ``--remember`` names and taken from there the next time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
TESTDATA = Path(os.environ.get("LEGEND_TESTDATA", ROOT.parent / "shared" / "testdata"))
OURS = """
import os, sys, time
from pathlib import Path
start = time.perf_counter()
from pygama_core.tiers.daq_to_raw import daq_to_raw
summary = daq_to_raw(Path(sys.argv[1]), Path(sys.argv[2]))
print(time.perf_counter() - start, sum(os.times()[:2]), sum(summary.rows.values()))
"""
DECODE = """
import sys, time
from pygama_core.daq.daqfile import open_daq
open_daq(sys.argv[1])
start, cpu = time.perf_counter(), time.process_time()
daq = open_daq(sys.argv[1])
n = 0
for block in daq.blocks():
    n += getattr(block.table, "n_rows", 0)
print(time.process_time() - cpu, time.perf_counter() - start, n)
"""
THEIRS = """
import os, sys, time
start = time.perf_counter()
from daq2lh5 import build_raw
build_raw(sys.argv[1], in_stream_type=sys.argv[3], out_spec=sys.argv[2], overwrite=True)
print(time.perf_counter() - start, sum(os.times()[:2]), 0)
"""


@dataclass(frozen=True)
class Case:
    """A real file, the reference's name of its format, and what of it is repeated."""

    path: str
    kind: str
    parts: Callable[[Path], tuple[bytes, bytes]]
    factor: float  # how many times the reference's speed the project asks for


def fcio_parts(path: Path) -> tuple[bytes, bytes]:
    """Return the bytes up to the Config, and the records behind it."""
    from pygama_core.daq.daqfile import open_daq
    from pygama_core.daq.fcio import constants as fr
    from pygama_core.daq.fcio.config import NO_SIZES, read_config
    from pygama_core.daq.fcio.index import Indexer

    data = open_daq(path).source.data
    indexer = Indexer(data, np.array([[0, len(data)]], np.int64), scan=True)
    index = indexer.next(NO_SIZES)
    config = read_config(index, index.config_row, None)
    start = int(index.records[index.config_row, fr.STOP])
    records = indexer.next(config.sizes).records
    stop = int(records[records[:, fr.TAG] > 0, fr.STOP].max())
    return data[:start].tobytes(), data[start:stop].tobytes()


def orca_parts(path: Path) -> tuple[bytes, bytes]:
    """Return the packets in front of the first event, and the events."""
    from pygama_core.daq.daqfile import open_daq
    from pygama_core.daq.orca import packets as pk
    from pygama_core.daq.orca.header import parse_header
    from pygama_core.daq.orca.packets import Walker
    from pygama_core.daq.orca.reader import _ids

    data = open_daq(path).source.data
    walker = Walker(data)
    none = np.array([(0, pk.HEADER)], np.int64)
    first = walker.next(none, 1 << 40, 1 << 40)
    header = parse_header(data, int(first.start[0]), int(first.stop[0]), str(path))
    ids = _ids(header)
    front, events = [data[: int(first.stop[0])].tobytes()], []
    while (packets := walker.next(ids, 1 << 40, 1 << 40)) is not None:
        for row, start, stop in zip(packets.row, packets.start, packets.stop, strict=True):
            is_event = ids[row, 1] in (pk.WAVEFORM, pk.FCIO)
            (events if is_event else [] if events else front).append(data[start:stop].tobytes())
    return b"".join(front), b"".join(events)


def waveform_parts(path: Path) -> tuple[bytes, bytes]:
    """Return the same with the EventHeaders left out, as in runs without a software trigger."""
    front, events = orca_parts(path)
    words = np.frombuffer(events, "<u4")
    kept, at = [], 0
    while at < len(words):
        n = int(words[at] & 0x3FFFF) or int(words[at + 1])
        kept.append(words[at : at + n])
        at += n
    largest = max(len(packet) for packet in kept)
    return front, b"".join(p.tobytes() for p in kept if len(p) > largest // 2)


def compass_parts(path: Path) -> tuple[bytes, bytes]:
    """Return the header word, and the records."""
    content = path.read_bytes()
    return content[:2], content[2:]


def llama_parts(path: Path) -> tuple[bytes, bytes]:
    """Return the configurations, and the events."""
    from pygama_core.daq.daqfile import open_daq

    size = open_daq(path).header.size
    content = path.read_bytes()
    return content[:size], content[size:]


CASES = {
    "FCIO, 123 channels x 8192": Case("fcio/l200-p06-r007-cal-20230725T202227Z.fcio", "FlashCam", fcio_parts, 12),
    "FCIO, 1 channel x 3830": Case("fcio/th228.fcio", "FlashCam", fcio_parts, 12),
    "ORCA FlashCam, 6 channels x 6402": Case("orca/fc/L200-comm-20220519-phy-geds.orca", "ORCA", orca_parts, 30),
    "ORCA FCIO, 61 channels x 1024": Case(
        "orca/fcio/l200-p13-r007-aph-20250101T003931Z.orca", "ORCA", waveform_parts, 30
    ),
    "CoMPASS, 2 channels x 1000": Case("compass/compass_test_data.BIN", "Compass", compass_parts, 10),
    "llamaDAQ, 2 channels": Case("llamaDAQ/20241218-150158-pulser.bin", "LlamaDaq", llama_parts, 10),
}


def make_file(case: Case, path: Path, n_bytes: float) -> int:
    """Write the large file; return its size."""
    front, events = case.parts(TESTDATA / case.path)
    n = max(1, round((n_bytes - len(front)) / len(events)))
    with path.open("wb") as file:
        file.write(front)
        for _ in range(n):
            file.write(events)
    return len(front) + n * len(events)


def run(python: str, code: str, *arguments: str) -> tuple[float, float]:
    """Return the two times a script prints: in a fresh interpreter, from the repository's root."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)} if code is not THEIRS else os.environ
    command = [python, "-c", code, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    first, second, _ = result.stdout.split()[-3:]
    return float(first), float(second)


def bandwidth() -> float:
    """Return the speed of copying memory by one thread [GB/s]."""
    source = np.ones(256 << 20, np.uint8)
    target = np.empty_like(source)
    best = 0.0
    for _ in range(5):
        start = time.process_time()
        np.copyto(target, source)
        best = max(best, len(source) / 1e9 / max(time.process_time() - start, 1e-9))
    return best


@dataclass(frozen=True)
class Speeds:
    """What was measured of one file; times are (passed, of all processors) [s]."""

    n_bytes: int
    decode: float
    whole: tuple[float, float]
    reference: tuple[float, float]

    def row(self, name: str, memory: float, floor: float) -> str:
        """Return the file's row of the table; ``memory`` [GB/s] is the speed of copying."""
        mb = self.n_bytes / 1e6
        decode = mb / 1e3 / self.decode
        passed, used = (theirs / ours for ours, theirs in zip(self.whole, self.reference, strict=True))
        return (
            f"| {name} | {mb:.0f} | {decode:.2f} | {100 * decode / memory:.0f} % | {mb / self.whole[0]:.0f} "
            f"| {mb / self.reference[0]:.1f} | {passed:.1f} | {used:.1f} | {floor:.0f} |"
        )


def measure(case: Case, directory: Path, n_bytes: float, n_repeat: int, peers: str | None) -> Speeds:
    """Return the best times of one case; the reference runs once."""
    daq, raw = directory / f"large{Path(case.path).suffix}", directory / "raw.lh5"
    size = make_file(case, daq, n_bytes)
    decode = min(run(sys.executable, DECODE, str(daq))[0] for _ in range(n_repeat))
    whole = [run(sys.executable, OURS, str(daq), str(raw)) for _ in range(n_repeat)]
    reference = (float("nan"), float("nan"))
    if peers:
        reference = run(peers, THEIRS, str(daq), str(directory / "peer.lh5"), case.kind)
    daq.unlink()
    best = (min(passed for passed, _ in whole), min(used for _, used in whole))
    return Speeds(size, decode, best, reference)


def measure_all(args: argparse.Namespace) -> Iterator[tuple[str, Case, Speeds]]:
    """Measure the cases at every size."""
    remembered = json.loads(args.remember.read_text()) if args.remember and args.remember.exists() else {}
    for name, case in CASES.items():
        if args.only and not any(part in name for part in args.only):
            continue
        for size in args.size:
            known = remembered.get(f"{name} {size}")
            with tempfile.TemporaryDirectory(dir=args.directory) as directory:
                speeds = measure(case, Path(directory), size * 1e6, args.repeat, None if known else args.peers)
            if known:
                speeds = replace(speeds, reference=tuple(known))
            elif args.remember:
                remembered[f"{name} {size}"] = speeds.reference
                args.remember.write_text(json.dumps(remembered))
            yield name, case, speeds


def main(arguments: list[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, nargs="+", default=[100, 400], help="sizes of the large files [MB]")
    parser.add_argument("--repeat", type=int, default=1, help="repetitions of ours, of which the best counts")
    parser.add_argument("--peers", help="interpreter of the environment with the reference packages")
    parser.add_argument("--only", nargs="*", default=[], help="parts of the names of the cases to run")
    parser.add_argument("--directory", type=Path, help="where to put the files")
    parser.add_argument("--remember", type=Path, help="file of the reference's times")
    args = parser.parse_args(arguments)
    memory = bandwidth()
    print(f"Copying memory, one thread: {memory:.1f} GB/s. Load average {os.getloadavg()[0]:.1f}.\n")
    print("| file | MB | decode [GB/s] | of copying | whole [MB/s] | daq2lh5 [MB/s] | factor | in CPU s | floor |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, case, speeds in measure_all(args):
        print(speeds.row(name, memory, case.factor), flush=True)


if __name__ == "__main__":
    main()
