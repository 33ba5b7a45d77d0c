"""HDF5's filters outside HDF5: shuffle, deflate, Fletcher-32 and zstd, run in threads of our own.

Other filters (lzf, blosc, bitshuffle, lz4, …) are left to HDF5 and its plugins; :attr:`Pipeline.is_ours` tells which.
Sources: HDF5 file format specification, version 3.0, IV.A.2.l (filter message); RFC 1950/1951 (deflate).
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from pygama_core.errors import LH5Error

DEFLATE, SHUFFLE, FLETCHER32, ZSTD = 1, 2, 3, 32015
OURS = frozenset({DEFLATE, SHUFFLE, FLETCHER32, ZSTD})
FOREIGN = {4: "szip", 32000: "lzf", 32001: "blosc", 32004: "lz4", 32008: "bitshuffle", 32013: "zfp", 32026: "blosc2"}
DEFLATE_LEVEL = 1  # isal's levels are 0-3; 1 is as small as zlib's 4 on shuffled waveforms, at a tenth of the time
SHORT_TRACE = 256  # [samples] from which rows of integers are taken for waveforms
COMPARED = 64  # samples that are equal in two rows by repetition only
NOISE_FROM = 1 << 15  # [bytes] of a chunk of waveforms; below, importing the compiler costs more than it saves
ZLIB_HEADER, RAW_STREAM = b"\x78\x01", -15  # window of 32 kB; the same without header
DEFLATE_RECORDED = 4  # the level that files name; a reader does not need it
COMPILED_FROM = 1 << 22  # [bytes] in one call; below it, importing the compiler costs more than it saves
CHECKSUM_BYTES = 4


@dataclass(frozen=True)
class Pipeline:
    """The filters of one dataset in the order in which they are applied on writing."""

    codes: tuple[int, ...]
    itemsize: int

    @property
    def is_ours(self) -> bool:
        """Whether every filter is one that this module undoes."""
        return OURS.issuperset(self.codes)

    def decode(self, stored: bytes | memoryview, mask: int, n_bytes: int, out: np.ndarray) -> None:
        """Undo the filters of one chunk.

        Parameters
        ----------
        stored
            the chunk as it lies in the file
        mask
            HDF5's filter mask: bit i set means that filter i was left out for this chunk
        n_bytes
            size of the whole chunk when decoded
        out : (n_wanted,) uint8
            gets the first n_wanted bytes of the decoded chunk; contiguous, aligned for the dataset's type

        Raises
        ------
        LH5Error
            if a checksum is wrong, or the compressed bytes are damaged
        """
        data: Any = stored
        applied = [code for i, code in enumerate(self.codes) if not mask >> i & 1]
        for place, code in reversed(list(enumerate(applied))):
            if code == SHUFFLE and self.itemsize > 1:
                planes = np.frombuffer(data, np.uint8)
                if place == 0:  # the usual order: nothing is left to undo
                    _check_size(len(planes), n_bytes)
                    unshuffle(planes, self.itemsize, out)
                    return
                whole = np.empty(len(planes), np.uint8)
                unshuffle(planes, self.itemsize, whole)
                data = whole
            elif code == DEFLATE:
                # a filter that came first on writing may have made the data longer than the chunk
                data = _inflate(data, n_bytes + (CHECKSUM_BYTES if FLETCHER32 in applied[:place] else 0))
            elif code == ZSTD:
                data = _unzstd(data, n_bytes + CHECKSUM_BYTES)
            elif code == FLETCHER32:
                data = _checked(data)
        _check_size(len(data), n_bytes)
        out[:] = np.frombuffer(data, np.uint8)[: len(out)]

    def encode(self, chunk: np.ndarray) -> bytes:
        """Apply the filters to one whole chunk (contiguous); raise LH5Error for a filter that we only read."""
        data: Any = chunk.reshape(-1)
        for code in self.codes:
            if code == SHUFFLE:
                data = shuffle(data) if self.itemsize > 1 else data
            elif code == DEFLATE:
                n_noise = _n_noise(chunk) if SHUFFLE in self.codes else 0
                data = deflate_noise(data, n_noise) if n_noise else deflate(data)
            elif code == FLETCHER32:
                plain = data.tobytes() if isinstance(data, np.ndarray) else data
                data = plain + fletcher32(plain).to_bytes(CHECKSUM_BYTES, "little")
            else:
                raise LH5Error(f"HDF5 filter {code} ({FOREIGN.get(code, 'zstd')}) is read but not written here")
        return data.tobytes() if isinstance(data, np.ndarray) else bytes(data)


def _check_size(found: int, expected: int) -> None:
    if found != expected:
        raise LH5Error(f"decoded to {found} bytes, expected {expected}; the chunk is damaged")


def unshuffle(planes: np.ndarray, size: int, out: np.ndarray) -> None:
    """Undo HDF5's shuffle: planes of the first, second, … bytes of all elements.

    Parameters
    ----------
    planes : (n * size + rest,) uint8
    size
        bytes of an element; the rest that is no whole element was not shuffled
    out : (n_wanted,) uint8
        gets the first bytes; a whole number of elements unless all are wanted
    """
    n = len(planes) // size
    n_wanted = len(out) // size
    if kernels := _kernels(len(planes)):
        if size == 2:
            kernels.unshuffle2(planes, n, out[: n_wanted * 2].view(np.uint16))
        elif size == 4:
            kernels.unshuffle4(planes, n, out[: n_wanted * 4].view(np.uint32))
        elif size == 8:
            kernels.unshuffle8(planes, n, out[: n_wanted * 8].view(np.uint64))
        else:
            kernels.unshuffle_bytes(planes, n, out[: n_wanted * size].reshape(n_wanted, size))
    else:
        out[: n_wanted * size].reshape(n_wanted, size)[...] = planes[: n * size].reshape(size, n).T[:n_wanted]
    rest = len(out) - n_wanted * size
    if rest:
        out[n_wanted * size :] = planes[n * size : n * size + rest]


def shuffle(values: np.ndarray) -> np.ndarray:
    """Apply HDF5's shuffle to contiguous elements; return (n * itemsize,) uint8."""
    size = values.dtype.itemsize
    planes = np.empty(values.nbytes, np.uint8)
    kernels = _kernels(values.nbytes)
    if kernels and size == 2:
        kernels.shuffle2(values.view(np.uint16), planes)
    elif kernels:
        kernels.shuffle_bytes(values.view(np.uint8).reshape(-1, size), planes)
    else:
        planes.reshape(size, -1)[...] = values.view(np.uint8).reshape(-1, size).T
    return planes


