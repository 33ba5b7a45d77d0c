"""CoMPASS files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pygama_core.daq.columns import Column, Record, with_waveform
from pygama_core.daq.compass.layout import (
    CALIBRATED,
    ENERGY,
    HEADER_BYTES,
    LAYOUTS,
    SHORT,
    WAVEFORM,
    Layout,
    find_layout,
    fits,
    layout_of_word,
)
from pygama_core.daq.compass.records import MAX_SAMPLES, N_BOARDS, Piece, Walker
from pygama_core.daq.compass.settings import Board, read_settings, settings_beside
from pygama_core.daq.daqfile import Block, DaqFile, piece_bytes
from pygama_core.daq.fcio.events import split_by_key
from pygama_core.daq.gather import rows_of
from pygama_core.daq.sniff import compass_word
from pygama_core.daq.source import Source
from pygama_core.errors import ConfigError, DecodeError
from pygama_core.lh5.types import Array, LH5Object, Scalar, Struct, Table

EVENT = Record(
    "CompassEvent",
    (
        Column("packet_id", "<u4", "number of the record in the file, from 1"),
        Column("board", "<u4", "number of the digitizer"),
        Column("channel", "<u4", "input of the digitizer"),
        Column("timestamp", "<f8", "time since the start of the run; to the ps during the first 2.5 hours", "ps"),
        Column("timestamp_ps", "<u8", "time since the start of the run", "ps"),
        Column("energy", "<u4", "energy, long gate; 0 if not recorded", "ADC"),
        Column("energy_calibrated", "<f8", "energy in the unit of CoMPASS's calibration; NaN if not recorded"),
        Column("energy_short", "<u4", "energy, short gate; 0 if not recorded", "ADC"),
        Column("flags", "<u4", "bits as CoMPASS writes them"),
        Column("num_samples", "<i8", "samples of the waveform"),
    ),
)
HEADER = "CompassHeader"
BITS_OF_CHANNEL = 9  # of the key: board << 9 | channel
NO_SETTINGS = (
    "no settings file found: the sampling period is unknown, dt is NaN. Put the run's settings.xml beside the file or "
    "name it"
)


class CompassFile(DaqFile):
    """A file written by CAEN CoMPASS.

    Parameters
    ----------
    source : its bytes
    settings : the run's settings.xml; None looks for it beside the file
    layout : name of the records' layout (``LAYOUTS``) for files without a header word; None finds it from the content
    """

    format_name = "compass"

    def __init__(self, source: Source, settings: Path | None = None, layout: str | None = None) -> None:
        super().__init__(source)
        if layout is not None and layout not in LAYOUTS:
            raise ConfigError(f"CoMPASS: unknown layout {layout!r}; known layouts: {', '.join(LAYOUTS)}")
        self.boards = self._read_settings(settings)
        self._word = compass_word(source.head)
        self._start = HEADER_BYTES if self._word is not None else 0
        self.layout = LAYOUTS[layout] if layout else self._find_layout()
        self._widths: dict[int, int] = {}
        self._n_records = 0

    def _read_settings(self, path: Path | None) -> tuple[Board, ...]:
        if path is not None:
            return read_settings(path)
        found = settings_beside(self.source.path)
        if found is None:
            return ()
        try:
            return read_settings(found)
        except ConfigError as error:
            self._tally.note(str(error))
            return ()

    def _find_layout(self) -> Layout:
        """Return the layout that the header word declares, or that the records show."""
        data = self.source.data
        if self._word is not None:
            declared = layout_of_word(self._word)
            if fits(data, self._start, declared):
                return declared
            found = find_layout(data, self._start, LAYOUTS.values())
            if found is not None:
                self._tally.note(f"header word 0x{self._word:04X} does not fit the records, which are {found.name}")
            return found or declared
        for start in (0, HEADER_BYTES):  # no header word, or a damaged one
            found = find_layout(data, start, self._candidates())
            if found is not None:
                if start:
                    self._tally.gap(0, start, n_lost=0)
                self._start = start
                return found
        raise DecodeError(
            f"{self.source.path}: no CoMPASS header word (0xCAE0 ... 0xCAEF) at byte 0, and no known layout of records "
            f"fits what follows; name the layout, one of {', '.join(LAYOUTS)}, if this is CoMPASS data"
        )

    def _candidates(self) -> list[Layout]:
        """Return all layouts, those of the boards' firmware first."""
        firmware = {board.firmware for board in self.boards}
        is_unlikely = {
            layout.name: ("DPP_PSD" in firmware and not layout.content & SHORT)
            or ("DPP_PHA" in firmware and bool(layout.content & SHORT))
            for layout in LAYOUTS.values()
        }
        return sorted(LAYOUTS.values(), key=lambda layout: is_unlikely[layout.name])

    def _decode(self, max_bytes: int | None, max_events: int | None) -> Iterator[Block]:
        yield Block(HEADER, HEADER, self._header())
        if not self.boards and self.layout.has_waveform:
            self._tally.note(NO_SETTINGS)
        walker = Walker(self.source.data, self._start, self.layout.places)
        n_bytes, left = piece_bytes(max_bytes), max_events
        while left != 0 and (piece := walker.next(n_bytes, 1 << 62 if left is None else left)) is not None:
            left = None if left is None else left - len(piece.starts)
            for start, stop in piece.gaps.tolist():
                self._tally.gap(start, stop)
            self._tally.truncated_tail += int((piece.tails[:, 1] - piece.tails[:, 0]).sum())
            if len(piece.starts):
                yield from self._blocks(piece)
        if left == 0:
            self._tally.note(f"reading stopped after {max_events} records, as asked for")
        yield from self._empty_channels()

    def _blocks(self, piece: Piece) -> Iterator[Block]:
        """Yield the rows of every channel, for each length of waveform, the most frequent first."""
        head = rows_of(self.source.data, piece.starts, self.layout.dtype, 1)[:, 0]
        packet_id = self._n_records + 1 + np.arange(len(head))
        self._n_records += len(head)
        self._tally.count("Event", len(head))
        self._tally.saw_times(head["timestamp"][[0, -1]] * 1e-12)
        keys = (head["board"].astype(np.int64) << BITS_OF_CHANNEL) + head["channel"]
        lengths, counts = np.unique(piece.n_samples, return_counts=True)
        for n in lengths[np.argsort(-counts, kind="stable")].tolist():
            chosen = np.flatnonzero(piece.n_samples == n)
            chosen = chosen[np.argsort(keys[chosen], kind="stable")]
            table = self._table(head[chosen], packet_id[chosen], n)
            for key in np.unique(keys[chosen]).tolist():
                self._widths.setdefault(key, n)
            samples = rows_of(self.source.data, piece.starts[chosen] + self.layout.dtype.itemsize, "<u2", n)
            table = self._with_waveform(table, samples, head["board"][chosen])
            yield from split_by_key(EVENT.name, table, keys[chosen])

    def _table(self, head: np.ndarray, packet_id: np.ndarray, n_samples: int) -> Table:
        n, content = len(head), self.layout.content
        none = np.zeros(n, np.uint32)
        return EVENT.table(
            {
                "packet_id": packet_id,
                "board": head["board"],
                "channel": head["channel"],
                "timestamp": head["timestamp"],
                "timestamp_ps": head["timestamp"],
                "energy": head["energy"] if content & ENERGY else none,
                "energy_calibrated": head["energy_calibrated"] if content & CALIBRATED else np.full(n, np.nan),
                "energy_short": head["energy_short"] if content & SHORT else none,
                "flags": head["flags"],
                "num_samples": np.full(n, n_samples),
            }
        )

    def _with_waveform(self, table: Table, samples: np.ndarray, board: np.ndarray) -> Table:
        """Return the table with its waveforms, each with the sampling period of its board."""
        if not samples.shape[1]:
            return table
        periods = np.full(N_BOARDS, np.nan, np.float32)
        periods[: len(self.boards)] = [board.dt for board in self.boards[:N_BOARDS]]
        joined = with_waveform(table, samples, 0.0)
        waveform = joined.columns["waveform"]
        if isinstance(waveform, Table):
            waveform.columns["dt"] = Array(periods[board], waveform["dt"].attrs)
        return joined

    def _empty_channels(self) -> Iterator[Block]:
        """Yield the channels that are on but saw nothing, and note records of another length than announced."""
        for number, board in enumerate(self.boards[:N_BOARDS]):
            n = int(board.n_samples) if self.layout.has_waveform and 0 < board.n_samples <= MAX_SAMPLES else 0
            for channel in board.enabled:
                key = (number << BITS_OF_CHANNEL) + channel
                if key not in self._widths:
                    none = np.empty((0, n), np.uint16)
                    yield Block(EVENT.name, key, self._with_waveform(EVENT.empty(), none, np.empty(0, np.intp)))
                elif n and self._widths[key] not in (0, n):
                    self._tally.note(
                        f"channel {key}: waveforms have {self._widths[key]} samples, the settings announce {n}; do "
                        f"they belong to this file?"
                    )

    def _header(self) -> Struct:
        content = self.layout.content
        boards: dict[str, LH5Object] = {str(k): board.to_struct() for k, board in enumerate(self.boards)}
        return Struct(
            {
                "boards": Struct(boards),
                "energy_channels": Scalar(int(bool(content & ENERGY))),
                "energy_calibrated": Scalar(int(bool(content & CALIBRATED))),
                "energy_short": Scalar(int(bool(content & SHORT))),
                "waveform_samples": Scalar(int(self.layout.version == 1 or bool(content & WAVEFORM))),
                "header_present": Scalar(int(self._word is not None)),
                "layout": Scalar(self.layout.name),
            }
        )
