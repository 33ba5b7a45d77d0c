"""Files that are compressed as their name says, with the same bytes each time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

GZIP_LEVEL, BZIP2_LEVEL, ZSTD_LEVEL = 6, 9, 3


@contextlib.contextmanager
def compressed(path: Path, suffix: str) -> Iterator[BinaryIO]:
    """Open a file to write; ``suffix`` .gz, .bz2 or .zst compresses what is written, any other one does not."""
    with path.open("wb") as file, contextlib.ExitStack() as stack:
        if suffix == ".gz":
            from gzip import GzipFile

            # neither a name nor a time in its header: those would differ each time
            stream = GzipFile("", "wb", GZIP_LEVEL, file, mtime=0)
            yield cast(BinaryIO, stack.enter_context(stream))
        elif suffix == ".bz2":
            from bz2 import BZ2File

            yield cast(BinaryIO, stack.enter_context(BZ2File(file, "wb", compresslevel=BZIP2_LEVEL)))
        elif suffix == ".zst":
            from zstandard import ZstdCompressor

            writer = ZstdCompressor(level=ZSTD_LEVEL).stream_writer(file, closefd=False)
            yield cast(BinaryIO, stack.enter_context(writer))
        else:
            yield file
