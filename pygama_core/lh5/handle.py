"""An open LH5 file: the descriptor for our own reads, and HDF5's handle, opened when something needs it."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

import h5py
from h5py import h5f

from pygama_core.errors import LH5Error
from pygama_core.lh5 import headers
from pygama_core.lh5.pages import HeaderFile, root_address
from pygama_core.lh5.threads import Threads


class FileHandle:
    """An open file for reading.

    Parameters
    ----------
    path
        the file
    n_threads
        threads that decode

    Raises
    ------
    LH5Error
        if the file is missing or is no HDF5 file
    """

    def __init__(self, path: Path, n_threads: int) -> None:
        self.path, self.threads = path, Threads(n_threads)
        self.descriptor = -1
        try:
            self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self.headers: HeaderFile | None = HeaderFile(self.descriptor)
            status = os.fstat(self.descriptor)
            self._opened = status.st_size, status.st_mtime_ns
            root = root_address(self.headers, status.st_size)
        except OSError as error:
            self._close_descriptor()
            if isinstance(error, FileNotFoundError):
                raise LH5Error(f"{path}: no such file") from error
            if isinstance(error, IsADirectoryError):
                raise LH5Error(f"{path}: is a directory, not a file") from error
            raise LH5Error(f"{path}: cannot be read ({error.strerror})") from error
        self.root = headers.read_object(self.headers, root) if root is not None else None
        if root is None:
            self.headers = None  # HDF5 opens it, or says what is wrong
        try:
            if self.root is None and self.hdf5.userblock_size:  # shifts all addresses; nobody writes LH5 with one
                self._close_descriptor()
        except LH5Error:
            self._close_descriptor()
            raise

    @cached_property
    def hdf5(self) -> h5py.File:
        """The file as HDF5 opens it."""
        try:
            file = h5py.File(self.path, "r", locking=False)
        except FileNotFoundError as error:
            raise LH5Error(f"{self.path}: no such file any more; it was removed while it was read") from error
        except OSError as error:
            raise LH5Error(f"{self.path}: not a readable HDF5 file ({error}); truncated, or another format") from error
        # whoever edits a file replaces it
        if self.descriptor >= 0 and not os.path.samestat(os.fstat(self.descriptor), os.stat(self.path)):
            file.close()
            raise LH5Error(f"{self.path}: was replaced while it was read; open it again")
        return file

    @cached_property
    def hdf5_name(self) -> bytes:
        """The name by which HDF5 knows the file; objects behind external links have another."""
        name: bytes = self.hdf5.id.name
        return name

    def is_here(self, oid: object) -> bool:
        """Whether an object opened by HDF5 lies in this file, so that our descriptor reads it."""
        return self.descriptor >= 0 and h5f.get_name(oid) == self.hdf5_name

    def require_unchanged(self) -> None:
        """Raise LH5Error if another program changed, in place, what was read since the file was opened.

        An edit that is being prepared only adds bytes behind the end, which does not count.
        """
        if self.descriptor < 0:
            return
        status = os.fstat(self.descriptor)
        if (status.st_size, status.st_mtime_ns) == self._opened:
            return
        if self.headers is None or "hdf5" in self.__dict__ or not self.headers.is_unchanged():
            raise LH5Error(f"{self.path}: was changed by another program while it was read; open it again")
        self._opened = status.st_size, status.st_mtime_ns

    def close(self) -> None:
        """Stop the threads and close the file."""
        self.threads.close()
        if "hdf5" in self.__dict__:
            self.hdf5.close()
        self._close_descriptor()

    def _close_descriptor(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1
