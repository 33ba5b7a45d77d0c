"""Edit a large file in place so that a crash leaves the old or the new content.

What HDF5 writes over old bytes is kept in memory; what it writes beyond the old end goes to the file at once, where
nothing refers to it yet. To commit, the changed pages are stored in a journal beside the file, which becomes valid by
one rename; then they are written into the file and the journal is removed. Whoever finds a journal completes it first
(:func:`recover`). Before the rename the file is the old one, after it the new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from pygama_core.errors import LH5Error

PAGE = 4096
MAGIC = b"LH5JRNL1"
HEADER = struct.Struct("<8sQQQ")  # magic, size of the new file, number of pages, inode of the file
RECORD = struct.Struct("<Q16s")  # page number, digest of the page's old content; the new content follows


def journal_path(path: str | os.PathLike[str]) -> Path:
    """Return the name of a file's journal."""
    path = Path(path)
    return path.with_name(f".{path.name}.journal")


class PagedFile(io.RawIOBase):
    """A file as HDF5 sees it during an edit: reads see the changes, old bytes on disk stay as they are."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._old_size = os.fstat(descriptor).st_size
        self._size = self._old_size
        self._position = 0
        self._pages: dict[int, bytearray] = {}

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position

    def truncate(self, size: int | None = None) -> int:
        self._size = self._position if size is None else size
        return self._size

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")
        start, wanted = self._position, max(0, min(len(view), self._size - self._position))
        found = os.preadv(self._descriptor, [view[:wanted]], start) if wanted else 0
        view[found:wanted] = bytes(wanted - found)  # beyond the end of the file on disk, which may be shorter
        for number in self._touched(start, wanted):
            first, last = max(number * PAGE, start), min((number + 1) * PAGE, start + wanted)
            page = self._pages[number]
            view[first - start : last - start] = page[first - number * PAGE : last - number * PAGE]
        self._position += wanted
        return wanted

    def write(self, data: memoryview) -> int:  # type: ignore[override]
        view = memoryview(data).cast("B")
        start, end = self._position, self._position + len(view)
        # a page that is partly old is kept whole, so the border is rounded up
        border = min(max(start, -(-self._old_size // PAGE) * PAGE), end)
        for number in range(start // PAGE, -(-border // PAGE)) if border > start else ():
            first, last = max(number * PAGE, start), min((number + 1) * PAGE, border)
            page = self._page(number)
            page[first - number * PAGE : last - number * PAGE] = view[first - start : last - start]
        if border < end:
            _write_all(self._descriptor, view[border - start :], border)
        self._position = end
        self._size = max(self._size, end)
        return len(view)

    def _touched(self, start: int, length: int) -> list[int]:
        n_pages = -(-(start + length) // PAGE) - start // PAGE
        if n_pages > len(self._pages):
            return [number for number in self._pages if start < (number + 1) * PAGE and number * PAGE < start + length]
        return [number for number in range(start // PAGE, start // PAGE + n_pages) if number in self._pages]

    def _page(self, number: int) -> bytearray:
        if number not in self._pages:
            self._pages[number] = bytearray(_old_page(self._descriptor, number))
        return self._pages[number]

    def commit(self, path: Path) -> None:
        """Make the changes permanent: wholly, or not at all."""
        os.fsync(self._descriptor)
        journal = journal_path(path)
        draft = journal.with_suffix(".draft")
        with open(draft, "wb") as out:
            digest = hashlib.sha256()
            for part in self._journal_parts():
                out.write(part)
                digest.update(part)
            out.write(digest.digest())
            out.flush()
            os.fsync(out.fileno())
        draft.replace(journal)
        sync_directory(path.parent)
        _apply(self._descriptor, self._final_pages(), self._size)
        journal.unlink()

    def discard(self) -> None:
        """Remove what was written beyond the old end."""
        os.ftruncate(self._descriptor, self._old_size)

    def _journal_parts(self) -> Iterator[bytes]:
        pages = self._final_pages()
        yield HEADER.pack(MAGIC, self._size, len(pages), os.fstat(self._descriptor).st_ino)
        for number, page in pages.items():
            yield RECORD.pack(number, _page_digest(_old_page(self._descriptor, number)))
            yield page

    def _final_pages(self) -> dict[int, bytes]:
        """Return the changed pages by number, with zeros beyond the end of the new file."""
        kept = [number for number in sorted(self._pages) if number * PAGE < self._size]
        return {n: bytes(self._pages[n][: self._size - n * PAGE]).ljust(PAGE, b"\0") for n in kept}


def _old_page(descriptor: int, number: int) -> bytes:
    return os.pread(descriptor, PAGE, number * PAGE).ljust(PAGE, b"\0")


def _page_digest(page: bytes) -> bytes:
    return hashlib.blake2b(page, digest_size=16).digest()


def _write_all(descriptor: int, data: memoryview | bytes, offset: int) -> None:
    view = memoryview(data)
    while len(view):
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _apply(descriptor: int, pages: dict[int, bytes], size: int) -> None:
    for number in sorted(pages):
        _write_all(descriptor, pages[number], number * PAGE)
    os.ftruncate(descriptor, size)
    os.fsync(descriptor)


def sync_directory(directory: Path) -> None:
    """Make a rename in a directory survive a power failure."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold the editor's lock of a file; yield its descriptor. Waits while another process edits the file.

    Raises
    ------
    LH5Error
        if the file is missing or may not be written
    """
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR)
        except OSError as error:
            raise LH5Error(f"{path}: cannot be edited ({error.strerror}); it must exist and be writable") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # another editor may have replaced the file while this one waited
            if os.path.exists(path) and os.path.samestat(os.fstat(descriptor), os.stat(path)):
                yield descriptor
                return
        finally:
            os.close(descriptor)


def recover(path: str | os.PathLike[str]) -> bool:
    """Complete an edit that was interrupted after its commit; return whether there was one.

    Every reader calls this before it opens a file. Without a journal it costs one look at the directory.

    Raises
    ------
    LH5Error
        if there is a journal to be applied and the file may not be written, or the journal is not of this file
    """
    path = Path(path)
    journal = journal_path(path)
    if not journal.exists():
        return False
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        if not _is_pending(path, journal):
            return False
        raise LH5Error(
            f"{path}: an edit of it was interrupted and is completed from {journal.name}, but file or directory may "
            f"not be written here; open it once where they may, for example by pygama-core lh5 ls"
        )
    with locked(path) as descriptor:
        return complete(path, descriptor)


def _is_pending(path: Path, journal: Path) -> bool:
    """Whether the file is not yet what the journal makes of it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        found = _read_journal(journal, descriptor)
        if found is None:
            return False
        pages, size = found
        is_same = all(_old_page(descriptor, number) == page for number, page in pages.items())
        return not (is_same and os.fstat(descriptor).st_size == size)
    finally:
        os.close(descriptor)


