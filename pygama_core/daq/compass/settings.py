"""The settings file that CoMPASS keeps beside its data: sampling period, record length, which channels are on."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from pygama_core.daq.compass.records import N_CHANNELS
from pygama_core.errors import ConfigError
from pygama_core.lh5.types import LH5Object, Scalar, Struct

RECORD_LENGTH = "SRV_PARAM_RECLEN"  # [ns]
ENABLED = "SRV_PARAM_CH_ENABLED"

# sampling period [ns] by the digits of the model, for files that do not tell it; source: CAEN's data sheets
PERIODS = {
    **{"720": 4.0, "724": 10.0, "725": 4.0, "730": 2.0, "740": 16.0, "743": 0.3125, "751": 1.0, "780": 10.0},
    **{"781": 10.0, "790": 10.0, "2730": 2.0, "2740": 8.0, "2745": 8.0, "2751": 1.0},
}
MODEL = re.compile(r"(27\d\d)|[1568](7\d\d)")


@dataclass(frozen=True)
class Board:
    """A digitizer.

    Parameters
    ----------
    model, serial, firmware : modelName, serialNumber and dppType, e.g. "DT5730", "1463", "DPP_PSD"
    adc_bits : resolution, as written
    dt : sampling period [ns]; NaN if unknown
    n_channels : inputs
    defaults : parameters of the board and of all its channels
    channels : the parameters that a channel has of its own, by channel
    """

    model: str
    serial: str
    firmware: str
    adc_bits: str
    dt: float
    n_channels: int
    defaults: Mapping[str, str]
    channels: Mapping[int, Mapping[str, str]]

    def parameter(self, channel: int, name: str) -> str:
        """Return a channel's parameter: its own, else the board's, else an empty text."""
        return self.channels.get(channel, {}).get(name) or self.defaults.get(name, "")

    @property
    def enabled(self) -> tuple[int, ...]:
        """Channels that are on."""
        return tuple(k for k in range(self.n_channels) if self.parameter(k, ENABLED).lower() == "true")

    @property
    def n_samples(self) -> float:
        """Samples of a record; NaN if unknown."""
        return round(_number(self.defaults.get(RECORD_LENGTH)) / self.dt, 6)

    def to_struct(self) -> Struct:
        """Return the board as stored in the header of the raw file."""
        channels: dict[str, LH5Object] = {}
        for k in self.enabled:
            own = {**self.channels.get(k, {}), ENABLED: "true"}
            channels[str(k)] = Struct({name: Scalar(value) for name, value in sorted(own.items())})
        return Struct(
            {
                "modelName": Scalar(self.model),
                "serialNumber": Scalar(self.serial),
                "dppType": Scalar(self.firmware),
                "adcBitCount": Scalar(self.adc_bits),
                "sample_rate": Scalar(1 / self.dt, {"units": "1/ns", "description": "samples per ns"}),
                "wf_len": Scalar(self.n_samples),
                "pretrigger": Scalar(_number(self.defaults.get("SRV_PARAM_CH_PRETRG")), {"units": "ns"}),
                "channels": Struct(channels),
            }
        )


def read_settings(path: Path) -> tuple[Board, ...]:
    """Read a settings file.

    Raises
    ------
    ConfigError : if it cannot be read, is no XML, or describes no board
    """
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise ConfigError(f"{path}: cannot read CoMPASS settings: {error}; expected the run's settings.xml") from error
    boards = tuple(_board(element) for element in root.iter("board"))
    if not boards:
        raise ConfigError(f"{path}: no element <board> below <{root.tag}>; expected the settings.xml of a CoMPASS run")
    return boards


def settings_beside(data_file: Path) -> Path | None:
    """Return the settings file that belongs to a data file by its place.

    That is ``<name>_settings.xml`` or ``settings.xml`` in the same directory, or, as CoMPASS itself puts it, the
    ``settings.xml`` of the directory above a directory ``RAW``, ``UNFILTERED`` or ``FILTERED``.
    """
    directory = data_file.parent
    candidates = [directory / f"{data_file.name.split('.')[0]}_settings.xml", directory / "settings.xml"]
    if directory.absolute().name.upper() in ("RAW", "UNFILTERED", "FILTERED"):
        candidates.append(directory.absolute().parent / "settings.xml")
    return next((path for path in candidates if path.is_file()), None)


def _board(element: ElementTree.Element) -> Board:
    model = _text(element, "modelName")
    count = _number(_text(element, "channelCount"))
    channels = {}
    for channel in element.iter("channel"):
        index = _number(_text(channel, "index"))
        if 0 <= index < N_CHANNELS:
            channels[int(index)] = dict(_entries(channel.find("values")))
    return Board(
        model=model,
        serial=_text(element, "serialNumber"),
        firmware=_text(element, "dppType"),
        adc_bits=_text(element, "adcBitCount"),
        dt=_period(_text(element, "sampleTime"), model),
        n_channels=int(count) if 0 < count <= N_CHANNELS else max(channels, default=-1) + 1,
        defaults=dict(_entries(element.find("parameters"))),
        channels=channels,
    )


def _entries(parent: ElementTree.Element | None) -> Iterator[tuple[str, str]]:
    """Yield key and value; a board's value lies one level deeper than a channel's. No value means: the default."""
    for entry in parent.iter("entry") if parent is not None else ():
        value = entry.find("value/value")
        value = entry.find("value") if value is None else value
        if value is not None and value.text and value.text.strip():
            yield _text(entry, "key"), value.text.strip()


def _period(sample_time: str, model: str) -> float:
    """Return the sampling period [ns] from the period in ps, or from the model."""
    period = _number(sample_time) / 1000
    if period > 0:
        return period
    digits = MODEL.search(model)
    return PERIODS.get(digits[1] or digits[2], float("nan")) if digits else float("nan")


def _text(element: ElementTree.Element, name: str) -> str:
    return (element.findtext(name) or "").strip()


def _number(text: str | None) -> float:
    """Return a number, or NaN for a text that is none."""
    try:
        number = float(text or "nan")
    except ValueError:
        return float("nan")
    return number if math.isfinite(number) else float("nan")
