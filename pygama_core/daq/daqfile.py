"""What every decoder gives: a DAQ file is an iterator of blocks, a block the new rows of one output table."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

from pygama_core.daq import sniff
from pygama_core.daq.selection import EndOfRange, Selection, packet_ids
from pygama_core.daq.source import Source, open_source
from pygama_core.daq.summary import DaqSummary, Tally
from pygama_core.errors import ConfigError, DecodeError
from pygama_core.lh5.types import Array, Scalar, Struct, Table

BLOCK_BYTES = 32 << 20  # beyond, the allocator gives memory back each time, and fresh pages cost as much as copying
CHANNELS_PER_BLOCK = 32  # with more, pieces are up to 4 blocks long: each table has a cost in each piece
RELEASE_BYTES = 256 << 20  # decoded between two releases of the mapped file

Key: TypeAlias = int | str


@dataclass(frozen=True, eq=False)
class Block:
    """Rows of one output table, in file order.

    Parameters
    ----------
    decoder : name of the record type, e.g. "FCEvent"
    key : channel number (rawid) of digitised data; a path such as "fcid_1/status/card0" of everything else
    table : the rows; a Struct or Scalar for what occurs once, such as a configuration
    """

    decoder: str
    key: Key
    table: Table | Struct | Scalar


class DaqFile(abc.ABC):
    """An opened DAQ file. Iterate :meth:`blocks` once; :attr:`summary` is complete after that."""

    format_name: str

    def __init__(self, source: Source) -> None:
        self.source = source
        self._tally = Tally()
        self._done = False
        self._started = False
        for note in source.notes:
            self._tally.damaged_container(note)

    @property
    def summary(self) -> DaqSummary:
        """Account of the file; raise DecodeError if the blocks have not all been read."""
        if not self._done:
            raise DecodeError(f"{self.source.path}: summary is complete only after blocks() was iterated to its end")
        return self._tally.freeze(self.source.path.name, self.format_name, len(self.source.data))

    def blocks(
        self,
        max_bytes: int | None = None,
        max_events: int | None = None,
        selection: Selection | None = None,
    ) -> Iterator[Block]:
        """Decode the file.

        Parameters
        ----------
        max_bytes : input decoded at a time [bytes]; bounds the memory used to about three times as much; None takes
            32 to 128 MB as there are channels
        max_events : stop after this many event records (ORCA: packets of waveforms or FCIO records); None reads all
        selection : channels and range of records to keep; reading stops behind the range

        Raises
        ------
        DecodeError : if nothing can be decoded; damage inside the file is skipped and counted in the summary
        """
        if self._started:
            raise DecodeError(f"{self.source.path}: blocks() can be iterated once; open the file again")
        self._started = True
        chosen = selection or Selection()
        end = EndOfRange(chosen)
        n_bytes = 0
        for block in self._decode(max_bytes, max_events):
            if end.is_reached(block):
                self._tally.note(f"reading stopped behind record {chosen.last}, as asked for")
                break
            if (kept := chosen.apply(block)) is not None:
                self._account(kept)
                yield kept
            n_bytes += _memory(block)
            if n_bytes >= RELEASE_BYTES:
                self.source.release()
                n_bytes = 0
        self._done = True

    def _account(self, block: Block) -> None:
        """Count the rows of a block."""
        if isinstance(block.table, Table):
            key = str(block.key)
            self._tally.rows[key] = self._tally.rows.get(key, 0) + block.table.n_rows
            ids = packet_ids(block)
            if ids is not None and len(ids):
                self._tally.saw_packets(int(ids.min()), int(ids.max()))

    @abc.abstractmethod
    def _decode(self, max_bytes: int | None, max_events: int | None) -> Iterator[Block]:
        """Yield the blocks and fill the tally."""


def piece_bytes(max_bytes: int | None, n_channels: int = 1) -> int:
    """Return how much of a file to decode at a time [bytes], unless it is told."""
    return max_bytes or BLOCK_BYTES * min(max(n_channels // CHANNELS_PER_BLOCK, 1), 4)


def _memory(block: Block) -> int:
    """Return about how many bytes of the file a block is made of: those of its waveforms."""
    waveform = block.table.columns.get("waveform") if isinstance(block.table, Table) else None
    values = waveform.columns.get("values") if isinstance(waveform, Table) else None
    return values.values.nbytes if isinstance(values, Array) else 0


@dataclass(frozen=True)
class Format:
    """A DAQ format: how its content is recognised, and which class decodes it.

    Parameters
    ----------
    name : as shown to the user, and accepted from him
    sniff : whether the first bytes of a file are of this format
    module, reader : where the class of its files is; imported when a file is opened
    options : what may be told about a file besides its path, by name
    """

    name: str
    sniff: Callable[[bytes], bool]
    module: str
    reader: str
    options: tuple[str, ...] = ()

    def open(self, source: Source, **options: Any) -> DaqFile:
        """Open a source; raise ConfigError for an option that the format does not have."""
        if unknown := sorted(set(options) - set(self.options)):
            known = f"it has {', '.join(self.options)}" if self.options else "it has none"
            raise ConfigError(f"{source.path}: option {unknown[0]!r} is not one of format {self.name}; {known}")
        daq: DaqFile = getattr(import_module(self.module), self.reader)(source, **options)
        return daq


# CoMPASS last: files without its header word are told by its decoder
_FORMATS = (
    Format("fcio", sniff.is_fcio, "pygama_core.daq.fcio.reader", "FcioFile"),
    Format("llama", sniff.is_llama, "pygama_core.daq.llama.reader", "LlamaFile", ("time_zone",)),
    Format("orca", sniff.is_orca, "pygama_core.daq.orca.reader", "OrcaFile"),
    Format("compass", sniff.is_compass, "pygama_core.daq.compass.reader", "CompassFile", ("settings", "layout")),
)


def known_formats() -> dict[str, Format]:
    """Return all formats by name, in the order in which they are looked for."""
    return {known.name: known for known in _FORMATS}


def open_daq(path: Path | str, format: str | None = None, **options: Any) -> DaqFile:
    """Open a DAQ file, compressed or not.

    Parameters
    ----------
    path : the file
    format : name of the format; None finds it from the content
    options : what the format's class takes: CoMPASS ``settings`` (file), ``layout``; llamaDAQ ``time_zone``

    Raises
    ------
    DecodeError : if the file is empty or unreadable, or the format is unknown
    ConfigError : if the format does not have an option
    """
    formats = known_formats()
    names = ", ".join(sorted(formats))
    if format is not None and format not in formats:
        raise DecodeError(f"{path}: unknown DAQ format {format!r}; known formats: {names}")
    source = open_source(Path(path))
    if format is not None:
        return formats[format].open(source, **options)
    for candidate in formats.values():
        if candidate.sniff(source.head):
            return candidate.open(source, **options)
    found = source.head[:16].hex(" ")
    raise DecodeError(f"{path}: the content is none of the known formats ({names}); it starts with the bytes {found}")
