"""An FCIO stream's configuration: sizes and meaning of everything behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pygama_core.daq.columns import Column, Record
from pygama_core.daq.fcio.index import Index
from pygama_core.daq.gather import padded_rows_of, ragged_of
from pygama_core.lh5.types import Struct

CONFIG = Record(
    "FCConfig",
    (
        Column("packet_id", "<u4", "number of the record in the file"),
        Column("nadcs", "<i4", "ADC channels read out"),
        Column("ntriggers", "<i4", "trigger channels read out"),
        Column("nsamples", "<i4", "samples of a trace"),
        Column("blprecision", "<i4", "divisor of the baseline computed in the FPGA"),
        Column("sumlength", "<i4", "samples summed by the integrator in the FPGA"),
        Column("adcbits", "<i4", "resolution: 16 (62.5 MHz) or 12 (250 MHz)", "bit"),
        Column("mastercards", "<i4", "master cards"),
        Column("triggercards", "<i4", "trigger cards"),
        Column("adccards", "<i4", "ADC cards"),
        Column("gps", "<i4", "0: free-running clock, otherwise external pulse per second and 10 MHz"),
        Column("streamid", "<i4", "number of the stream"),
        Column("tracemap", "<u4", "card address << 16 | input of each trace", ragged=True),
    ),
)
# in the order of the record's frames
FRAME_FIELDS = (
    *("nadcs", "ntriggers", "nsamples", "blprecision", "sumlength"),
    *("adcbits", "mastercards", "triggercards", "adccards", "gps"),
)
TWELVE_BIT_DT, SIXTEEN_BIT_DT = 4.0, 16.0  # [ns]


@dataclass(frozen=True, eq=False)
class FcioConfig:
    """Configuration of a stream; ``fcid`` numbers the stream in channel keys."""

    fields: dict[str, int]
    tracemap: np.ndarray  # (n_traces,) uint32: address << 16 | input
    fcid: int
    packet_id: int

    @property
    def n_traces(self) -> int:
        return self.fields["nadcs"] + self.fields["ntriggers"]

    @property
    def n_samples(self) -> int:
        return self.fields["nsamples"]

    @property
    def sizes(self) -> np.ndarray:
        """Samples, traces and ADC channels, as the index pass wants them."""
        return np.array([self.n_samples, self.n_traces, self.fields["nadcs"]], np.int64)

    @property
    def dt(self) -> float:
        """Sampling period [ns]."""
        return TWELVE_BIT_DT if self.fields["adcbits"] == 12 else SIXTEEN_BIT_DT

    @property
    def address(self) -> np.ndarray:
        """Card address of each trace, (n_traces,) uint16."""
        return (self.tracemap >> 16).astype(np.uint16)

    @property
    def input(self) -> np.ndarray:
        """Input of the card of each trace, (n_traces,) uint16."""
        return (self.tracemap & 0xFFFF).astype(np.uint16)

    @property
    def keys(self) -> np.ndarray:
        """Channel number of each trace, (n_traces,) int64; 0 throughout without a trace map."""
        keys: np.ndarray = self.fcid * 1_000_000 + self.address.astype(np.int64) * 100 + self.input
        return keys

    def to_struct(self) -> Struct:
        """Return the configuration as an LH5 struct."""
        streamid = np.uint32(self.fields["streamid"] & 0xFFFFFFFF).astype(np.int32)
        values = {**self.fields, "streamid": streamid, "tracemap": self.tracemap, "packet_id": self.packet_id}
        return CONFIG.struct(values)


NO_SIZES = np.array([-1, -1, -1], np.int64)


def read_config(index: Index, row: int, fcid: int | None = None) -> FcioConfig:
    """Decode the Config in ``row`` of the index; fields old writers lack are 0. ``fcid`` overrides the stream id."""
    rows = np.array([row])
    fields = {name: int(_integer(index, rows, k)) for k, name in enumerate(FRAME_FIELDS)}
    n_traces = fields["nadcs"] + fields["ntriggers"]
    tracemap = np.zeros(n_traces, np.uint32)
    found, _ = ragged_of(index.data, *index.frame(rows, 10), "<u4")
    tracemap[: len(found)] = found[:n_traces]
    fields["streamid"] = int(_integer(index, rows, 11))
    number = fields["streamid"] & 0xFFFF if fcid is None else fcid
    return FcioConfig(fields, tracemap, number, int(index.packet_ids[row]))


def _integer(index: Index, rows: np.ndarray, k: int) -> np.int32:
    word: np.int32 = padded_rows_of(index.data, *index.frame(rows, k), "<i4")[0]
    return word
