"""What a command of ``pygama-core`` is made of, and what the commands share. Imports nothing heavy."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pygama_core.channelmap import ChannelMap


@dataclass(frozen=True)
class Argument:
    """One argument of a command, as argparse takes it."""

    names: tuple[str, ...]
    options: dict[str, Any]


@dataclass(frozen=True)
class Command:
    """One command: its help is the first line of the function's docstring."""

    run: Callable[[argparse.Namespace], None]
    arguments: tuple[Argument, ...]


COMMANDS: dict[str, Command] = {}


def argument(*names: str, **options: Any) -> Argument:
    """Declare an argument."""
    return Argument(names, options)


def command(*arguments: Argument) -> Callable[[Callable[[argparse.Namespace], None]], Any]:
    """Register a function as the command of its name."""

    def register(function: Callable[[argparse.Namespace], None]) -> Callable[[argparse.Namespace], None]:
        COMMANDS[function.__name__.replace("_", "-")] = Command(function, arguments)
        return function

    return register


CHANNELMAP = argument("--channelmap", type=Path, metavar="FILE", help="detector name -> rawid and system")


def say(lines: Iterable[str]) -> None:
    """Print lines."""
    for line in lines:
        print(line, flush=True)


def warn(warnings: Iterable[str]) -> None:
    """Print warnings of the form "subject: text"; one line for all subjects of the same text."""
    subjects: dict[str, list[str]] = {}
    for warning in warnings:
        subject, _, text = warning.partition(": ")
        subjects.setdefault(text, []).append(subject)
    for text, named in subjects.items():
        counted = f" ({len(named)})" if len(named) > 1 else ""
        print(f"warning: {', '.join(named)}{counted}: {text}", file=sys.stderr, flush=True)


def channelmap(args: argparse.Namespace) -> ChannelMap:
    """Return the channel map that ``--channelmap`` names; an empty one without it."""
    from pygama_core.channelmap import ChannelMap

    return ChannelMap.read(args.channelmap)
