"""Digests of what an LH5 file says, and the check that it still says it.

A digest covers the decoded numbers, shape, ``datatype`` and attributes of an object, and names and digests of the
members of a group; not chunking, HDF5 filters or waveform codec. It is stored as attribute ``digest`` of every object
and of the file's root, so that a change anywhere is found and the smallest object around it named.

Integers count by value, so that 16-bit waveforms and the same waveforms decoded to 32 bit are equal.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import h5py
import numpy as np

from pygama_core.errors import LH5Error
from pygama_core.lh5.datatypes import COMPOSITE
from pygama_core.lh5.inspect import BLOCK_BYTES, LEAVES, datatype_of, kind_of, n_rows_of, need_filters, open_hdf5, walk
from pygama_core.lh5.reader import Reader
from pygama_core.lh5.types import Array, VectorOfVectors

T = TypeVar("T")
Report: TypeAlias = "Callable[[str], None]"
DIGEST = "digest"
PREFIX = "sha256:"
MAX_RATIO = 2000  # deflate reaches 1032; a damaged shape claims far more, and reading zeros would not end
CODEC_ATTRIBUTES = ("codec", "codec_shift")
# the members of encoded waveforms, which their digest does not cover, may say only this
ENCODED_MEMBERS = {
    "encoded_data": ("array<1>{array<1>{real}}",),
    "encoded_data/flattened_data": ("array<1>{real}",),
    "encoded_data/cumulative_length": ("array<1>{real}",),
    "decoded_size": ("real", "array<1>{real}", "array<2>{real}", "array_of_equalsized_arrays<1,1>{real}"),
    "sample_data": ("real",),
}


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong in a file."""

    name: str  # of the object; "/" is the file's root
    problem: str


@dataclass(frozen=True)
class Verification:
    """What :func:`verify` found."""

    path: str
    n_objects: int
    n_without_digest: int
    faults: tuple[Fault, ...]

    @property
    def is_covered(self) -> bool:
        """Whether digests of the whole file were compared."""
        return self.n_objects > 0 and self.n_without_digest == 0


def digest(path: str | os.PathLike[str], name: str = "/") -> str:
    """Return the digest of an object's present content, whatever is stored.

    Raises
    ------
    LH5Error
        if file or object is missing or cannot be read
    """
    with open_hdf5(path) as file, Reader(path) as reader:
        if name not in file:
            raise LH5Error(f"{path}: no object {name!r}")
        scan = _Scan(file, reader)
        found = scan.digest(name.strip("/"), file[name])
        if scan.faults:
            raise LH5Error(f"{path}: {scan.faults[0].name}: {scan.faults[0].problem}")
        return found


def verify(path: str | os.PathLike[str], report: Report | None = None) -> Verification:
    """Read a whole file and compare it with its digests; without digests, check what can be read and fits together.

    Parameters
    ----------
    path
        the file
    report
        is called with the name of an object before it is read, and after each block of it

    Raises
    ------
    LH5Error
        if the file is missing or cannot be opened at all
    """
    with open_hdf5(path) as file, Reader(path) as reader:
        scan = _Scan(file, reader, compare=True, report=report)
        try:
            scan.digest("", file["/"])
        except READ_ERRORS as error:
            scan.fault("", f"cannot be listed: {error}")
        return Verification(str(path), scan.n_objects, scan.n_without_digest, tuple(scan.faults))


def stamp(path: str | os.PathLike[str], changed: Collection[str] | None = None) -> None:
    """Store digests in a file of our own, not yet public; of all objects, or of the changed ones and groups above.

    :func:`pygama_core.lh5.rewrite.add_digests` does it to a file that others may be reading.
    """
    with open_hdf5(path) as file, Reader(path) as reader:
        scan = _Scan(file, reader, changed=None if changed is None else _objects_below(file, changed))
        scan.digest("", file["/"])
        if scan.faults:
            raise LH5Error(f"{path}: {scan.faults[0].name}: {scan.faults[0].problem}; no digest can be stored")
    with h5py.File(path, "r+", locking=False) as file:
        for name, text in scan.digests.items():
            obj = file[name or "/"]
            if obj.attrs.get(DIGEST) != text:
                obj.attrs[DIGEST] = text


def _objects_below(file: h5py.File, names: Collection[str]) -> set[Any]:
    """Return the ids of objects and all their members; an object has one id under all its names."""
    found = set()
    for name in names:
        if name in file:
            found.add(file[name].id)
            if isinstance(file[name], h5py.Group):
                found |= {obj.id for _, obj in walk(file[name])}
    return found


# what HDF5, h5py and our reader raise on damaged files: h5py passes on any inconsistency as the nearest built-in error
READ_ERRORS = (
    LH5Error,
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    MemoryError,
    OverflowError,
    NotImplementedError,
    SystemError,
)


