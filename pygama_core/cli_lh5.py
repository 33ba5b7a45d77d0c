"""``pygama-core lh5 COMMAND``: look into LH5 files, check, compare, join, cut and export them.

Every command prints plain text, or JSON with ``--json``; ``verify`` and ``diff`` end with exit code 1 if they find
something. Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import argparse
import dataclasses
import fnmatch
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pygama_core.errors import LH5Error

PROGRESS_AFTER_S = 2.0


class Progress:
    """A progress bar on a terminal, for work that takes longer than :data:`PROGRESS_AFTER_S`; otherwise nothing."""

    def __init__(self, n_steps: int, *, quiet: bool = False) -> None:
        self._n_steps, self._done, self._step = n_steps, 0, ""
        self._began = time.monotonic()
        self._is_shown = sys.stderr.isatty() and not quiet
        self._bar: Any = None

    def __call__(self, text: str) -> None:
        """Say what is begun now."""
        self._step = text
        self._done += 1
        self._show(text)

    def _show(self, text: str) -> None:
        if self._is_shown and self._bar is None and time.monotonic() - self._began > PROGRESS_AFTER_S:
            from rich.console import Console
            from rich.progress import Progress as Bar

            self._bar = Bar(console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("", total=self._n_steps)
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done - 1, description=text)

    def detail(self, text: str) -> None:
        """Say what is done inside the present step."""
        self._show(f"{self._step}: {text}")

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def _say(args: argparse.Namespace, lines: Iterable[str], content: Any) -> None:
    """Print lines, or with ``--json`` the content."""
    if args.json:
        print(json.dumps(content, indent=1, allow_nan=False), flush=True)
    elif not args.quiet:
        for line in lines:
            print(line, flush=True)


def _as_dict(obj: Any) -> dict[str, Any]:
    from pygama_core.lh5.text import plain

    return {key: plain(value) for key, value in dataclasses.asdict(obj).items()}


def ls(args: argparse.Namespace) -> None:
    """List objects with type, units, rows, size and compression ratio."""
    from pygama_core.lh5.inspect import entries
    from pygama_core.lh5.text import aligned, size

    found = [entry for entry in entries(args.file) if _matches(entry.name, args.pattern, args.depth)]
    rows: list[tuple[str, ...]] = [("name", "type", "shape", "units", "size", "ratio", "storage")]
    for entry in found:
        depth = 0 if args.pattern != "*" else entry.name.count("/")
        label = "  " * depth + (entry.name.rpartition("/")[2] if args.pattern == "*" else entry.name)
        shape = "x".join(map(str, entry.shape)) if entry.kind != "scalar" else ""
        kind = f"{entry.kind} {entry.dtype}".strip() if not entry.target else f"-> {entry.target}"
        stored = [size(entry.stored_bytes), f"{entry.ratio:.2f}"] if not entry.target else ["", ""]
        rows.append((label, kind, shape, entry.units, *stored, entry.filters))
    contents = [{**_as_dict(entry), "ratio": entry.ratio} for entry in found]
    if not found:
        raise LH5Error(f"{args.file}: no object matches {args.pattern!r}")
    _say(args, aligned(rows, right=(4, 5)), contents)


def _matches(name: str, pattern: str, depth: int | None) -> bool:
    """Whether a name matches level by level; a pattern without further levels takes all that is below."""
    parts, patterns = name.split("/"), pattern.strip("/").split("/")
    if depth is not None and len(parts) > depth:
        return False
    matched = all(fnmatch.fnmatchcase(part, wanted) for part, wanted in zip(parts, patterns, strict=False))
    return matched and len(parts) >= len(patterns)


def head(args: argparse.Namespace) -> None:
    """Print the first rows of a table or column, or a whole struct or scalar."""
    from pygama_core.lh5.reader import Reader
    from pygama_core.lh5.text import aligned, first_rows, flat_columns, flat_lines, json_object, pages, plain, short
    from pygama_core.lh5.types import Array, Table, VectorOfVectors

    rows = slice(args.skip, args.skip + args.rows)
    with Reader(args.file) as file:
        if file.datatype(args.name).startswith("struct{") and args.columns is None:
            members = first_rows(file, args.name, rows)
            _say(args, aligned(list(flat_lines(members)) or [("empty",)]), members)
            return
        obj = file.read(args.name, columns=args.columns, rows=rows if file.has_rows(args.name) else None)
    if not isinstance(obj, Table | Array | VectorOfVectors):
        content = json_object(obj)
        lines = [f"{key}: {value}" for key, value in content.items()] if isinstance(content, dict) else [short(content)]
        _say(args, lines, content)
        return
    columns = list(flat_columns(obj)) if isinstance(obj, Table) else [(args.name, obj)]
    units = [column.attrs.get("units") for _, column in columns]
    header = [f"{name} [{unit}]" if unit else name for (name, _), unit in zip(columns, units, strict=True)]
    cells = [[short(value) for value in plain(column)] for _, column in columns]
    numbers = [str(args.skip + row) for row in range(len(cells[0]) if cells else 0)]
    table = [("row", *header), *zip(numbers, *cells, strict=True)]
    _say(args, pages(table, range(len(header) + 1), _width()), json_object(obj))


def _width() -> int | None:
    """Return the width to which tables are cut: of the terminal, or as the environment asks; None: any width."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS"):
        return shutil.get_terminal_size().columns
    return None


