"""Which files hold the tiers of which DAQ cycle."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pygama_core.errors import LH5Error
from pygama_core.filekey import KEY, CycleKey
from pygama_core.lh5.reader import Reader

RUN_KEY_PARTS = 4  # experiment-period-run-datatype


@dataclass(frozen=True)
class Cycle:
    """The files of one cycle."""

    name: str
    files: Mapping[str, Path]  # tier -> file
    siblings: tuple[
        Path, ...
    ] = ()  # tcm files of all cycles of an evt file that holds several, in the order of its rows

    def evt_rows(self, total: int) -> tuple[int, int]:
        """Return (first, last) row of this cycle in an evt file of ``total`` rows.

        Raises
        ------
        LH5Error
            if the events of the tcm files are not those of the evt file
        """
        if not self.siblings:
            return 0, total
        counts = []
        for path in self.siblings:
            with Reader(path) as tcm:
                counts.append(tcm.n_rows(f"{self.tcm_name(tcm)}/table_key"))
        if sum(counts) != total:
            raise LH5Error(
                f"{self.files['evt']}: {total} events, but {sum(counts)} in the {len(counts)} tcm files of the run; "
                f"remake the evt file"
            )
        index = self.siblings.index(self.files["tcm"])
        return sum(counts[:index]), sum(counts[: index + 1])

    @staticmethod
    def tcm_name(tcm: Reader) -> str:
        """Return the name of the only time coincidence map in a file; raise LH5Error if there is not exactly one."""
        names = tcm.ls("hardware_tcm*")
        if len(names) != 1:
            raise LH5Error(f"{tcm.path}: {len(names)} tables hardware_tcm*, expected one: {', '.join(names)}")
        return names[0]


def find_cycles(
    source: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str] | Sequence[str | os.PathLike[str]]],
    runs: Sequence[str],
    tiers: Sequence[str],
) -> list[Cycle]:
    """Return the cycles whose files hold some tiers.

    Parameters
    ----------
    source
        directory with one directory for each tier, or tier -> files
    runs
        patterns of names of runs or cycles
    tiers
        tiers that are needed of each cycle

    Raises
    ------
    LH5Error
        if nothing matches or a file is missing
    """
    if isinstance(source, Mapping):
        return _listed(source, tiers)
    root = Path(source)
    if not root.is_dir():
        raise LH5Error(f"{root}: no such directory; give the one that holds a directory for each tier")
    found = {tier: _files(root, tier) for tier in tiers}
    for tier in tiers:
        if not found[tier]:
            known = ", ".join(sorted(path.name for path in root.iterdir() if path.is_dir())) or "none"
            raise LH5Error(f"{root}: no files {tier}/…-tier_{tier}.lh5; directories of tiers there are: {known}")
    per_cycle = [tier for tier in tiers if tier != "evt"]
    names = sorted({name for tier in per_cycle or ["evt"] for name in found[tier]})
    chosen = [name for name in names if any(_matches(name, pattern) for pattern in runs)]
    if not chosen:
        known = ", ".join(names[:3]) or "none"
        raise LH5Error(
            f"{root}: no cycle matches {', '.join(runs)} with the tiers {', '.join(tiers)}; there are: {known}"
        )
    return [_cycle(root, name, found) for name in chosen]


def _files(root: Path, tier: str) -> dict[str, Path]:
    """Return name of cycle or run -> file of a tier."""
    ending = f"-tier_{tier}.lh5"
    return {path.name.removesuffix(ending): path for path in sorted((root / tier).rglob(f"*{ending}"))}


def _matches(name: str, pattern: str) -> bool:
    run = str(CycleKey.parse(name).run_key) if KEY.fullmatch(name) else name
    # a pattern is the whole name, or some of its parts between dashes
    return fnmatch.fnmatchcase(run, pattern) or fnmatch.fnmatchcase(f"-{name}-", f"*-{pattern}-*")


def _cycle(root: Path, name: str, found: Mapping[str, Mapping[str, Path]]) -> Cycle:
    files: dict[str, Path] = {}
    siblings: tuple[Path, ...] = ()
    for tier, by_name in found.items():
        run = "-".join(name.split("-")[:RUN_KEY_PARTS])
        if name in by_name:
            files[tier] = by_name[name]
        elif tier == "evt" and run in by_name:
            files[tier] = by_name[run]
            maps = found.get("tcm", {})
            siblings = tuple(path for other, path in sorted(maps.items()) if other.startswith(f"{run}-"))
        else:
            raise LH5Error(f"{root}: {name} has no file of the tier {tier}; make it, or narrow the runs")
    return Cycle(name, files, siblings)


def _listed(
    source: Mapping[str, str | os.PathLike[str] | Sequence[str | os.PathLike[str]]], tiers: Sequence[str]
) -> list[Cycle]:
    missing = [tier for tier in tiers if tier not in source]
    if missing:
        raise LH5Error(f"no files of the tiers {', '.join(missing)} given; there are {', '.join(source)}")
    lists: dict[str, list[Path]] = {}
    for tier in tiers:
        files = source[tier]
        lists[tier] = [Path(files)] if isinstance(files, str | os.PathLike) else [Path(file) for file in files]
    n_cycles = max(len(files) for files in lists.values())
    shared = "evt" in lists and len(lists["evt"]) == 1 and n_cycles > 1
    if shared:
        lists["evt"] *= n_cycles
    wrong = {tier: len(files) for tier, files in lists.items() if len(files) != n_cycles}
    if wrong or not n_cycles:
        raise LH5Error(f"{n_cycles} cycles, but files: {wrong}; give one file of each tier for each cycle")
    siblings = tuple(lists["tcm"]) if shared and "tcm" in lists else ()
    cycles = []
    for index in range(n_cycles):
        mine = {tier: paths[index] for tier, paths in lists.items()}
        first = next((path for tier, path in mine.items() if tier != "evt"), mine.get("evt", Path()))
        match = KEY.search(first.name)
        cycles.append(Cycle(match.group() if match else first.stem, mine, siblings))
    return cycles