@dataclass
class _Scan:
    """One pass over a file. Objects with several names are read once."""

    file: h5py.File
    reader: Reader
    compare: bool = False
    report: Report | None = None
    changed: Collection[Any] | None = None  # ids of the leaves whose digests are not trusted; None: all
    faults: list[Fault] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    n_objects: int = 0
    n_without_digest: int = 0
    _known: dict[Any, str] = field(default_factory=dict)

    def fault(self, name: str, problem: str) -> None:
        self.faults.append(Fault(name or "/", problem))

    def say(self, name: str) -> None:
        if self.report is not None:
            self.report(name or "/")

    def digest(self, name: str, obj: h5py.Group | h5py.Dataset) -> str:
        """Return the digest by which the groups above are computed: the stored one if there is one."""
        if obj.id in self._known:
            return self._known[obj.id]
        self.n_objects += 1
        self.say(name)
        stored = _text(obj.attrs.get(DIGEST, ""))
        is_leaf = kind_of(obj) in LEAVES
        if self.changed is not None and stored and is_leaf and obj.id not in self.changed:
            self._known[obj.id] = stored
            return stored
        found = self._compute(name, obj)
        self.digests[name] = found
        if self.compare:
            self.n_without_digest += not stored
            if stored and stored != found:
                self.fault(name, "content differs from its digest")
        # one damaged leaf shall not make every group above it a fault
        self._known[obj.id] = stored if self.compare and stored else found
        return self._known[obj.id]

    def _compute(self, name: str, obj: h5py.Group | h5py.Dataset) -> str:
        try:
            kind = kind_of(obj)
            if kind in LEAVES:
                return self._leaf(name, obj, kind)
            return self._group(name, obj)
        except READ_ERRORS as error:
            self.fault(name, f"cannot be read: {error}")
            return ""

    def _group(self, name: str, group: h5py.Group) -> str:
        members: dict[str, str] = {}
        for member in sorted(group):
            inner = f"{name}/{member}".strip("/")
            link = group.get(member, getlink=True)
            if isinstance(link, h5py.HardLink):
                try:
                    child = group[member]
                    members[member] = self.digest(inner, child)
                except READ_ERRORS as error:
                    self.fault(inner, f"cannot be opened: {error}")
            else:
                members[member] = repr((type(link).__name__, link.path, getattr(link, "filename", "")))
        self._check_fields(name, group, members)
        return _hash({"kind": "group", "members": members, **_header(group)})

    def _check_fields(self, name: str, group: h5py.Group, members: Collection[str]) -> None:
        match = COMPOSITE.fullmatch(datatype_of(group))
        if match is None:
            return
        listed = {part for part in match["fields"].split(",") if part}
        if absent := sorted(listed - set(members)):
            self.fault(name, f"lists the fields {', '.join(absent)}, which do not exist")
        if match["kind"] == "table":
            rows = {member: n_rows_of(group[member]) for member in sorted(listed & set(members))}
            if len(set(rows.values())) > 1:
                self.fault(name, f"columns have different numbers of rows: {rows}")

    def _leaf(self, name: str, obj: h5py.Group | h5py.Dataset, kind: str) -> str:
        if kind == "encoded":
            return self._encoded(name, obj)
        headers: list[dict[str, Any]] = []
        stored: h5py.Group | h5py.Dataset = obj
        lengths = []
        while isinstance(stored, h5py.Group):
            headers.append({**_header(stored), "lengths": _header(stored["cumulative_length"])})
            lengths.append(_stream(self._said(name, _row_lengths(stored))))
            stored = stored["flattened_data"]
        headers.append(_header(stored))
        # our reader undoes the filters in threads; it makes bools of bytes, of which every bit counts here
        is_real = isinstance(obj, h5py.Dataset) and kind == "array" and "{real}" in datatype_of(obj)
        blocks = self._rows(name, stored) if is_real and stored.chunks else _blocks(stored)
        content = {
            "headers": headers,
            "lengths": lengths,
            "shape": stored.shape[1:],
            "values": _stream(self._said(name, blocks)),
        }
        if stored.dtype.metadata and "enum" in stored.dtype.metadata:
            content["enum"] = sorted(stored.dtype.metadata["enum"].items())
        return _hash(content)

    def _said(self, name: str, blocks: Iterable[T]) -> Iterator[T]:
        for block in blocks:
            self.say(name)
            yield block

    def _rows(self, name: str, dataset: h5py.Dataset) -> Iterator[np.ndarray]:
        step = _step(dataset)
        for first in range(0, max(dataset.shape[0], 1), step):
            yield self.reader.read(name, rows=slice(first, min(first + step, dataset.shape[0]))).values

    def _encoded(self, name: str, group: h5py.Group) -> str:
        """Return what the leaf would have if it were stored plainly."""
        for member, allowed in ENCODED_MEMBERS.items():
            if member in group and datatype_of(group[member]) not in allowed:
                self.fault(name, f"datatype of {member} is {datatype_of(group[member])!r}, expected {allowed[0]!r}")
        n_rows = n_rows_of(group) or 0
        size = int(np.max(group["decoded_size"][()], initial=1))
        step = max(1, BLOCK_BYTES // (4 * max(size, 1)))
        starts = range(0, max(n_rows, 1), step)
        read = (self.reader.read(name, rows=slice(first, min(first + step, n_rows))) for first in starts)
        blocks = self._said(name, read)
        header = _header(group)
        is_equal = not group["decoded_size"].shape
        element = header["datatype"].partition("<1,1>" if is_equal else "encoded_array<1>")[2]
        for attribute in CODEC_ATTRIBUTES:
            header["attrs"].pop(attribute, None)
        if is_equal:
            header["datatype"] = f"array_of_equalsized_arrays<1,1>{element}"
            values = _stream(block.values for block in blocks if isinstance(block, Array))
            return _hash({"headers": [header], "lengths": [], "shape": [size], "values": values})
        header["datatype"] = f"array<1>{{array<1>{element}"
        plain = {"datatype": f"array<1>{element.removesuffix('}')}", "attrs": {}}
        ragged = [block for block in blocks if isinstance(block, VectorOfVectors)]
        headers = [{**header, "lengths": {"datatype": "array<1>{real}", "attrs": {}}}, plain]
        lengths = [_stream(block.lengths for block in ragged)]
        values = _stream(np.asarray(block.flattened_data) for block in ragged)
        return _hash({"headers": headers, "lengths": lengths, "shape": [], "values": values})


def _hash(content: dict[str, Any]) -> str:
    return PREFIX + hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _header(obj: h5py.Group | h5py.Dataset) -> dict[str, Any]:
    """Return datatype and attributes as text, so that each counts exactly as it is stored."""
    datatype = datatype_of(obj)
    if match := COMPOSITE.fullmatch(datatype):
        datatype = f"{match['kind']}{{{','.join(sorted(match['fields'].split(',')))}}}"
    attrs = {key: _attribute(value) for key, value in obj.attrs.items() if key not in ("datatype", DIGEST)}
    return {"datatype": datatype, "attrs": attrs}


def _attribute(value: Any) -> str:
    if isinstance(value, bytes | str):
        return _text(value)
    plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    return f"{type(plain).__name__}:{plain!r}"


def _stream(blocks: Iterator[np.ndarray] | Any) -> str:
    """Return the digest of numbers that come in blocks; where the blocks are cut does not matter."""
    digest, tag = hashlib.sha256(), ""
    for block in blocks:
        tag, content = canonical(block)
        digest.update(content)
    return f"{tag}:{digest.hexdigest()}"


def canonical(values: np.ndarray) -> tuple[str, bytes | memoryview]:
    """Return (type, bytes) that stand for values: little endian; integers of up to 32 bit as int32."""
    kind, size = values.dtype.kind, values.dtype.itemsize
    if kind in "biu":
        wide = np.dtype("<i4") if size < 4 or (kind, size) == ("i", 4) else np.dtype("<u8" if kind == "u" else "<i8")
        return wide.str, _bytes(values.astype(wide, copy=False))
    if kind == "O":
        texts = [value if isinstance(value, bytes) else str(value).encode() for value in values.ravel()]
        return "text", b"".join(len(text).to_bytes(8, "little") + text for text in texts)
    little = values.dtype.newbyteorder("<")
    return little.str, _bytes(values.astype(little, copy=False))


def _bytes(values: np.ndarray) -> bytes | memoryview:
    plain = np.ascontiguousarray(values)
    return plain.reshape(-1).view(np.uint8).data if plain.size else b""


def _blocks(dataset: h5py.Dataset) -> Iterator[np.ndarray]:
    if not dataset.shape:
        yield np.asarray(dataset[()]).reshape(1) if dataset.dtype.kind != "O" else np.array([dataset[()]], object)
        return
    need_filters(dataset)
    step = _step(dataset)
    for first in range(0, max(dataset.shape[0], 1), step):
        yield dataset[first : first + step]


def _step(dataset: h5py.Dataset) -> int:
    """Return how many rows to read at once; raise LH5Error if the shape cannot be true."""
    limit = MAX_RATIO * os.stat(dataset.file.filename).st_size
    if dataset.nbytes > limit:
        raise LH5Error(f"claims {dataset.nbytes} bytes, more than the {limit} that any compression fits into the file")
    row_bytes = max(1, dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64)))
    step = max(1, BLOCK_BYTES // row_bytes)
    chunk = dataset.chunks[0] if dataset.chunks else 1
    return int(max(chunk, step // chunk * chunk))


def _row_lengths(group: h5py.Group) -> Iterator[np.ndarray]:
    """Yield the lengths of the rows of a ragged object; raise LH5Error if they make no sense."""
    last = 0
    n_flat = n_rows_of(group["flattened_data"]) or 0
    for block in _blocks(group["cumulative_length"]):
        ends = block.astype(np.int64)
        lengths = np.diff(ends, prepend=last)
        last = int(ends[-1]) if len(ends) else last
        if np.any(lengths < 0) or last > n_flat:
            raise LH5Error(f"cumulative_length decreases or ends behind the {n_flat} flattened rows")
        yield lengths
