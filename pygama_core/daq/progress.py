"""A progress bar with rate on terminals; nothing elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TextIO


@contextlib.contextmanager
def progress_bar(title: str, total: int | None, stream: TextIO | None = None) -> Iterator[Callable[[int], None] | None]:
    """Show how much is done while the block runs.

    Parameters
    ----------
    title : what is being done
    total : bytes to do; None if that is not known, as for a growing file
    stream : where to draw, default standard error

    Yields
    ------
    function to call with the bytes done so far; None if ``stream`` is no terminal
    """
    stream = sys.stderr if stream is None else stream
    if not stream.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(file=stream), transient=True) as bar:
        task = bar.add_task(title, total=total)
        # a block's size is about that of the bytes it was made of
        yield lambda done: bar.update(task, completed=done if total is None else min(done, total))
