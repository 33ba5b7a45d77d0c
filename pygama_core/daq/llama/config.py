"""The header of a llamaDAQ file: versions, and the configuration of every channel."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from pygama_core.daq.llama import events as ev
from pygama_core.daq.sniff import LLAMA_VERSIONS
from pygama_core.errors import DecodeError
from pygama_core.lh5.types import LH5Object, Scalar, Struct

FILE_HEADER = np.dtype([("magic", "S4"), ("patch", "<u2"), ("minor", "<u2"), ("major", "<u2"), ("length_econf", "<u2")])
N_HEADER_BYTES = 16
MAX_CHANNELS = 4096  # channel ids have 12 bits
IS_OPEN = 2
VERSION_2_WORDS = (
    *("adc_offset", "sample_freq", "gain", "format_bits", "sample_start_index", "sample_pretrigger"),
    *("avg_sample_pretrigger", "avg_mode", "sample_length", "avg_sample_length", "maw_buffer_length", "event_length"),
    *("event_header_length", "accum6_offset", "accum2_offset", "maw3_offset", "energy_offset"),
)
VERSION_1_WORDS = (
    *("adc_offset", "sample_freq", "gain", "format_bits", "sample_length", "maw_buffer_length", "event_length"),
    *("event_header_length", "accum6_offset", "accum2_offset", "maw3_offset", "sample_offset"),
)


def config_dtype(version: int) -> np.dtype:
    """Return the layout of a channel configuration: 68 bytes in version 1, 88 in version 2."""
    names = ("fadc_index", "channel", "flags", *(VERSION_1_WORDS if version == 1 else VERSION_2_WORDS))
    return np.dtype([(name, "<f8" if name in ("sample_freq", "gain") else "<u4") for name in names])


@dataclass(frozen=True, eq=False)
class Channel:
    """Configuration of a channel: its id, (FADC << 4) + channel, and the words of the file by name."""

    number: int
    values: dict[str, int | float]

    def __getitem__(self, name: str) -> int:
        return int(self.values.get(name, 0))

    @property
    def dt(self) -> float:
        """Sampling period [ns]."""
        return 1000 / self.values["sample_freq"]

    @property
    def averaged_dt(self) -> float:
        """Time between averaged samples [ns]."""
        return self.dt * float(2 ** (self["avg_mode"] + 1))

    @property
    def t0(self) -> float:
        """Time of the first sample [ns]; the trigger is at 0."""
        return (self["sample_start_index"] - self["sample_pretrigger"]) * self.dt

    @property
    def averaged_t0(self) -> float:
        """Time of the first averaged sample [ns], but for what the event itself adds."""
        return -self["sample_pretrigger"] * self.dt - self["avg_sample_pretrigger"] * self.averaged_dt

    @property
    def n_averaged(self) -> int:
        """Averaged samples of an event."""
        return self["avg_sample_length"] if self["avg_mode"] > 0 else 0

    @property
    def n_maw(self) -> int:
        """Words of moving-average test data of an event: what is left of its length."""
        known = int(ev.header_words(self["format_bits"])) + int(self.n_averaged > 0)
        return self["event_length"] - known - self["sample_length"] // 2 - self.n_averaged // 2

    def row(self) -> tuple[int, ...]:
        """Return what the compiled pass needs, see :mod:`pygama_core.daq.llama.events`."""
        lengths = (self["event_length"], self["sample_length"] // 2, self.n_averaged // 2)
        return (self.number, self["format_bits"], *lengths)

    def problem(self) -> str:
        """Return why no event can be decoded with this configuration, or an empty text."""
        if self["channel"] > 15 or self["fadc_index"] > 255:
            return f"FADC {self['fadc_index']}, channel {self['channel']}: expected at most 255 and 15"
        if self["format_bits"] > 15:
            return f"format bits {self['format_bits']:#x}: expected 4 bits"
        if not 0 < self.values["sample_freq"] < 1e5:
            return f"sampling frequency of {self.values['sample_freq']} MHz"
        if self["avg_mode"] > 15 or self["event_length"] > ev.MAX_WORDS:
            return f"avg_mode {self['avg_mode']}, event_length {self['event_length']} words"
        return "" if self.n_maw >= 0 else f"{self['event_length']} words per event do not hold its header and samples"

    def to_struct(self) -> Struct:
        """Return the configuration as stored in the header of the raw file."""
        members: dict[str, LH5Object] = {"14_bit_flag": Scalar(np.uint32(self["flags"] & 1))}
        for name, value in self.values.items():
            if name not in ("fadc_index", "channel", "flags"):
                members[name] = Scalar(value if isinstance(value, float) else np.uint32(value))
        return Struct(members)


@dataclass(frozen=True, eq=False)
class FileHeader:
    """Everything in front of the first event, which is at byte ``size``."""

    version: int
    numbers: tuple[int, int, int]  # major, minor, patch
    econf: int  # [bytes] of a channel configuration
    channels: tuple[Channel, ...]
    size: int

    def to_struct(self, start_time: float, accuracy: float) -> Struct:
        """Return the header as stored in the raw file; ``start_time`` [s] is unix time, 0 if unknown."""
        members: dict[str, LH5Object] = {
            f"version_{name}": Scalar(np.uint16(value))
            for name, value in zip(("major", "minor", "patch"), self.numbers, strict=True)
        }
        members["length_econf"] = Scalar(np.uint16(self.econf))
        members["number_chOpen"] = Scalar(np.uint32(len(self.channels)))
        members["initial_timestamp"] = Scalar(start_time, {"units": "s"})
        members["initial_timestamp_accuracy"] = Scalar(accuracy, {"units": "s"})
        members.update({f"fch_{channel.number:02d}": channel.to_struct() for channel in self.channels})
        return Struct(members)


def read_header(data: np.ndarray, where: str) -> FileHeader:
    """Decode the header of a file.

    Raises
    ------
    DecodeError : if it is damaged: no event can be found without it
    """
    head = data[:N_HEADER_BYTES].tobytes()
    if len(head) < N_HEADER_BYTES or head[:4] not in LLAMA_VERSIONS:
        raise DecodeError(
            f"{where}: bytes 0 ... 15 are {head.hex(' ')}; expected the llamaDAQ magic number 'LArU' or 'LArI' and 12 "
            f"more bytes. The file is cut or not from llamaDAQ"
        )
    version = LLAMA_VERSIONS[head[:4]]
    fields = np.frombuffer(head[: FILE_HEADER.itemsize], FILE_HEADER)[0]
    dtype, econf, n = config_dtype(version), int(fields["length_econf"]), int.from_bytes(head[12:], "little")
    if econf != dtype.itemsize:
        raise DecodeError(
            f"{where}: channel configurations of {econf} bytes; version {version} has {dtype.itemsize}. The header is "
            f"damaged, or of a llamaDAQ version that is not known here"
        )
    size = N_HEADER_BYTES + n * econf
    if n > MAX_CHANNELS or size > len(data):
        raise DecodeError(
            f"{where}: {n} channel configurations of {econf} bytes announced, the file has {len(data)} bytes; it is "
            f"cut or damaged in its header"
        )
    rows = np.frombuffer(data[N_HEADER_BYTES:size].tobytes(), dtype)
    numbers = (int(fields["major"]), int(fields["minor"]), int(fields["patch"]))
    return FileHeader(version, numbers, econf, _channels(rows, where), size)


def _channels(rows: np.ndarray, where: str) -> tuple[Channel, ...]:
    channels: dict[int, Channel] = {}
    for row in rows:
        values = {name: row[name].item() for name in rows.dtype.names or ()}
        channel = Channel((values["fadc_index"] << 4) + values["channel"], values)
        problem = "configured twice" if channel.number in channels else channel.problem()
        if problem:
            raise DecodeError(
                f"{where}: configuration of channel {channel.number}: {problem}. The header is damaged: without it no "
                f"event can be decoded"
            )
        channels[channel.number] = channel
    return tuple(channels.values())


def start_time(file_name: str, time_zone: str) -> float:
    """Return the unix time [s] in a file name, ``YYYYMMDD-HHMMSS`` or ``YYYYMMDDTHHMMSSZ``; 0 if there is none.

    Parameters
    ----------
    file_name : a trailing Z means UTC
    time_zone : of names without Z, e.g. "Europe/Berlin"
    """
    found = re.search(r"(\d{8})[-T](\d{6})(Z?)", file_name)
    if not found:
        return 0.0
    zone = ZoneInfo("UTC" if found[3] else time_zone)
    try:
        return datetime.strptime(found[1] + found[2], "%Y%m%d%H%M%S").replace(tzinfo=zone).timestamp()
    except ValueError:
        return 0.0
