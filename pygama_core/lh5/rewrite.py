"""Whole files made from others: repacked, joined, cut, with checksums or digests; each appears whole or not at all.

Chunks, encoded waveforms and other names of an object (hard links) are carried over as they are stored.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pygama_core.errors import LH5Error
from pygama_core.lh5 import integrity, journal
from pygama_core.lh5.create import new_file
from pygama_core.lh5.growth import append_rows, trim
from pygama_core.lh5.inspect import kind_of, n_rows_of, open_hdf5, walk
from pygama_core.lh5.recode import Changes, copy_attributes, copy_changed

Progress = Callable[[str], None]
ROW_KINDS = ("array", "ragged", "encoded", "table")


def _silent(_: str) -> None:
    pass


@dataclass(frozen=True)
class Repacked:
    """What :func:`repack` gained."""

    old_bytes: int
    new_bytes: int


def repack(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    checksums: bool = False,
    digests: bool | None = None,
    rechunk: bool = False,
    codec: str | None = None,
) -> Repacked:
    """Write a file anew without the space that removed objects left; its content, and so its digests, stay the same.

    Parameters
    ----------
    path : file to read
    output : file to write; None replaces the file itself
    checksums : add HDF5's Fletcher-32 checksum to every chunk that has none
    digests : True adds digests, see :mod:`pygama_core.lh5.integrity`; False removes them; None keeps what is there
    rechunk : give datasets in very small or very large chunks, or such of parts of rows, chunks of our own
    codec : for the samples of waveform tables: a codec's name, "auto", or "none" for plain chunks; None leaves them

    Raises
    ------
    LH5Error
        if the file cannot be read, or the codec cannot hold the samples
    """
    changes = Changes(checksums, rechunk, codec)
    path, output = Path(path), Path(output or path)
    old_bytes = _size(path)
    with _written(output, like=path, guard=output == path) as part:
        with open_hdf5(path) as source, new_file(part) as new:
            if changes.is_none:
                copy_all(source, new)
            else:
                copy_changed(path, new, changes)
            if digests is False:
                _remove_digests(new)
        if digests:
            integrity.stamp(part)
    return Repacked(old_bytes, output.stat().st_size)


def _size(path: Path) -> int:
    if not path.exists():
        raise LH5Error(f"{path}: no such file")
    return path.stat().st_size


def add_digests(path: str | os.PathLike[str]) -> None:
    """Store digests of all objects in a file; it is replaced as a whole."""
    path = Path(path)
    with _written(path, like=path, guard=True) as part:
        shutil.copyfile(path, part)
        integrity.stamp(part)


@contextlib.contextmanager
def _written(output: Path, like: Path, *, guard: bool) -> Iterator[Path]:
    """Give a name to write to, which is renamed to the output at the end; guard: hold the output's editor lock."""
    output.parent.mkdir(parents=True, exist_ok=True)
    part = output.with_name(f".{output.name}.rewrite")
    with contextlib.ExitStack() as stack:
        if guard:
            descriptor = stack.enter_context(journal.locked(output))
            journal.complete(output, descriptor)
        elif like != output:
            journal.recover(like)
        try:
            yield part
            shutil.copymode(like, part)
            part.replace(output)
        finally:
            part.unlink(missing_ok=True)


def copy_all(source: h5py.File, new: h5py.File) -> None:
    """Copy everything into an empty file; HDF5 keeps hard links only within one copied group."""
    whole = ".whole"
    source.copy(source["/"], new, name=whole)
    for name in list(new[whole]):
        new.move(f"{whole}/{name}", name)
    copy_attributes(source, new)
    del new[whole]


def _remove_digests(file: h5py.File) -> None:
    for obj in [file, *(obj for _, obj in walk(file))]:
        if integrity.DIGEST in obj.attrs:
            del obj.attrs[integrity.DIGEST]


@dataclass(frozen=True)
class Joined:
    """What :func:`concat` made."""

    n_rows: dict[str, int]  # of each object that has rows
    differing: tuple[str, ...]  # scalars and attributes that differ between the files; those of the first were kept


def concat(
    paths: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    hits: Sequence[str | os.PathLike[str]] | None = None,
    progress: Progress = _silent,
) -> Joined:
    """Join the rows of files with the same objects, such as the cycles of a run.

    Parameters
    ----------
    paths : files, in the order of their rows
    output : file to write
    hits : files of another tier, one for each of the paths, whose numbers of rows tell by how much the row numbers in a
        time coincidence map move; needed if the files have such a map
    progress : called with the name of each file that is begun

    Raises
    ------
    LH5Error
        if an object is not in all files, or differs in columns, dtype, row shape or units
    """
    sources, output = [Path(path) for path in paths], Path(output)
    if not sources or output in sources or (hits is not None and len(hits) != len(sources)):
        raise LH5Error(f"{output}: join needs one or more files besides the output, and as many files of hits")
    differing: set[str] = set()
    with _written(output, like=sources[0], guard=False) as part, new_file(part) as new:
        shifts: dict[int, int] = {}
        for number, path in enumerate(sources):
            progress(str(path))
            with open_hdf5(path) as source:
                if number == 0:
                    copy_all(source, new)
                    _remove_digests(new)
                    roots = list(_row_objects(new))
                else:
                    differing |= _append_file(new, source, path, shifts if hits else None)
            if hits:
                _count_hits(Path(hits[number]), shifts)
        n_rows = {name: n_rows_of(new[name]) or 0 for name in roots}
    return Joined(n_rows, tuple(sorted(differing)))


