"""The bytes of a DAQ file: memory-mapped, decompressed or word-swapped into a temporary file where needed."""

from __future__ import annotations

import bz2
import mmap
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from pygama_core.errors import DecodeError

PIECE = 4 << 20  # [bytes] read, inflated or swapped at a time
GZIP = b"\x1f\x8b"
BZIP2 = b"BZh"
ZSTD = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True, eq=False)
class Source:
    """A DAQ file's (decompressed) bytes.

    Parameters
    ----------
    path : the file as named by the user
    data : (n_bytes,) uint8, read-only view of the mapped file
    notes : what was found wrong with the container, e.g. a truncated gzip stream
    mapping : the memory map under ``data``
    """

    path: Path
    data: np.ndarray
    notes: tuple[str, ...] = ()
    mapping: mmap.mmap | None = None

    @property
    def head(self) -> bytes:
        """The first 4 kB, for telling formats apart."""
        return self.data[:4096].tobytes()

    def release(self) -> None:
        """Give the memory of the pages read so far back to the system; reading them again maps them anew."""
        if self.mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            self.mapping.madvise(mmap.MADV_DONTNEED)


def open_source(path: Path) -> Source:
    """Map a DAQ file; ``.gz``, ``.bz2`` and ``.zst`` content (found by its first bytes) is decompressed first.

    Raises
    ------
    DecodeError : if the file cannot be read, is empty, or is compressed and nothing of it can be restored
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
            if not magic:
                raise DecodeError(f"{path}: the file is empty (0 bytes); expected a DAQ file, check the transfer")
            new_decoder = _decoder_for(magic)
            file.seek(0)
            if new_decoder is None:
                return Source(path, *map_bytes(file))
            return _decompressed(path, file, new_decoder)
    except OSError as error:
        raise DecodeError(f"{path}: cannot read the file: {error.strerror or error}") from error


def is_compressed(head: bytes) -> bool:
    """Whether a file's first bytes are those of a compressed stream that :func:`open_source` decompresses."""
    return _decoder_for(head[:4]) is not None


def map_bytes(file: IO[bytes], notes: tuple[str, ...] = ()) -> tuple[np.ndarray, tuple[str, ...], mmap.mmap]:
    """Map a file read-only; return its bytes (n_bytes,) uint8, the notes, and the map. It outlives the file object."""
    mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(mapping, np.uint8), notes, mapping


def word_swapped(source: Source) -> Source:
    """Return the source with the bytes of every 32-bit word reversed (big-endian ORCA); stray end bytes are dropped."""
    n_words = len(source.data) // 4
    words = source.data[: 4 * n_words].view("<u4")
    with tempfile.TemporaryFile() as file:
        for start in range(0, n_words, PIECE):
            words[start : start + PIECE].byteswap().tofile(file)
        file.flush()
        return Source(source.path, *map_bytes(file, source.notes))


def _decoder_for(magic: bytes) -> Callable[[], Any] | None:
    if magic.startswith(GZIP):
        from isal import isal_zlib

        return lambda: isal_zlib.decompressobj(wbits=31)
    if magic.startswith(BZIP2):
        return bz2.BZ2Decompressor
    if magic == ZSTD:
        import zstandard

        return lambda: zstandard.ZstdDecompressor().decompressobj()
    return None


def _decompressed(path: Path, file: IO[bytes], new_decoder: Callable[[], Any]) -> Source:
    with tempfile.TemporaryFile() as out:
        problem = _inflate(file, out, new_decoder)
        out.flush()
        if out.tell() == 0:
            raise DecodeError(f"{path}: nothing can be decompressed: {problem or 'the compressed stream is empty'}")
        notes = (f"compressed stream damaged, decoded up to byte {out.tell()} of its content: {problem}",)
        return Source(path, *map_bytes(out, notes if problem else ()))


def _inflate(file: IO[bytes], out: IO[bytes], new_decoder: Callable[[], Any]) -> str:
    """Decompress all members of a stream; return what stopped it early, or an empty string."""
    decoder, fed = new_decoder(), False
    while piece := file.read(PIECE):
        while piece:
            if decoder.eof:  # another compressed member follows
                decoder, fed = new_decoder(), False
            try:
                out.write(decoder.decompress(piece))
            except _decompression_errors() as error:
                return str(error) or type(error).__name__
            fed, piece = True, decoder.unused_data
    return "" if decoder.eof or not fed else "the file ends inside a compressed block"


def _decompression_errors() -> tuple[Any, ...]:
    import zlib

    import zstandard
    from isal import isal_zlib

    return (zlib.error, isal_zlib.error, zstandard.ZstdError, OSError, EOFError, ValueError)
