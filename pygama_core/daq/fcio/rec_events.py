"""FCIO RecEvents to tables: pulses that were reconstructed online, without traces."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pygama_core.daq.columns import Column, Record
from pygama_core.daq.daqfile import Block
from pygama_core.daq.fcio import constants as fr
from pygama_core.daq.fcio.config import FcioConfig
from pygama_core.daq.fcio.index import Index
from pygama_core.daq.fcio.state import STAMP, EventTimes
from pygama_core.daq.gather import padded_rows_of, ragged_of

WORDS = np.dtype([("words", "<i4", fr.N_TIME_WORDS)])
REC_EVENT = Record(
    "FCRecEvent",
    (
        Column("packet_id", "<u4", "number of the record (ORCA: packet) in the file"),
        Column("event_type", "<i4", "1: common trigger and readout, 11: cards trigger independently"),
        Column("eventnumber", "<i4", "trigger counter of the (top) card"),
        Column("timestamp", "<f8", "unix time of the trigger", "s"),
        Column("ts_pps", "<i4", "seconds on the FPGA clock", "s"),
        Column("ts_ticks", "<i4", "4 ns ticks since the last full second of the FPGA clock"),
        Column("n_pulses", "<i4", "pulses of all channels"),
        Column("channel_pulses", "<i4", "pulses of each ADC channel, in the order of the trace map", ragged=True),
        Column("pulse_flags", "<i4", "flags of each pulse, channel by channel", ragged=True),
        Column("pulse_amplitude", "<f4", "amplitude of each pulse", ragged=True),
        Column("pulse_time", "<f4", "time of each pulse", ragged=True),
    ),
)


def rec_event_blocks(index: Index, config: FcioConfig) -> Iterator[Block]:
    """Yield the table of a piece's RecEvents, if there are any."""
    rows = index.select(fr.REC_EVENT)
    if not len(rows):
        return
    data = index.data
    words = np.stack([padded_rows_of(data, *index.frame(rows, k), WORDS)["words"] for k in (2, 3, 4)], 1)
    times = EventTimes(words, index.frame(rows, 4)[1])
    columns = {
        "packet_id": index.packet_ids[rows],
        "event_type": padded_rows_of(data, *index.frame(rows, 0), "<i4"),
        "eventnumber": words[:, STAMP, 0],
        "timestamp": times.unix(config.fields["gps"]),
        "ts_pps": words[:, STAMP, 1],
        "ts_ticks": words[:, STAMP, 2],
        "n_pulses": padded_rows_of(data, *index.frame(rows, 5), "<i4"),
        "channel_pulses": ragged_of(data, *index.frame(rows, 6), "<i4"),
        "pulse_flags": ragged_of(data, *index.frame(rows, 7), "<i4"),
        "pulse_amplitude": ragged_of(data, *index.frame(rows, 8), "<f4"),
        "pulse_time": ragged_of(data, *index.frame(rows, 9), "<f4"),
    }
    yield Block(REC_EVENT.name, f"fcid_{config.fcid}/rec_event", REC_EVENT.table(columns))