def describe(args: argparse.Namespace) -> None:
    """Print statistics of every numeric column of a table."""
    from pygama_core.lh5.inspect import describe
    from pygama_core.lh5.text import aligned, short

    found = describe(args.file, args.name)
    rows: list[tuple[str, ...]] = [("column", "dtype", "units", "rows", "values", "nan", "min", "max", "mean", "std")]
    for column in found:
        statistics = map(short, (column.minimum, column.maximum, column.mean, column.std))
        if column.n_values == column.n_nan or column.dtype == "string":  # no number to say anything about
            statistics = map(str, [""] * 4)
        counts = (column.n_rows, column.n_values, column.n_nan)
        rows.append((column.name, column.dtype, column.units, *map(str, counts), *statistics))
    _say(args, aligned(rows, right=range(3, 10)), [_as_dict(column) for column in found])


def concat(args: argparse.Namespace) -> None:
    """Join the rows of files with the same objects, such as the cycles of a run."""
    from pygama_core.lh5.rewrite import concat

    with Progress(len(args.files), quiet=args.quiet) as progress:
        joined = concat(args.files, args.output, hits=args.hits, progress=progress)
    lines = [
        f"{args.output}: {len(args.files)} files, {sum(joined.n_rows.values())} rows in {len(joined.n_rows)} objects"
    ]
    lines += [f"differs, kept as in {args.files[0]}: {name}" for name in joined.differing]
    _say(args, lines, _as_dict(joined))


def truncate(args: argparse.Namespace) -> None:
    """Keep the first rows, or with ``--tcm`` what the first events need."""
    from pygama_core.lh5.rewrite import truncate

    kept = truncate(args.file, args.output, args.rows, tcm=args.tcm)
    _say(args, [f"{args.output}: {sum(kept.values())} rows in {len(kept)} objects"], kept)


def repack(args: argparse.Namespace) -> None:
    """Write files anew without lost space; add checksums or digests."""
    from pygama_core.lh5.rewrite import repack
    from pygama_core.lh5.text import size

    if args.output and len(args.files) > 1:
        raise LH5Error(f"--output {args.output}: one file can be written, {len(args.files)} given")
    digests = False if args.no_digests else True if args.digests else None
    contents = {}
    with Progress(len(args.files), quiet=args.quiet) as progress:
        for path in args.files:
            progress(str(path))
            result = repack(
                path,
                args.output,
                checksums=args.checksums,
                digests=digests,
                rechunk=args.rechunk,
                codec=args.codec,
            )
            contents[str(path)] = _as_dict(result)
    lines = [f"{path}: {size(c['old_bytes'])} -> {size(c['new_bytes'])}" for path, c in contents.items()]
    _say(args, lines, contents)


def verify(args: argparse.Namespace) -> None:
    """Read files whole and compare them with their digests."""
    from pygama_core.lh5.check import verify_apart
    from pygama_core.lh5.integrity import Fault, Verification

    found = []
    with Progress(len(args.files), quiet=args.quiet) as progress:
        for path in args.files:
            progress(str(path))
            try:
                found.append(verify_apart(path, stall_s=args.stall, report=progress.detail))
            except LH5Error as error:  # a missing file; the others are verified all the same
                found.append(Verification(str(path), 0, 0, (Fault("/", str(error)),)))
    lines: list[str] = []
    for result in found:
        lines += [f"{result.path}: {fault.name}: {fault.problem}" for fault in result.faults]
        if not result.faults:
            note = (
                "" if result.is_covered else f", {result.n_without_digest} without digest: only readability was checked"
            )
            lines.append(f"{result.path}: good, {result.n_objects} objects{note}")
    _say(args, lines, [_as_dict(result) for result in found])
    n_faults = sum(len(result.faults) for result in found)
    uncovered = [result.path for result in found if not result.is_covered]
    if n_faults:
        raise LH5Error(f"{n_faults} faults in {sum(bool(result.faults) for result in found)} of {len(found)} files")
    if args.strict and uncovered:
        raise LH5Error(f"no digests of all objects in {', '.join(uncovered)}; add them with repack --digests")


def diff(args: argparse.Namespace) -> None:
    """Compare two files by content."""
    from pygama_core.lh5.diff import Tolerance, diff

    tolerance = Tolerance(args.rtol, args.atol)
    found = diff(args.a, args.b, tolerance=tolerance, dtypes=not args.no_dtypes, attributes=not args.no_attributes)
    lines = [f"{d.name}: {d.what}: {d.detail}" for d in found] or ["equal"]
    _say(args, lines, [_as_dict(difference) for difference in found])
    if found:
        raise LH5Error(f"{args.a} and {args.b} differ in {len({d.name for d in found})} objects")


