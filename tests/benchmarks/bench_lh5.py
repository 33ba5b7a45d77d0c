"""LH5 reading and writing beside the reference, in the same run: ``python -m tests.benchmarks.bench_lh5 [--rows N]``.

Each round runs ours and the reference back to back. Times are wall-clock and CPU seconds summed over threads; the ratio
of a task is the median over rounds of (reference / ours), in wall-clock time with our default threads and in CPU time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pygama_core import lh5
from pygama_core.lh5 import codecs

N_SAMPLES = 8192
BLOCK = 8192
HIT_COLUMNS = 37
HIT_ROWS = 2000
PEER = r"""
import json, sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np, lh5
from lgdo import Array, ArrayOfEqualSizedArrays, Table, WaveformTable
from lh5.compression import ULEB128ZigZagDiff, RadwareSigcompress, decode, encode

CODECS = {"uleb128": ULEB128ZigZagDiff(), "radware": RadwareSigcompress(codec_shift=-32768)}
kept = {}

def table(values, codec):
    attrs = {"compression": CODECS[codec]} if codec in CODECS else {}
    n = len(values)
    return WaveformTable(t0=np.zeros(n, "f4"), t0_units="ns", dt=np.full(n, 16, "f4"), dt_units="ns",
                         values=ArrayOfEqualSizedArrays(nda=values, attrs=attrs))

def write(path, codec, block):
    values = np.load(path + ".npy", mmap_mode="r")
    for i in range(0, len(values), block):
        lh5.write(table(np.array(values[i : i + block]), codec), "wf", path, wo_mode="of" if i == 0 else "a")

def read(path, name):
    lh5.read(name, path)

def rows(path, name, index):
    lh5.read(name, path, idx=np.array(index))

def prepare(path, codec, block):
    values = np.load(path + ".npy", mmap_mode="r")
    kept["plain"] = ArrayOfEqualSizedArrays(nda=np.array(values[:block]))
    kept["encoded"] = encode(kept["plain"], codec=CODECS[codec])

def encode_kept(codec):
    encode(kept["plain"], codec=CODECS[codec])

def decode_kept():
    decode(kept["encoded"])

print("ready", flush=True)
for line in sys.stdin:
    name, arguments = json.loads(line)
    wall, cpu = time.perf_counter(), time.process_time()
    globals()[name](*arguments)
    print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]), flush=True)
