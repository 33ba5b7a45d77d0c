"""Run records of ORCA: start, end, sub-runs and heartbeats."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.daq.columns import Column, Record
from pygama_core.daq.daqfile import Block
from pygama_core.daq.gather import rows_of
from pygama_core.daq.orca.packets import Packets

RUN = Record(
    "ORRunDecoderForRun",
    (
        Column("subrun_number", "<u2", "number of the sub-run"),
        Column("runstartorstop", "?", "start of a run"),
        Column("quickstartrun", "?", "run was started without initialising the hardware"),
        Column("remotecontrolrun", "?", "run is controlled remotely"),
        Column("heartbeatrecord", "?", "heartbeat; run_number is the time to the next one [s]"),
        Column("endsubrunrecord", "?", "end of a sub-run"),
        Column("startsubrunrecord", "?", "start of a sub-run"),
        Column("run_number", "<i4", "number of the run"),
        Column("time", "<i4", "unix time of the record", "s"),
    ),
)
FLAGS = (
    "runstartorstop",
    "quickstartrun",
    "remotecontrolrun",
    "heartbeatrecord",
    "endsubrunrecord",
    "startsubrunrecord",
)


def run_block(data: np.ndarray, packets: Packets) -> Block:
    """Return the table of the given run records."""
    words = rows_of(data, packets.start, "<u4", 4)
    values: dict[str, Any] = {name: (words[:, 1] >> bit & 1) != 0 for bit, name in enumerate(FLAGS)}
    values["subrun_number"] = words[:, 1] >> 16
    values["run_number"] = words[:, 2].astype(np.int32)
    values["time"] = words[:, 3].astype(np.int32)
    return Block(RUN.name, "RunControl", RUN.table(values))