def export(args: argparse.Namespace) -> None:
    """Write a table as CSV, Parquet or Arrow; the ending of the output decides."""
    from pygama_core.lh5.export import export

    with Progress(1, quiet=args.quiet) as progress:
        progress(str(args.file))
        n_rows = export(args.file, args.name, args.output, columns=args.columns, where=args.where)
    _say(args, [f"{args.output}: {n_rows} rows"], {"n_rows": n_rows})


def _count(text: str) -> int:
    """Read an argument that counts something."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")
    return int(text)


FILE = (("file",), {"type": Path, "help": "LH5 file"})
FILES = (("files",), {"type": Path, "nargs": "+", "help": "LH5 files"})
NAME = (("name",), {"help": "object, such as ch1104000/hit"})
OUTPUT = (("--output", "-o"), {"type": Path, "required": True, "metavar": "FILE", "help": "file to write"})
COLUMNS = (("--columns",), {"nargs": "+", "metavar": "NAME", "help": "columns to read; default: all"})
PATTERN_HELP = "level by level, such as ch*/hit"
Option = tuple[tuple[str, ...], dict[str, Any]]
COMMANDS: dict[str, tuple[Callable[[argparse.Namespace], None], tuple[Option, ...]]] = {
    "ls": (
        ls,
        (
            FILE,
            (("pattern",), {"nargs": "?", "default": "*", "help": PATTERN_HELP}),
            (("--depth",), {"type": _count, "metavar": "N", "help": "levels to show; default: all"}),
        ),
    ),
    "head": (
        head,
        (
            FILE,
            NAME,
            COLUMNS,
            (("-n", "--rows"), {"type": _count, "default": 10, "metavar": "N", "help": "rows to print"}),
            (("--skip",), {"type": _count, "default": 0, "metavar": "N", "help": "rows to leave out first"}),
        ),
    ),
    "describe": (describe, (FILE, NAME)),
    "concat": (
        concat,
        (
            FILES,
            OUTPUT,
            (
                ("--hits",),
                {"type": Path, "nargs": "+", "metavar": "FILE", "help": "hit files, to join files with a tcm"},
            ),
        ),
    ),
    "truncate": (
        truncate,
        (
            FILE,
            OUTPUT,
            (("-n", "--rows"), {"type": _count, "required": True, "metavar": "N", "help": "rows, or events, to keep"}),
            (("--tcm",), {"type": Path, "metavar": "FILE", "help": "tcm of a file of hits: N counts events"}),
        ),
    ),
    "repack": (
        repack,
        (
            FILES,
            (("--output", "-o"), {"type": Path, "metavar": "FILE", "help": "file to write; default: in place"}),
            (("--checksums",), {"action": "store_true", "help": "add HDF5's Fletcher-32 to every chunk"}),
            (("--digests",), {"action": "store_true", "help": "store digests that verify compares"}),
            (("--no-digests",), {"action": "store_true", "help": "remove digests"}),
            (("--rechunk",), {"action": "store_true", "help": "chunks of whole rows, of a size that reads fast"}),
            (("--codec",), {"metavar": "NAME", "help": "of waveforms: auto, none (deflate), or a codec's name"}),
        ),
    ),
    "verify": (
        verify,
        (
            FILES,
            (("--strict",), {"action": "store_true", "help": "files without digests are a failure, too"}),
            (
                ("--stall",),
                {
                    "type": float,
                    "default": 300.0,
                    "metavar": "S",
                    "help": "seconds without progress after which a file counts as unreadable (default: %(default)g)",
                },
            ),
        ),
    ),
    "diff": (
        diff,
        (
            (("a",), {"type": Path}),
            (("b",), {"type": Path}),
            (("--rtol",), {"type": float, "default": 0.0, "metavar": "R", "help": "relative tolerance of numbers"}),
            (("--atol",), {"type": float, "default": 0.0, "metavar": "A", "help": "absolute tolerance of numbers"}),
            (("--no-dtypes",), {"action": "store_true", "help": "types of numbers do not count"}),
            (("--no-attributes",), {"action": "store_true", "help": "attributes do not count"}),
        ),
    ),
    "export": (
        export,
        (
            FILE,
            NAME,
            (("output",), {"type": Path, "help": ".csv, .parquet, .arrow or .feather"}),
            COLUMNS,
            (("--where",), {"metavar": "EXPRESSION", "help": "rows to keep, such as 'energy > 100'"}),
        ),
    ),
}


def add_commands(subparsers: Any) -> None:
    """Add the command ``lh5`` with its own commands; each sets ``run`` to the function to call with the arguments."""
    lh5 = subparsers.add_parser("lh5", help="Look into LH5 files, check, compare, join and export them.")
    nested = lh5.add_subparsers(dest="lh5_command", required=True, metavar="COMMAND")
    for name, (run, options) in COMMANDS.items():
        text = (run.__doc__ or "").splitlines()[0]
        sub = nested.add_parser(name, help=text, description=text)
        for names, settings in options:
            sub.add_argument(*names, **settings)
        sub.add_argument("--json", action="store_true", help="print JSON")
        sub.add_argument("--quiet", "-q", action="store_true", help="print nothing but errors")
        sub.set_defaults(run=run)