def _row_objects(file: h5py.File) -> Iterator[str]:
    """Yield the names of the outermost objects with rows; each object once, whatever names it has."""
    seen: set[Any] = set()
    inside = "\0"
    for name, obj in walk(file):
        if name.startswith(inside):
            continue
        if obj.id in seen:
            inside = f"{name}/"
        elif kind_of(obj) in ROW_KINDS and not _is_calibration(obj):
            seen.add(obj.id)
            inside = f"{name}/"
            yield name


def _is_calibration(obj: h5py.Group | h5py.Dataset) -> bool:
    """Whether an array is a member of a histogram, whose bins are no rows."""
    parent = obj.parent
    return set(parent) >= {"isdensity", "weights"} or "closedleft" in parent or "binedges" in obj.name.split("/")


def _append_file(new: h5py.File, source: h5py.File, path: Path, shifts: dict[int, int] | None) -> set[str]:
    names, found = set(_row_objects(new)), set(_row_objects(source))
    if names != found:
        raise LH5Error(f"{path}: {', '.join(sorted(names ^ found)[:5])} not in all files; join files of one kind")
    for name in sorted(names):
        try:
            if is_coincidence_map(new[name]):
                _append_map(new[name], source[name], shifts)
            else:
                append_rows(new[name], source[name])
        except LH5Error as error:
            raise LH5Error(f"{path}: {error}") from error
    return _differing(new, source)


def _differing(new: h5py.File, source: h5py.File) -> set[str]:
    different = set()
    for name, obj in walk(new):
        if name not in source:
            different.add(name)
            continue
        other = source[name]
        if kind_of(obj) == "scalar" and obj[()] != other[()]:
            different.add(name)
        keys = (set(obj.attrs) | set(other.attrs)) - {integrity.DIGEST, "datatype"}
        different |= {f"{name}@{key}" for key in keys if str(obj.attrs.get(key)) != str(other.attrs.get(key))}
    return different


def is_coincidence_map(obj: h5py.Group | h5py.Dataset) -> bool:
    """Whether a table maps events to rows of channels."""
    return isinstance(obj, h5py.Group) and {"table_key", "row_in_table"} <= set(obj)


def _append_map(target: h5py.Group, source: h5py.Group, shifts: dict[int, int] | None) -> None:
    if shifts is None:
        raise LH5Error(
            f"{target.name} counts rows within its own cycle; give the files of hits (hits=, --hits), one for each file"
        )
    rows = target["row_in_table/flattened_data"]
    ends = target["row_in_table/cumulative_length"]
    n_old = int(ends[-1]) if len(ends) else 0
    append_rows(target, source)
    keys = source["table_key/flattened_data"][()]
    known, inverse = np.unique(keys, return_inverse=True)
    moved = rows[n_old:].astype(np.int64) + np.array([shifts.get(int(k), 0) for k in known], np.int64)[inverse]
    if len(moved) and moved.max() > np.iinfo(rows.dtype).max:
        raise LH5Error(f"{target.name}: row numbers beyond {rows.dtype}; join fewer files")
    rows[n_old:] = moved


def _count_hits(path: Path, shifts: dict[int, int]) -> None:
    """Add each channel's number of rows in a file."""
    with open_hdf5(path) as file:
        for name in _row_objects(file):
            number = re.search(r"\d+", name.partition("/")[0])
            if number:
                key = int(number.group())
                shifts[key] = shifts.get(key, 0) + (n_rows_of(file[name]) or 0)


def truncate(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    n_rows: int,
    *,
    tcm: str | os.PathLike[str] | None = None,
) -> dict[str, int]:
    """Write the first rows of all objects; return the numbers of rows kept.

    Parameters
    ----------
    path, output : files to read and to write
    n_rows : rows to keep; with ``tcm``: events
    tcm : file with the time coincidence map of a file of hits; channels keep all rows that the first events need

    Raises
    ------
    LH5Error
        if ``n_rows`` is negative, or the file of ``tcm`` has no map
    """
    path, output = Path(path), Path(output)
    if n_rows < 0 or path == output:
        raise LH5Error(f"{path}: cannot keep {n_rows} rows in {output}; give 0 or more, and another file to write")
    limits = _rows_of_events(Path(tcm), n_rows) if tcm else None
    kept: dict[str, int] = {}
    with _written(output, like=path, guard=False) as part, open_hdf5(path) as source:
        trimmed = part.with_name(f"{part.name}.full")
        try:
            with new_file(trimmed) as new:
                copy_all(source, new)
                _remove_digests(new)
                for name in list(_row_objects(new)):
                    number = re.search(r"\d+", name.partition("/")[0])
                    limit = n_rows if limits is None else limits.get(int(number.group()) if number else -1, 0)
                    kept[name] = min(n_rows_of(new[name]) or 0, limit)
                    trim(new[name], kept[name])
            with h5py.File(trimmed, "r", locking=False) as old, new_file(part) as new:
                copy_all(old, new)
        finally:
            trimmed.unlink(missing_ok=True)
    return kept


def _rows_of_events(tcm: Path, n_events: int) -> dict[int, int]:
    with open_hdf5(tcm) as file:
        maps = [obj for _, obj in walk(file) if is_coincidence_map(obj)]
        if not maps:
            raise LH5Error(f"{tcm}: no time coincidence map, which is a table with table_key and row_in_table")
        limits: dict[int, int] = {}
        for group in maps:
            ends = group["table_key/cumulative_length"][:n_events]
            last = int(ends[-1]) if len(ends) else 0
            keys, rows = (group[f"{name}/flattened_data"][:last] for name in ("table_key", "row_in_table"))
            for key in np.unique(keys):
                limits[int(key)] = max(limits.get(int(key), 0), int(rows[keys == key].max()) + 1)
        return limits
