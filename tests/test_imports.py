"""The rooms' imports point one way, and nothing heavy is imported before it is used."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pygama_core

PACKAGE = Path(pygama_core.__file__).parent
ROOMS = ("daq", "dsp", "cal", "par", "hit", "evt", "sim")
# room -> rooms it may import; what is not named here (errors, expression, configfile, …) all may use
ALLOWED = {
    "lh5": set(),
    "daq": {"lh5"},
    "dsp": {"lh5"},
    "cal": {"lh5", "par"},  # results are written as parameter files
    "par": {"lh5"},
    "hit": {"lh5"},
    "evt": {"lh5", "hit"},  # events evaluate hit expressions
    "sim": {"lh5", "daq"},  # the formats' constants
    "tiers": {"lh5", *ROOMS},
}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("pygama_core"):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_imports_point_one_way(room):
    rooms = {"lh5", "tiers", "view", *ROOMS}
    for path in (PACKAGE / room).rglob("*.py"):
        used = {name.split(".")[1] for name in imports(path) if name.startswith("pygama_core.")} & rooms
        assert used - {room} <= ALLOWED[room], path


def test_no_module_imports_snakemake():
    for path in PACKAGE.rglob("*.py"):
        assert not any(name.split(".")[0] == "snakemake" for name in imports(path)), path


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import pygama_core.cli; pygama_core.cli.parser()", {"numpy", "numba", "h5py", "yaml", "pydantic", "scipy"}),
        ("import pygama_core.production", {"numba", "h5py", "scipy", "iminuit", "numpy"}),
        # numba itself imports scipy.linalg
        ("import pygama_core.tiers.raw_to_dsp", {"iminuit", "pandas", "matplotlib", "awkward", "pydantic"}),
        ("import pygama_core.tiers.daq_to_raw", {"iminuit", "pandas", "matplotlib", "awkward", "pydantic"}),
        ("import pygama_core.tiers.hit_to_evt", {"numba", "scipy", "iminuit", "pandas", "awkward", "pydantic"}),
    ],
)
def test_heavy_packages_are_not_imported(statement, unwanted):
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not unwanted & set(loaded)