def deflate(data: Any) -> bytes:
    """Compress to a zlib stream."""
    from isal import isal_zlib

    # the one-shot function matches against memory it did not clear: now and then other bytes for the same data
    compressor = isal_zlib.compressobj(DEFLATE_LEVEL)
    return bytes(compressor.compress(data) + compressor.flush())


def deflate_noise(data: np.ndarray, n_noise: int) -> bytes:
    """Compress to a zlib stream whose first ``n_noise`` bytes are noise: there it only looks at how often each occurs.

    On the lower bytes of waveforms, matches cost most of the time and gain nothing.
    """
    from isal import isal_zlib

    from pygama_core.lh5 import huffman

    room = len(ZLIB_HEADER) + n_noise * huffman.MAX_BITS // 8 + (n_noise // huffman.BLOCK + 2) * huffman.HEADER_BYTES
    out = np.empty(room, np.uint8)
    out[: len(ZLIB_HEADER)] = np.frombuffer(ZLIB_HEADER, np.uint8)
    end = huffman.put_literals(data, n_noise, out, len(ZLIB_HEADER))
    compressor = isal_zlib.compressobj(DEFLATE_LEVEL, wbits=RAW_STREAM)
    rest = compressor.compress(data[n_noise:])
    return b"".join([out[:end].data, rest, compressor.flush(), isal_zlib.adler32(data).to_bytes(4, "big")])