def complete(path: Path, descriptor: int) -> bool:
    """Complete an interrupted edit of a file whose lock the caller holds; return whether there was one."""
    journal = journal_path(path)
    if not journal.exists():
        return False
    found = _read_journal(journal, descriptor)
    if found is not None:
        _apply(descriptor, *found)
    journal.unlink()
    return found is not None


def _read_journal(journal: Path, descriptor: int) -> tuple[dict[int, bytes], int] | None:
    """Return (pages, size of the new file), or None if the file was replaced as a whole since."""
    content = journal.read_bytes()
    body, digest = content[:-32], content[-32:]
    if len(body) < HEADER.size or hashlib.sha256(body).digest() != digest:
        raise LH5Error(f"{journal}: journal is damaged; restore the LH5 file beside it, then remove the journal")
    _, size, n_pages, inode = HEADER.unpack_from(body)
    pages: dict[int, bytes] = {}
    for index in range(n_pages):
        at = HEADER.size + index * (RECORD.size + PAGE)
        number, old_digest = RECORD.unpack_from(body, at)
        page = body[at + RECORD.size : at + RECORD.size + PAGE]
        now = _old_page(descriptor, number)
        # an interrupted edit leaves each page old or new; anything else is another file of the same name
        if now != page and _page_digest(now) != old_digest:
            if os.fstat(descriptor).st_ino != inode:
                return None
            raise LH5Error(
                f"{journal}: the LH5 file beside it was changed by another program after an edit of it was "
                f"interrupted; restore it from a copy and remove the journal"
            )
        pages[number] = page
    return pages, size
