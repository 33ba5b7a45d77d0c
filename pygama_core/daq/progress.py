"""A progress bar with rate on terminals; nothing elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TextIO

REFRESH_RATE = 4  # [1/s]


@contextlib.contextmanager
def progress_bar(
    title: str, total: int | None, stream: TextIO | None = None, *, is_forced: bool = False
) -> Iterator[Callable[[int], None] | None]:
    """Show how much is done while the block runs.

    Parameters
    ----------
    title : what is being done
    total : bytes to do; None if that is not known, as for a growing file
    stream : where to draw, default standard error
    is_forced : draw even if that is no terminal

    Yields
    ------
    function to call with the bytes done so far; None if nothing is drawn
    """
    stream = sys.stderr if stream is None else stream
    if not (stream.isatty() or is_forced):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.table import Column

    name = TextColumn("{task.description}", table_column=Column(no_wrap=True, max_width=40))
    columns = (name, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    console = Console(file=stream, force_terminal=True)
    with Progress(*columns, console=console, transient=True, refresh_per_second=REFRESH_RATE) as bar:
        task = bar.add_task(title, total=total)
        # a block's size is about that of the bytes it was made of
        yield lambda done: bar.update(task, completed=done if total is None else min(done, total))