def _n_noise(chunk: np.ndarray) -> int:
    """Return how many bytes at the start of the shuffled chunk are noise: the lowest bytes of the samples.

    By the chunk alone, so that the same data give the same bytes.
    """
    is_waveforms = chunk.ndim == 2 and chunk.dtype.kind in "iu" and chunk.shape[-1] >= SHORT_TRACE
    if not is_waveforms or chunk.itemsize not in (2, 4) or chunk.nbytes < NOISE_FROM:
        return 0
    # rows that begin alike are no noise: dead channels, test pulses without noise
    starts = [start for row in chunk if (start := row[:COMPARED].tobytes()).strip(b"\0")]
    return chunk.size if starts and len(set(starts)) == len(starts) else 0


def fletcher32(data: bytes | memoryview) -> int:
    """Return HDF5's Fletcher-32 checksum: sums modulo 65535 of big-endian 16-bit words.

    Source: Fletcher, IEEE Trans. Commun. 30 (1982) 247, doi:10.1109/TCOM.1982.1095369; the zero of HDF5's folding
    arithmetic is written 65535 unless all words are 0.
    """
    block = 4096
    plain = np.frombuffer(data, np.uint8)
    words = np.zeros(-(-len(plain) // (2 * block)) * block, ">u2")
    words.view(np.uint8)[: len(plain)] = plain
    n_words = (len(plain) + 1) // 2
    blocks = words.astype(np.uint64).reshape(-1, block)
    sums = blocks.sum(axis=1)
    # how often a word enters the second sum: once for itself and for every later word
    inside = blocks @ np.arange(block, 0, -1, dtype=np.uint64)
    later = n_words - block * np.arange(1, len(blocks) + 1, dtype=np.int64)
    low = int(sums.sum())
    high = sum(int(a) + int(b) * int(c) for a, b, c in zip(inside, sums, later, strict=True))
    return _fold(high) << 16 | _fold(low)


def _fold(total: int) -> int:
    return (total - 1) % 65535 + 1 if total else 0


def _checked(data: Any) -> memoryview:
    view = memoryview(data)
    body, stored = view[:-CHECKSUM_BYTES], int.from_bytes(view[-CHECKSUM_BYTES:], "little")
    found = fletcher32(body)
    # HDF5 before 1.6.3 stored the words byte-swapped; its reader accepts both and so do we
    swapped = (found & 0x00FF00FF) << 8 | (found >> 8 & 0x00FF00FF)
    if stored not in (found, swapped):
        raise LH5Error(f"Fletcher-32 checksum is {found:#010x}, stored is {stored:#010x}; the chunk is damaged")
    return body


def _inflate(data: bytes | memoryview | np.ndarray, n_bytes: int) -> bytes | bytearray:
    inflate, error_type = _inflater()
    try:
        return inflate(data, n_bytes)
    except error_type as error:
        raise LH5Error(f"deflate stream is damaged: {error}") from error


@cache
def _inflater() -> tuple[Callable[[Any, int], bytes | bytearray], type[Exception]]:
    """Return the fastest inflater installed: libdeflate decodes 1.5 times as fast as isal."""
    try:
        libdeflate = importlib.import_module("deflate")
    except ImportError:
        isal_zlib: Any = importlib.import_module("isal.isal_zlib")
        return (lambda data, n_bytes: isal_zlib.decompress(data, 15, n_bytes)), isal_zlib.error
    return libdeflate.zlib_decompress, libdeflate.DeflateError


_LOCAL = threading.local()  # a zstd decompressor must not be used by two threads at once


def _unzstd(data: Any, n_bytes: int) -> bytes:
    import zstandard

    decompressor = getattr(_LOCAL, "zstd", None)
    if decompressor is None:
        decompressor = _LOCAL.zstd = zstandard.ZstdDecompressor()
    try:
        return bytes(decompressor.decompress(data, max_output_size=n_bytes))
    except zstandard.ZstdError as error:
        raise LH5Error(f"zstd stream is damaged: {error}") from error


def _kernels(n_bytes: int) -> ModuleType | None:
    """Return the compiled kernels if they are loaded or worth loading."""
    loaded = sys.modules.get("pygama_core.lh5.shuffle")
    if getattr(loaded, "READY", False):  # another thread may be importing it
        return loaded
    return load_kernels() if n_bytes >= COMPILED_FROM else None


def load_kernels() -> ModuleType:
    """Import the compiled kernels: half a second, once; a reader of much data calls this first."""
    from pygama_core.lh5 import shuffle as kernels

    return kernels
