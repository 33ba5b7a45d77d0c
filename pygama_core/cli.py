"""``pygama-core COMMAND``: every step of the production by hand. Nothing heavy is imported before a command runs.

Exit codes: 0 done (what was left out is listed), 1 the input or configuration is wrong, 2 the command line is wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pygama_core import __version__, cli_daq, cli_lh5
from pygama_core.cli_command import CHANNELMAP, COMMANDS, argument, command
from pygama_core.cli_command import channelmap as _channelmap
from pygama_core.cli_command import say as _say
from pygama_core.cli_command import warn as _warn
from pygama_core.errors import ConfigError, PygamaError

CONFIGS = argument(
    "--config", action="append", default=[], metavar="SYSTEM=FILE", help="configuration of a system; may be repeated"
)
PARAMETERS = argument(
    "--parameters", type=Path, nargs="*", default=[], metavar="FILE", help="parameter files, later ones win"
)
SYSTEMS = argument("--system", action="append", default=[], help="system to calibrate; may be repeated")
THREADS = argument("--threads", type=int, metavar="N", help="threads to use; default: all cores")
OUTPUT = argument("--output", type=Path, required=True, metavar="FILE", help="file to write")
SETTINGS = argument("--settings", type=Path, metavar="FILE", help="settings of the step")


def _system_configs(texts: Iterable[str]) -> dict[str, Path]:
    configs: dict[str, Path] = {}
    for text in texts:
        system, equals, path = text.partition("=")
        if not (system and equals and path):
            raise ConfigError(f"--config {text!r}: expected SYSTEM=FILE, for example geds=config/dsp/geds.yaml")
        configs[system] = Path(path)
    return configs


def _parameters(args: argparse.Namespace) -> dict[str, Any]:
    """Merge the parameter files; detectors are re-keyed to their tables."""
    if not args.parameters:
        return {}
    from pygama_core.par.database import merge_files

    return _channelmap(args).by_table(merge_files(args.parameters).merged)


@command(
    argument("raw_file", type=Path, help="raw LH5 file"),
    argument("tcm_file", type=Path, help="LH5 file to write"),
    argument("--window-ns", type=int, required=True, metavar="NS", help="longest gap between hits of an event [ns]"),
)
def build_tcm(args: argparse.Namespace) -> None:
    """Find which hits of which channels belong to one event."""
    from pygama_core.tiers.build_tcm import build_tcm

    for report in build_tcm(args.raw_file, args.tcm_file, window_ns=args.window_ns):
        _say([f"{report.name}: {report.n_events} events of {report.n_hits} hits in {report.n_channels} channels"])
        _warn(report.warnings)


@command(
    argument("raw_file", type=Path, help="raw LH5 file"),
    argument("dsp_file", type=Path, help="LH5 file to write"),
    CONFIGS,
    CHANNELMAP,
    PARAMETERS,
    THREADS,
    argument("--n-max", type=int, metavar="N", help="process the first N rows of each channel"),
)
def raw_to_dsp(args: argparse.Namespace) -> None:
    """Run the processing chain of every channel."""
    from pygama_core.tiers.raw_to_dsp import raw_to_dsp

    report = raw_to_dsp(
        args.raw_file,
        args.dsp_file,
        configs=_channelmap(args).configs(_system_configs(args.config)),
        parameters=_parameters(args),
        n_threads=args.threads,
        n_max=args.n_max,
    )
    _say([report.text()])


@command(
    argument("raw_files", type=Path, nargs="+", help="raw LH5 files of one run"),
    OUTPUT,
    argument("--chain", type=Path, required=True, metavar="FILE", help="processing chain that gives tail_slope"),
    SETTINGS,
    CHANNELMAP,
    SYSTEMS,
    THREADS,
)
def par_dsp(args: argparse.Namespace) -> None:
    """Fit the pole-zero decay constant of every channel of a run."""
    from pygama_core.tiers.par_dsp import par_dsp

    result = par_dsp(
        args.raw_files,
        args.output,
        chain=args.chain,
        settings=args.settings,
        channelmap=_channelmap(args),
        systems=args.system,
    )
    _say(f"{name}: {status}" for name, status in result.items())


@command(
    argument("dsp_files", type=Path, nargs="+", help="dsp LH5 files of one run"),
    OUTPUT,
    SETTINGS,
    CHANNELMAP,
    SYSTEMS,
    THREADS,
)
def par_hit(args: argparse.Namespace) -> None:
    """Calibrate the energy scale of every channel of a run."""
    from pygama_core.tiers.par_hit import par_hit

    result = par_hit(
        args.dsp_files,
        args.output,
        settings=args.settings,
        channelmap=_channelmap(args),
        systems=args.system,
    )
    _say(f"{name}: {status}" for name, status in result.items())


@command(
    argument("par_files", type=Path, nargs="*", help="parameter files, one for each calibration run"),
    argument("--valid-from", nargs="*", default=[], metavar="TIME", help="first cycle's timestamp of each run"),
    OUTPUT,
)
def par_validity(args: argparse.Namespace) -> None:
    """Write the catalogue that says which parameter file is valid from when."""
    from pygama_core.par.validity import ValidityCatalog

    if len(args.valid_from) != len(args.par_files):
        raise ConfigError(f"{len(args.par_files)} parameter files with {len(args.valid_from)} times; give one for each")
    directory = args.output.parent
    files = {start: [os.path.relpath(f, directory)] for start, f in zip(args.valid_from, args.par_files, strict=True)}
    ValidityCatalog.from_runs(files, directory).write(args.output)


@command(
    argument("dsp_file", type=Path, help="dsp LH5 file"),
    argument("hit_file", type=Path, help="LH5 file to write"),
    CONFIGS,
    CHANNELMAP,
    PARAMETERS,
)
def dsp_to_hit(args: argparse.Namespace) -> None:
    """Evaluate the hit operations of every channel."""
    from pygama_core.tiers.dsp_to_hit import dsp_to_hit

    report = dsp_to_hit(
        args.dsp_file,
        args.hit_file,
        configs=_channelmap(args).configs(_system_configs(args.config)),
        parameters=_parameters(args),
    )
    _say([f"{sum(report.n_rows.values())} hits in {len(report.n_rows)} channels"])
    _warn(report.warnings)


@command(
    argument("evt_file", type=Path, help="LH5 file to write"),
    argument("--tcm", type=Path, nargs="+", required=True, metavar="FILE", help="tcm files of the run's cycles"),
    argument("--dsp", type=Path, nargs="+", required=True, metavar="FILE", help="dsp files, in the same order"),
    argument("--hit", type=Path, nargs="+", required=True, metavar="FILE", help="hit files, in the same order"),
    argument("--config", type=Path, required=True, metavar="FILE", help="event configuration"),
    CHANNELMAP,
)
def hit_to_evt(args: argparse.Namespace) -> None:
    """Build the events of a run."""
    from pygama_core.tiers.hit_to_evt import hit_to_evt

    cycles = [{"tcm": t, "dsp": d, "hit": h} for t, d, h in zip(args.tcm, args.dsp, args.hit, strict=True)]
    report = hit_to_evt(cycles, args.evt_file, config=args.config, channels=_channelmap(args).groups())
    _say([str(report)])
    _warn(report.warnings)


@command(
    argument("--chain", type=Path, nargs="*", default=[], metavar="FILE", help="compile only what these chains use"),
    argument("--output", type=Path, metavar="FILE", help="file to write what was compiled to"),
)
def warm(args: argparse.Namespace) -> None:
    """Compile the numerical kernels into the cache of this machine."""
    from pygama_core.warm import compile_kernels

    lines = compile_kernels(args.chain)
    _say(lines)
    if args.output:
        args.output.write_text("\n".join(lines) + "\n")


@command(argument("--output", type=Path, default=Path("workflow/schemas/config.schema.yaml"), metavar="FILE"))
def schema(args: argparse.Namespace) -> None:
    """Write the schema of the workflow's configuration from the settings classes."""
    from pygama_core.settings import write_schema

    write_schema(args.output)


def parser() -> argparse.ArgumentParser:
    """Return the command-line parser."""
    main_parser = argparse.ArgumentParser(prog="pygama-core", description="From DAQ files to calibrated events.")
    main_parser.add_argument("--version", action="version", version=__version__)
    main_parser.add_argument("--traceback", action="store_true", help="show where in the program an error arose")
    commands = main_parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, entry in (cli_daq.COMMANDS | COMMANDS).items():
        text = (entry.run.__doc__ or "").splitlines()[0]
        sub = commands.add_parser(name, help=text, description=text)
        for declared in entry.arguments:
            sub.add_argument(*declared.names, **declared.options)
        sub.set_defaults(run=entry.run)
    cli_lh5.add_commands(commands)
    return main_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    args = parser().parse_args(arguments)
    try:
        args.run(args)
    except PygamaError as error:
        if args.traceback:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output has gone: `pygama-core lh5 ls file | head`
        sys.stderr.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
