"""Bytes of an HDF5 file's metadata, read in pages that are kept: headers lie close together."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field

PAGE = 1 << 14  # [bytes]
MAX_PAGES = 1024  # kept at a time
UNDEFINED = 0xFFFFFFFFFFFFFFFF
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SUPERBLOCK_BYTES = 104


class Unusual(Exception):
    """The object is stored in a way that is left to HDF5."""


@dataclass
class HeaderFile:
    """An open file whose metadata are read; pages, texts of global heaps and member lists of groups are kept."""

    descriptor: int
    pages: dict[int, bytes] = field(default_factory=dict)
    heaps: dict[int, dict[int, bytes]] = field(default_factory=dict)

    def upto(self, n_bytes: int, address: int) -> bytes:
        """Read n_bytes, fewer where the file ends."""
        first, last = address // PAGE, (address + n_bytes - 1) // PAGE
        if last - first >= MAX_PAGES:
            raise Unusual
        start = address - first * PAGE
        if first == last:
            return self._page(first)[start : start + n_bytes]
        return b"".join(self._page(number) for number in range(first, last + 1))[start : start + n_bytes]

    def _page(self, number: int) -> bytes:
        page = self.pages.get(number)
        if page is None:
            if len(self.pages) >= MAX_PAGES:
                self.pages.clear()
            page = self.pages[number] = os.pread(self.descriptor, PAGE, number * PAGE)
        return page

    def is_unchanged(self) -> bool:
        """Whether what was read and kept is still in the file."""
        return all(os.pread(self.descriptor, len(page), number * PAGE) == page for number, page in self.pages.items())

    def pread(self, n_bytes: int, address: int) -> bytes:
        """Read exactly n_bytes; raise Unusual if the file ends before."""
        if address + n_bytes > UNDEFINED >> 1:  # no place in a file
            raise Unusual
        data = self.upto(n_bytes, address)
        if len(data) != n_bytes:
            raise Unusual
        return data


def root_address(file: HeaderFile, file_bytes: int) -> int | None:
    """Return where the root group's header lies; None if only HDF5 can tell, or the file is none of HDF5's, or cut.

    Source: HDF5 file format specification, version 3.0, II.A (superblock); only offsets and lengths of 8 bytes.
    """
    start = file.upto(_SUPERBLOCK_BYTES, 0)
    if len(start) < _SUPERBLOCK_BYTES or not start.startswith(_SIGNATURE):
        return None
    version = start[8]
    if version < 2:
        base, _, end, driver = struct.unpack_from("<4Q", start, 24 + 4 * version)
        root: int = struct.unpack_from("<Q", start, 64 + 4 * version)[0]
        is_usual = start[13:15] == b"\x08\x08" and driver == UNDEFINED
    else:
        base, _, end, root = struct.unpack_from("<4Q", start, 12)
        is_usual = start[9:11] == b"\x08\x08" and not start[11]
    return root if is_usual and not base and end <= file_bytes else None
