"""Writing many small datasets beside h5py and the reference: ``python -m tests.benchmarks.bench_lh5_small``.

The file is that of a raw cycle: channels with 36 columns of some rows, each with datatype, units and description.
Printed is the processor time for each dataset, from the first append to the closed file, and the size of the file.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from pygama_core import lh5
from tests.benchmarks.bench_lh5 import Peer

N_COLUMNS = 36
PEER_EXTRA = r"""
import sys, json, time, warnings
warnings.simplefilter("ignore")
import numpy as np, lh5
from lgdo import Array, Table

def write_small(path, n_channels, n_columns, n_rows):
    for channel in range(n_channels):
        columns = {
            f"column_{k:02d}": Array(np.arange(n_rows, dtype="u2" if k % 2 else "f8"),
                                     attrs={"units": "ns", "description": f"what column {k} of the record holds"})
            for k in range(n_columns)
        }
        lh5.write(Table(columns), "raw", path, group=f"ch{channel:07d}", wo_mode="of" if channel == 0 else "a")

print("ready", flush=True)
for line in sys.stdin:
    name, arguments = json.loads(line)
    wall, cpu = time.perf_counter(), time.process_time()
    globals()[name](*arguments)
    print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]), flush=True)
"""


def tables(n_channels: int, n_rows: int) -> dict[str, lh5.Table]:
    """Return the tables by name."""

    def column(k: int) -> lh5.Array:
        attrs = {"units": "ns", "description": f"what column {k} of the record holds"}
        return lh5.Array(np.arange(n_rows, dtype="u2" if k % 2 else "f8"), attrs)

    table = lh5.Table({f"column_{k:02d}": column(k) for k in range(N_COLUMNS)})
    return {f"ch{channel:07d}/raw": table for channel in range(n_channels)}


def write_ours(path: Path, content: dict[str, lh5.Table]) -> None:
    """Write by our own writer."""
    with lh5.Writer(path) as out:
        for name, table in content.items():
            out.append(name, table)


def write_h5py(path: Path, content: dict[str, lh5.Table]) -> None:
    """Write the same by the high level of h5py."""
    with h5py.File(path, "w") as file:
        for name, table in content.items():
            group = file.create_group(name)
            for column in table:
                values = table.array(column)
                made = group.create_dataset(
                    column, data=values, maxshape=(None,), chunks=values.shape, shuffle=True, compression="gzip"
                )
                made.attrs["datatype"] = "array<1>{real}"
                for key, value in table[column].attrs.items():
                    made.attrs[key] = value


def run(n_channels: int, n_rows: int, rounds: int, python: str | None) -> dict[str, float]:
    """Print the table; return the microseconds of processor time for each dataset, best of some rounds."""
    n_datasets = n_channels * N_COLUMNS
    content = tables(n_channels, n_rows)
    best: dict[str, float] = {}
    peer = Peer(python, PEER_EXTRA) if python else None
    print(f"{n_channels} channels x {N_COLUMNS} columns x {n_rows} rows; load {os.getloadavg()[0]:.1f}")
    try:
        with tempfile.TemporaryDirectory() as directory:
            for _ in range(rounds):
                for name, write in (("ours", write_ours), ("h5py", write_h5py)):
                    start = time.process_time()
                    write(Path(directory, name), content)
                    best[name] = min(best.get(name, 1e9), (time.process_time() - start) / n_datasets * 1e6)
                if peer:
                    path = Path(directory, "reference")
                    timing = peer("write_small", str(path), n_channels, N_COLUMNS, n_rows)
                    best["reference"] = min(best.get("reference", 1e9), timing.cpu / n_datasets * 1e6)
            for name, us in best.items():
                size = Path(directory, name).stat().st_size / n_datasets
                print(f"{name:10s} {us:8.0f} us CPU {us / best['ours']:6.1f}x {size:8.0f} bytes for each dataset")
    finally:
        if peer:
            peer.close()
    return best


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--channels", type=int, default=123)
    parser.add_argument("--rows", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", default=os.environ.get("PYGAMA_PEERS_PYTHON", "/opt/peers/bin/python"))
    arguments = parser.parse_args()
    run(arguments.channels, arguments.rows, arguments.rounds, arguments.python)


if __name__ == "__main__":
    main()