"""


@dataclass(frozen=True)
class Timing:
    """Seconds of one call."""

    wall: float
    cpu: float


class Peer:
    """The reference packages in a process of their own, timed inside it."""

    def __init__(self, python: str, code: str = PEER) -> None:
        self.python = python
        self._process = subprocess.Popen(
            [python, "-W", "ignore", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the reference process ended; its message is above")
        return line

    def __call__(self, name: str, *arguments: object) -> Timing:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([name, arguments]) + "\n")
        self._process.stdin.flush()
        return Timing(*json.loads(self._line()))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@dataclass(frozen=True)
class Result:
    """One line of the table."""

    task: str
    ours: list[Timing]
    peer: list[Timing]
    n_bytes: int
    size_ratio: float | None = None  # our file's size over that of the reference

    def text(self) -> str:
        wall, cpu = (
            statistics.median(
                getattr(p, kind) / max(getattr(o, kind), 1e-9) for o, p in zip(self.ours, self.peer, strict=True)
            )
            for kind in ("wall", "cpu")
        )
        ours, peer = (min(t.wall for t in times) for times in (self.ours, self.peer))
        size = f"{self.size_ratio:9.3f}" if self.size_ratio is not None else " " * 9
        rate = f"{self.n_bytes / 1e6 / ours:9.0f} {self.n_bytes / 1e6 / peer:9.0f}"
        return f"{self.task:42s} {ours * 1e3:9.1f} {peer * 1e3:9.1f} {rate} {wall:7.1f}x {cpu:7.1f}x {size}"


def waveforms(n_rows: int, seed: int = 1) -> np.ndarray:
    """Return (n_rows, N_SAMPLES) uint16: real waveforms, smoothed, drawn at random, with fresh noise of 4 ADC."""
    rng = np.random.default_rng(seed)
    kernel = np.ones(9) / 9
    smooth = [np.convolve(np.pad(row, 4, "edge"), kernel, "valid") for row in real_waveforms()]
    out = np.empty((n_rows, N_SAMPLES), np.uint16)
    for i in range(n_rows):
        out[i] = np.round(smooth[rng.integers(len(smooth))] + rng.normal(0, 4, N_SAMPLES)).clip(0, 65535)
    return out


def real_waveforms() -> np.ndarray:
    """Return all germanium waveforms of the public p03 files, (n, N_SAMPLES) float64."""
    root = Path(os.environ.get("LEGEND_TESTDATA", Path(__file__).resolve().parents[3] / "shared" / "testdata"))
    found = []
    for path in sorted((root / "lh5" / "prod-ref-l200").rglob("*p03*tier_raw.lh5")):
        for name in lh5.ls(path, "ch*/raw/waveform"):
            values = lh5.read(path, name)["values"].values
            found += [values.astype(float)] if values.shape[1:] == (N_SAMPLES,) else []
    if not found:
        raise SystemExit(f"no waveforms below {root}; set LEGEND_TESTDATA to the directory that holds lh5/")
    return np.concatenate(found)


def timed(function: Callable[[], object]) -> Timing:
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return Timing(time.perf_counter() - wall, time.process_time() - cpu)


def timed_process(python: str, code: str) -> Timing:
    """Time a whole process: start, imports, work."""
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([python, "-W", "ignore", "-c", code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Timing(time.perf_counter() - wall, cpu)


def wf_table(values: np.ndarray) -> lh5.Table:
    n = len(values)
    return lh5.Table(
        {
            "t0": lh5.Array(np.zeros(n, "f4"), {"units": "ns"}),
            "dt": lh5.Array(np.full(n, 16, "f4"), {"units": "ns"}),
            "values": lh5.Array(values, {"units": "ADC"}),
        }
    )


def write_ours(path: Path, values: np.ndarray, codec: str | None) -> None:
    with lh5.Writer(path, codec=codec) as out:
        for i in range(0, len(values), BLOCK):
            out.append("wf", wf_table(values[i : i + BLOCK]))


def hit_file(path: Path) -> None:
    rng = np.random.default_rng(2)
    columns = {
        f"column_{k:02d}": lh5.Array(
            rng.normal(1000, 10, HIT_ROWS) if k % 3 else rng.random(HIT_ROWS) > 0.5, {"description": "a"}
        )
        for k in range(HIT_COLUMNS)
    }
    with lh5.Writer(path) as out:
        out.write("ch1/hit", lh5.Table(columns))


class Bench:
    """All tasks on one set of waveforms in one directory."""

    def __init__(self, directory: Path, n_rows: int, rounds: int, peer: Peer) -> None:
        self._directory, self._rounds, self._peer = directory, rounds, peer
        self._values = waveforms(n_rows)
        self._index = np.sort(np.random.default_rng(3).choice(n_rows, max(1, n_rows // 100), replace=False))

    def _run(
        self, task: str, ours: Callable[[], object], peer: Callable[[], Timing], n_bytes: int, size: float | None = None
    ) -> Result:
        ours()
        peer()  # both once for caches, compiled code and page cache
        pairs = [(timed(ours), peer()) for _ in range(self._rounds)]
        result = Result(task, [a for a, _ in pairs], [b for _, b in pairs], n_bytes, size)
        print(result.text(), flush=True)
        return result

    def files(self, codec: str) -> list[Result]:
        """Write, read and pick rows of one way of storage; each reads the file that it wrote itself, and ours."""
        our_codec = {"gzip": None, "uleb128": "uleb128_zigzag_diff", "radware": "radware_sigcompress"}[codec]
        values, n_bytes = self._values, self._values.nbytes
        ours, theirs = self._directory / f"ours-{codec}.lh5", self._directory / f"peer-{codec}.lh5"
        np.save(f"{theirs}.npy", values)
        written = self._run(
            f"write {codec}",
            lambda: write_ours(ours, values, our_codec),
            lambda: self._peer("write", str(theirs), codec, BLOCK),
            n_bytes,
        )
        ratio = ours.stat().st_size / theirs.stat().st_size
        print(f"{'':42s} size ours / reference {ratio:.3f}; samples / file {n_bytes / ours.stat().st_size:.2f}")
        index, n_picked = self._index, self._index.size * N_SAMPLES * 2
        read = lambda path, rows=None: lambda: lh5.read(path, "wf", rows=rows)  # noqa: E731
        peer_rows = lambda path: lambda: self._peer("rows", str(path), "wf", index.tolist())  # noqa: E731
        return [
            written,
            self._run(f"read {codec}, own files", read(ours), lambda: self._peer("read", str(theirs), "wf"), n_bytes),
            self._run(
                f"read {codec}, the reference's file",
                read(theirs),
                lambda: self._peer("read", str(theirs), "wf"),
                n_bytes,
            ),
            self._run(f"1 % of rows {codec}, own files", read(ours, index), peer_rows(theirs), n_picked),
            self._run(f"1 % of rows {codec}, our file", read(ours, index), peer_rows(ours), n_picked),
        ]

    def memory(self, codec: str) -> list[Result]:
        """Encode and decode in memory, one thread."""
        values = self._values[:1024]
        path = self._directory / f"peer-{codec}.lh5"
        np.save(f"{path}.npy", values)
        self._peer("prepare", str(path), codec, len(values))
        name = {"uleb128": "uleb128_zigzag_diff", "radware": "radware_sigcompress"}[codec]
        column = lh5.Array(values)
        ours = codecs.suited(name, values)
        encoded = codecs.encode(column, ours)
        return [
            self._run(
                f"encode {codec}, memory, 1 thread",
                lambda: codecs.encode(column, ours),
                lambda: self._peer("encode_kept", codec),
                values.nbytes,
            ),
            self._run(
                f"decode {codec}, memory, 1 thread",
                lambda: codecs.decode(encoded),
                lambda: self._peer("decode_kept"),
                values.nbytes,
            ),
        ]

    def hits(self) -> list[Result]:
        """Read a table of many small columns."""
        path = self._directory / "hit.lh5"
        hit_file(path)
        n_bytes = HIT_COLUMNS * HIT_ROWS * 8
        task = f"read {HIT_COLUMNS} columns of {HIT_ROWS} rows"
        return [
            self._run(
                task, lambda: lh5.read(path, "ch1/hit"), lambda: self._peer("read", str(path), "ch1/hit"), n_bytes
            ),
            self._fresh(f"{task}, fresh process", path, n_bytes),
        ]

    def _fresh(self, task: str, path: Path, n_bytes: int) -> Result:
        ours = f"from pygama_core import lh5; lh5.read({str(path)!r}, 'ch1/hit')"
        theirs = f"import lh5; lh5.read('ch1/hit', {str(path)!r})"
        pairs = [
            (timed_process(sys.executable, ours), timed_process(self._peer.python, theirs)) for _ in range(self._rounds)
        ]
        result = Result(task, [a for a, _ in pairs], [b for _, b in pairs], n_bytes)
        print(result.text(), flush=True)
        return result


def run(n_rows: int, rounds: int, python: str) -> list[Result]:
    """Run everything; return the table."""
    peer = Peer(python)
    print(f"{n_rows} waveforms of {N_SAMPLES} samples, {len(os.sched_getaffinity(0))} cores, {rounds} rounds")
    print(f"{'':42s} {'ours ms':>9s} {'ref. ms':>9s} {'MB/s':>9s} {'ref.':>9s} {'wall':>8s} {'cpu':>8s}")
    try:
        with tempfile.TemporaryDirectory() as directory:
            bench = Bench(Path(directory), n_rows, rounds, peer)
            results = [*bench.memory("uleb128"), *bench.memory("radware"), *bench.hits()]
            for codec in ("gzip", "uleb128", "radware"):
                results += bench.files(codec)
    finally:
        peer.close()
    return results


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=8192, help="waveforms")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", default=os.environ.get("PYGAMA_PEERS_PYTHON", "/opt/peers/bin/python"))
    arguments = parser.parse_args()
    run(arguments.rows, arguments.rounds, arguments.python)


if __name__ == "__main__":
    sys.exit(main())
