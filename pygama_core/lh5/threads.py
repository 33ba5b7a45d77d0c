"""Threads that share out many small pieces of work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pygama_core.errors import LH5Error

T = TypeVar("T")


class Threads:
    """The calling thread and helpers, which are started when first needed.

    Parameters
    ----------
    n_threads
        how many work, with the calling one
    """

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads
        self._pools: list[ThreadPoolExecutor] = []

    def each(self, function: Callable[[T], object], tasks: Sequence[T]) -> None:
        """Call a function for each task; raise the LH5Error of the first task that has one, when all are done."""
        waiting = iter(list(enumerate(tasks)))  # the next of a list is taken by one thread only
        failed: list[tuple[int, LH5Error]] = []

        def work() -> None:
            for index, task in waiting:
                try:
                    function(task)
                except LH5Error as error:
                    failed.append((index, error))

        n_helpers = min(self.n_threads, len(tasks)) - 1
        helpers = [self._pool().submit(work) for _ in range(n_helpers)]
        try:
            work()
        finally:
            for helper in helpers:
                helper.result()  # they write into arrays of the caller
        if failed:
            raise min(failed, key=lambda item: item[0])[1]

    def _pool(self) -> ThreadPoolExecutor:
        if not self._pools:
            self._pools.append(ThreadPoolExecutor(self.n_threads - 1))
        return self._pools[0]

    def close(self) -> None:
        """Stop the helpers."""
        for pool in self._pools:
            pool.shutdown()
