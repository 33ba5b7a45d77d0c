"""How long a job takes before it works: `python tests/benchmarks/startup.py [--repeat N]`.

Each command runs on one event in a fresh process with warm kernels and byte code: interpreter, imports, cached kernels,
configuration and plan. CPU time counts (a shared machine's wall time lies); the best of several runs is shown beside
the median, and beside an interpreter that only imports numba.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
KEY = "demo-p01-r001-phy-20260101T010000Z"
CONFIG = REPOSITORY / "config"
SYSTEMS = ("geds", "spms", "puls")


def cli(*arguments: object) -> list[str]:
    """Return the command line of a pygama-core command."""
    return [sys.executable, "-m", "pygama_core.cli", *map(str, arguments)]


def commands(directory: Path) -> dict[str, list[str]]:
    """Return the steps of a production, in order, on files in a directory."""
    daq, raw, tcm, dsp, hit = (directory / name for name in ("f.fcio", "raw.lh5", "tcm.lh5", "dsp.lh5", "hit.lh5"))
    channelmap = ("--channelmap", CONFIG / "channelmap.yaml")

    def configs(tier: str) -> list[str]:
        return [text for system in SYSTEMS for text in ("--config", f"{system}={CONFIG}/{tier}/{system}.yaml")]

    geds = ("--system", "geds", *channelmap)
    evt = ("--tcm", tcm, "--dsp", dsp, "--hit", hit, "--config", CONFIG / "evt/evt.yaml")
    chain = ("--chain", CONFIG / "dsp/pole_zero.yaml", "--settings", CONFIG / "par/dsp.yaml")
    return {
        "import numba": [sys.executable, "-c", "import numba"],
        "--help": cli("--help"),
        "simulate": cli("simulate", directory / "sim.yaml", *channelmap, "--key", KEY, "--daq", daq),
        "daq-to-raw": cli("daq-to-raw", daq, raw, *channelmap),
        "build-tcm": cli("build-tcm", raw, tcm, "--window-ns", 1000),
        "par-dsp": cli("par-dsp", raw, "--output", directory / "par_dsp.yaml", *chain, *geds),
        "raw-to-dsp": cli("raw-to-dsp", raw, dsp, *configs("dsp"), *channelmap),
        "par-hit": cli("par-hit", dsp, "--output", directory / "p.yaml", "--settings", CONFIG / "par/hit.yaml", *geds),
        "dsp-to-hit": cli("dsp-to-hit", dsp, hit, *configs("hit"), *channelmap),
        "hit-to-evt": cli("hit-to-evt", directory / "evt.lh5", *evt, *channelmap),
    }


def run(command: list[str]) -> tuple[float, float]:
    """Return wall and CPU seconds of one process."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=REPOSITORY)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(repeat: int) -> dict[str, list[tuple[float, float]]]:
    """Return wall and CPU seconds of every run of every command; a first run that warms the caches is left out."""
    import yaml

    settings = yaml.safe_load((CONFIG / "simulation.yaml").read_text())
    for entry in settings["runs"]:
        entry["events"] = 1
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "sim.yaml").write_text(yaml.safe_dump(settings))
        steps = commands(directory)
        for command in steps.values():
            run(command)
        return {step: [run(command) for _ in range(repeat)] for step, command in steps.items()}


def table(times: dict[str, list[tuple[float, float]]]) -> str:
    """Return the measurements as a Markdown table."""
    lines = ["| command | CPU s, best | CPU s, median | wall s, best |", "|---|---:|---:|---:|"]
    for step, runs in times.items():
        cpu = [c for _, c in runs]
        wall = min(w for w, _ in runs)
        lines.append(f"| {step} | {min(cpu):.2f} | {statistics.median(cpu):.2f} | {wall:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Start-up time of every command.")
    parser.add_argument("--repeat", type=int, default=5)
    print(table(measure(parser.parse_args().repeat)))
