"""What the workflow tests share: a working directory with its own configuration, and the files a production made."""

import hashlib
import shutil
from pathlib import Path

import yaml


def copy_config(repository: Path, directory: Path) -> Path:
    """Copy the built-in configuration, so that a test may change it; return its directory."""
    shutil.copytree(repository / "config", directory / "config")
    return directory / "config"


def shrink(config: Path, n_cal: int, n_phy: int, n_cycles: int) -> None:
    """Make the simulated experiment small."""
    path = config / "simulation.yaml"
    settings = yaml.safe_load(path.read_text())
    for run in settings["runs"]:
        run["events"] = n_cal if run["datatype"] == "cal" else n_phy
        run["cycles"] = run["cycles"][:n_cycles]
        run["absent"] = {key: names for key, names in run.get("absent", {}).items() if key in run["cycles"]}
    path.write_text(yaml.safe_dump(settings))


def digests(directory: Path) -> dict[str, str]:
    """Return the SHA-256 of every result below `generated`; logs and timings are left out."""
    files = [p for part in ("daq", "tier", "par") for p in (directory / "generated" / part).rglob("*") if p.is_file()]
    return {str(p.relative_to(directory)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(files)}
