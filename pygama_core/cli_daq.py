"""``pygama-core daq-to-raw`` and ``simulate``: DAQ files read and written."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygama_core.cli_command import CHANNELMAP, COMMANDS, argument, channelmap, command, say, warn
from pygama_core.errors import ConfigError, DecodeError

if TYPE_CHECKING:
    from pygama_core.channelmap import ChannelMap
    from pygama_core.tiers.daq_to_raw import RawOptions

__all__ = ["COMMANDS", "daq_to_raw", "simulate"]


@command(
    argument("daq_file", type=Path, metavar="DAQ", help="DAQ file, possibly .gz, .bz2 or .zst"),
    argument("raw_file", type=Path, metavar="RAW", help="LH5 file to write"),
    CHANNELMAP,
    argument("--format", metavar="NAME", help="fcio, orca, compass or llama; default: found from the content"),
    argument("--n-max", type=int, metavar="N", help="stop after N events"),
    argument("--out-spec", type=Path, metavar="FILE", help="output specification; default: a table for each channel"),
    argument(
        *("--keyword",),
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="value of {NAME} there; repeatable",
    ),
    argument("--channels", metavar="LIST", help="channels to keep: rawids or detector names, separated by commas"),
    argument("--packets", metavar="FIRST:LAST", help="range of record numbers to keep; either end may be left out"),
    argument("--follow", action="store_true", help="read on while the file grows, until its run ends"),
    argument("--idle", type=float, metavar="S", help="with --follow: stop when nothing came for S seconds; default 60"),
    argument("--strict", action="store_true", help="exit code 1 if anything of the file is not in the raw file"),
    argument(
        *("--progress",),
        action=argparse.BooleanOptionalAction,
        default=None,
        help="show a progress bar; default: on a terminal",
    ),
    argument("--codec", metavar="NAME", help="of waveforms: auto, or a codec's name; default: plain deflated samples"),
    argument("--compass-settings", type=Path, metavar="FILE", help="settings.xml; default: looked for beside the file"),
    argument("--compass-layout", metavar="NAME", help="layout of records without a header word; default: found"),
    argument("--llama-time-zone", metavar="ZONE", help="time zone of the start in the file's name; default UTC"),
)
def daq_to_raw(args: argparse.Namespace) -> None:
    """Decode a DAQ file to raw LH5."""
    from pygama_core.tiers.daq_to_raw import daq_to_raw

    chosen = channelmap(args)
    with _progress(args) as progress:
        summary = daq_to_raw(
            args.daq_file,
            args.raw_file,
            format=args.format,
            names=chosen.names or None,
            n_max=args.n_max,
            options=_options(args, chosen, progress),
        )
    say([str(summary)])
    warn(summary.warnings)
    if args.strict and (losses := summary.losses()):
        raise DecodeError(
            f"{args.daq_file}: {'; '.join(losses)}. {args.raw_file} holds everything else (--strict asks for all)"
        )


def _options(args: argparse.Namespace, names: ChannelMap, progress: Any) -> RawOptions:
    from pygama_core.daq.selection import Selection
    from pygama_core.tiers.daq_to_raw import RawOptions

    if args.idle is not None and not args.follow:
        raise ConfigError("--idle: only with --follow")
    follow = None
    if args.follow:
        from pygama_core.daq.follow import Follow

        follow = Follow() if args.idle is None else Follow(idle=args.idle)
    channels = None if args.channels is None else _channels(args.channels, names)
    told = {
        "settings": args.compass_settings,
        "layout": args.compass_layout,
        "time_zone": args.llama_time_zone,
    }
    return RawOptions(
        out_spec=args.out_spec,
        keywords=dict(_keyword(text) for text in args.keyword),
        selection=Selection.of(channels, args.packets),
        follow=follow,
        progress=progress,
        reader={name: value for name, value in told.items() if value is not None},
        codec=args.codec,
    )


def _channels(text: str, names: ChannelMap) -> Iterable[int]:
    """Return the rawids of a list of rawids and detector names."""
    rawids = {name: rawid for rawid, name in names.names.items()}
    for part in (part.strip() for part in text.split(",")):
        if part.isdecimal():
            yield int(part)
        elif part in rawids:
            yield rawids[part]
        else:
            raise ConfigError(f"--channels: {part!r} is neither a number nor a name of the channel map (--channelmap)")


def _keyword(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ConfigError(f"--keyword {text!r}: expected NAME=VALUE, for example run=r001")
    return name, value


def _progress(args: argparse.Namespace) -> contextlib.AbstractContextManager[Any]:
    """Return the progress bar that was asked for, or what stands for none."""
    if args.progress is False:
        return contextlib.nullcontext()
    from pygama_core.daq.progress import progress_bar
    from pygama_core.daq.source import is_compressed

    size = None
    if args.daq_file.is_file() and not args.follow:
        with args.daq_file.open("rb") as file:
            size = None if is_compressed(file.read(4)) else args.daq_file.stat().st_size
    return progress_bar(args.daq_file.name, size, is_forced=args.progress is True)


@command(
    argument("settings", type=Path, help="simulation settings"),
    CHANNELMAP,
    argument("--key", required=True, help="cycle to simulate, such as demo-p01-r001-cal-20260101T000000Z"),
    argument("--daq", type=Path, required=True, metavar="FILE", help="DAQ file to write"),
    argument("--truth", type=Path, metavar="FILE", help="LH5 file of the truth to write"),
    argument("--format", metavar="NAME", help="fcio, orca-flashcam, compass, ...; default: that of the cycle's run"),
    argument("--write-channelmap", type=Path, metavar="FILE", help="channel map with the numbers of that format"),
)
def simulate(args: argparse.Namespace) -> None:
    """Write a simulated DAQ cycle with known truth, compressed if its name ends in .gz, .bz2 or .zst."""
    from pygama_core.atomic import replacing
    from pygama_core.sim.experiment import simulate_cycle
    from pygama_core.sim.settings import load_channelmap, load_settings

    settings = load_settings(args.settings)
    channels = load_channelmap(args.channelmap)
    written = simulate_cycle(settings, channels, args.key, args.daq, args.truth, format=args.format)
    if args.write_channelmap:
        entries = [f"{c.name}: {{rawid: {c.rawid}, system: {c.system}}}\n" for c in written.values()]
        with replacing(args.write_channelmap) as partial:
            partial.write_text("".join(entries))
    say([f"{args.daq}: {args.daq.stat().st_size / 1e6:.1f} MB"])
