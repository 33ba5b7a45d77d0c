"""daq -> raw: decode a DAQ file into LH5 tables, one for each channel or as an output specification says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygama_core.configfile import read_mapping
from pygama_core.daq.ahead import block_bytes, read_ahead
from pygama_core.daq.daqfile import Block, DaqFile, open_daq
from pygama_core.daq.routing import Router, SpecRouter
from pygama_core.daq.routing_spec import OutputSpec, parse_output_spec
from pygama_core.daq.selection import Selection
from pygama_core.daq.summary import DaqSummary
from pygama_core.errors import ConfigError
from pygama_core.provenance import provenance_struct
from pygama_core.tiers.raw_output import AnyRouter, RawOutput

if TYPE_CHECKING:
    from pygama_core.daq.follow import Follow


@dataclass(frozen=True, eq=False)
class RawOptions:
    """What is read and where it goes.

    Parameters
    ----------
    out_spec : output specification, its file, or None for one table for each channel
    keywords : values of further ``{...}`` in it; ``raw_file`` and ``filekey`` are the raw file's path
    selection : channels and records to keep
    follow : read a file that still grows; None reads what there is
    progress : called with the bytes decoded so far, about, after every block
    reader : what else is told about the file, see :func:`pygama_core.daq.daqfile.open_daq`
    codec : for the samples of waveforms: "auto", or the name of a codec of :mod:`pygama_core.lh5.codecs`; None stores
        them deflated
    """

    out_spec: Mapping[str, Any] | Path | str | None = None
    keywords: Mapping[str, str] = field(default_factory=dict)
    selection: Selection = field(default_factory=Selection)
    follow: Follow | None = None
    progress: Callable[[int], None] | None = None
    reader: Mapping[str, Any] = field(default_factory=dict)
    codec: str | None = None


def daq_to_raw(
    daq_file: Path,
    raw_file: Path,
    *,
    format: str | None = None,
    names: Mapping[int, str] | None = None,
    n_max: int | None = None,
    options: RawOptions | None = None,
) -> DaqSummary:
    """Decode a DAQ file and write its raw file (or files), which appear whole or not at all.

    Damage inside the file is skipped and counted; the account is returned and stored as ``daq_summary``.

    Parameters
    ----------
    daq_file : DAQ file of any known format, possibly compressed
    raw_file : LH5 file to write
    format : name of the DAQ format; None finds it from the content
    names : detector names by rawid, for aliases ``raw/<name>``
    n_max : stop after this many event records
    options : what is read and where it goes; None reads all into the one file

    Raises
    ------
    DecodeError : if the file is empty, of no known format, or without the configuration its records need
    ConfigError : if the output specification is malformed or lists a key that the file does not have
    """
    chosen = options or RawOptions()
    config = _load(chosen.out_spec)
    spec = None if config is None else _parse(config, Path(raw_file), chosen.keywords)
    daq = _open(Path(daq_file), format, chosen)
    router: AnyRouter = Router(names or {}) if spec is None else SpecRouter(spec, daq.format_name, names or {})
    with RawOutput(Path(raw_file), router, chosen.codec) as out:
        for block in _blocks(daq, n_max, chosen):
            out.add(block)
        out.finish()
        remarks = _check_keys(daq, router, n_max, chosen.selection)
        summary = replace(
            daq.summary,
            rows_not_written=dict(sorted(out.left_out.items())),
            warnings=(*(spec.warnings if spec else ()), *out.warnings, *remarks),
        )
        out.write_everywhere("daq_summary", summary.to_struct())
        settings: dict[str, Any] = {"format": format, "names": dict(names or {}), "n_max": n_max, "out_spec": config}
        settings |= {"keywords": dict(chosen.keywords), "selection": _plain(chosen.selection)}
        settings["codec"] = chosen.codec
        settings["reader"] = {name: str(value) for name, value in chosen.reader.items()}
        out.write_everywhere("provenance", provenance_struct("daq_to_raw", [Path(daq_file)], settings))
    return summary


def _load(out_spec: Mapping[str, Any] | Path | str | None) -> Mapping[str, Any] | None:
    return read_mapping(Path(out_spec)) if isinstance(out_spec, Path | str) else out_spec


def _parse(config: Mapping[str, Any], raw_file: Path, keywords: Mapping[str, str]) -> OutputSpec:
    return parse_output_spec(config, {"raw_file": str(raw_file), "filekey": str(raw_file), **keywords})


def _plain(selection: Selection) -> list[Any]:
    channels = None if selection.channels is None else sorted(selection.channels)
    return [channels, selection.first, selection.last]


def _open(daq_file: Path, format: str | None, options: RawOptions) -> DaqFile:
    if options.follow is None:
        return open_daq(daq_file, format, **options.reader)
    from pygama_core.daq.follow import follow_daq

    return follow_daq(daq_file, options.follow, format, **options.reader)


def _blocks(daq: DaqFile, n_max: int | None, options: RawOptions) -> Iterator[Block]:
    """Yield the blocks, decoded ahead of their writing, and tell how far the reading has come."""
    blocks = daq.blocks(max_events=n_max, selection=options.selection)
    n_bytes = 0
    for block in read_ahead(blocks) if options.follow is None else blocks:
        yield block
        n_bytes += block_bytes(block)
        if options.progress is not None:
            options.progress(n_bytes)


def _check_keys(daq: DaqFile, router: AnyRouter, n_max: int | None, selection: Selection) -> list[str]:
    """Raise ConfigError for keys that are asked for and not in the file; return them if only a part was read."""
    is_part = n_max is not None or selection.first is not None or selection.last is not None
    missing = []
    if selection.channels is not None:
        found = {int(key) for key in daq.summary.rows if key.isdecimal()}
        missing = [
            f"channel {key} is selected and not in {daq.source.path.name}; selected and found: "
            f"{', '.join(map(str, sorted(found))) or 'none'}"
            for key in sorted(selection.channels - found)
        ]
    unmatched = router.unmatched()
    if selection.channels is None:
        missing, unmatched = [*missing, *unmatched], []
    if missing and not is_part:
        raise ConfigError("\n".join(missing))
    return [*missing, *unmatched]
