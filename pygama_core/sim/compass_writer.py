"""Write CAEN CoMPASS files record by record, and the settings file that goes with them.

Layouts: version 2 begins with a header word that tells the fields of its records, version 1 does not
(``shared/formats/compass.md``). Everything is little-endian and packed.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntFlag
from xml.sax.saxutils import escape

import numpy as np

HEADER_MARK = 0xCAE0
INPUT_SIGNAL = 1  # waveform code


class Content(IntFlag):
    """Bits of the header word: what a record contains besides board, channel, time and flags."""

    NONE = 0
    ENERGY = 1
    CALIBRATED = 2
    SHORT = 4
    WAVEFORM = 8


class Flag(IntFlag):
    """Bits of a record's flags."""

    DEAD_TIME = 1 << 0
    ROLL_OVER = 1 << 1
    RESET = 1 << 2
    FAKE = 1 << 3
    TRIGGERS_LOST = 1 << 6
    SATURATED = 1 << 7
    FINE_TIME = 1 << 14
    PILE_UP = 1 << 15


@dataclass(frozen=True)
class RecordFormat:
    """Which records a file has; version 1 may have flags of 2 bytes."""

    content: Content = Content.ENERGY | Content.SHORT | Content.WAVEFORM
    version: int = 2
    flag_bytes: int = 4

    def file_header(self) -> bytes:
        """Return what precedes the first record."""
        return struct.pack("<H", HEADER_MARK | int(self.content)) if self.version == 2 else b""


@dataclass(frozen=True, eq=False)
class CompassEvent:
    """A record; ``timestamp`` [ps] since the start of the run."""

    channel: int
    timestamp: int
    samples: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint16))
    energy: int = 0
    energy_calibrated: float = 0.0
    energy_short: int = 0
    flags: int = int(Flag.FINE_TIME)
    board: int = 0
    code: int = INPUT_SIGNAL


def record(layout: RecordFormat, event: CompassEvent) -> bytes:
    """Return the bytes of one record."""
    parts = [struct.pack("<2HQ", event.board, event.channel, event.timestamp)]
    if layout.content & Content.ENERGY:
        parts.append(struct.pack("<H", event.energy))
    if layout.content & Content.CALIBRATED:
        parts.append(struct.pack("<d", event.energy_calibrated))
    if layout.content & Content.SHORT:
        parts.append(struct.pack("<H", event.energy_short))
    parts.append(struct.pack("<I" if layout.flag_bytes == 4 else "<H", event.flags))
    samples = np.asarray(event.samples, "<u2")
    if layout.version == 1:
        parts += [struct.pack("<I", len(samples)), samples.tobytes()]
    elif layout.content & Content.WAVEFORM:
        parts += [struct.pack("<BI", event.code, len(samples)), samples.tobytes()]
    return b"".join(parts)


def compass_file(layout: RecordFormat, events: Sequence[CompassEvent]) -> bytes:
    """Return a whole file."""
    return layout.file_header() + b"".join(record(layout, event) for event in events)


@dataclass(frozen=True)
class CompassBoard:
    """A digitizer in the settings file.

    Parameters
    ----------
    n_samples : of a record
    sample_time : sampling period [ps]; None leaves it out
    defaults : parameters of the board
    channels : parameters of single channels, by channel
    """

    n_samples: int
    sample_time: float | None = 2000
    model: str = "DT5730"
    serial: str = "1463"
    firmware: str = "DPP_PSD"
    n_channels: int = 8
    defaults: Mapping[str, str] = field(default_factory=dict)
    channels: Mapping[int, Mapping[str, str]] = field(default_factory=dict)

    def xml(self) -> str:
        """Return the element <board>."""
        defaults = {"SRV_PARAM_CH_ENABLED": "false", "SRV_PARAM_CH_PRETRG": "96.0", **self.defaults}
        defaults.setdefault("SRV_PARAM_RECLEN", str(self.n_samples * (self.sample_time or 0) / 1000))
        names = {"modelName": self.model, "serialNumber": self.serial, "adcBitCount": "14"}
        if self.sample_time is not None:
            names["sampleTime"] = str(self.sample_time)
        names |= {"channelCount": str(self.n_channels), "dppType": self.firmware}
        parts = [_element(name, escape(value)) for name, value in names.items()]
        parts.append(_element("parameters", "".join(_entry(k, _element("value", v)) for k, v in defaults.items())))
        for number in range(self.n_channels):
            own = "".join(_entry(key, value) for key, value in self.channels.get(number, {}).items())
            parts.append(_element("channel", _element("index", str(number)) + _element("values", own)))
        return _element("board", "".join(parts))


def settings_xml(boards: Sequence[CompassBoard]) -> bytes:
    """Return a settings file."""
    body = _element("configuration", "".join(board.xml() for board in boards))
    return f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n{body}\n'.encode()


def _element(name: str, content: str) -> str:
    return f"<{name}>{content}</{name}>"


def _entry(key: str, value: str) -> str:
    return _element("entry", _element("key", escape(key)) + _element("value", value))
