"""Records of FlashCam's software trigger (FSP) to tables: its settings, its decision on each event, its status."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pygama_core.daq.columns import Column, Record
from pygama_core.daq.daqfile import Block
from pygama_core.daq.fcio import constants as fr
from pygama_core.daq.fcio.config import FcioConfig
from pygama_core.daq.fcio.index import Index
from pygama_core.daq.gather import padded_rows_of, ragged_of

WRITE_FLAGS = np.dtype(
    [
        *((name, "u1") for name in ("consecutive", "extended")),
        ("spare", "u1", 6),
        *((name, "u1") for name in ("hwm_multiplicity", "hwm_prescaled", "wps_sum")),
        *((name, "u1") for name in ("wps_coincident_sum", "wps_prescaled", "ct_multiplicity")),
        ("spare2", "u1", 2),
        ("write", "<u4"),
        ("spare3", "<u4"),
    ]
)
HWM = np.dtype([("hw_multiplicity", "<i4"), ("max", "<u2"), ("min", "<u2"), ("sw_multiplicity", "<i4")])
WPS = np.dtype(
    [("sum", "<f4"), ("offset", "<i4"), ("multiplicity", "<i4"), ("max_peak", "<f4"), ("max_peak_offset", "<i4")]
)
PACKET_ID = Column("packet_id", "<u4", "number of the record (ORCA: packet) in the file")
EVENT = Record(
    "FSPEvent",
    (
        PACKET_ID,
        Column("is_written", "?", "event was kept"),
        Column("is_extended", "?", "event lies in the window of a reference flag"),
        Column("is_consecutive", "?", "event follows the one before without a gap"),
        Column("is_hwm_prescaled", "?", "kept by the prescaler of the hardware multiplicity"),
        Column("is_hwm_multiplicity", "?", "hardware multiplicity reached its threshold"),
        Column("is_wps_sum", "?", "windowed peak sum reached its threshold"),
        Column("is_wps_coincident_sum", "?", "windowed peak sum in coincidence reached its threshold"),
        Column("is_wps_prescaled", "?", "kept by the prescaler of the windowed peak sum"),
        Column("is_ct_multiplicity", "?", "a channel threshold was reached"),
        Column("obs_wps_sum_value", "<f4", "largest windowed peak sum"),
        Column("obs_wps_sum_offset", "<i4", "sample of the largest sum"),
        Column("obs_wps_sum_multiplicity", "<i4", "channels in the sum"),
        Column("obs_wps_max_peak_value", "<f4", "largest single peak"),
        Column("obs_wps_max_peak_offset", "<i4", "sample of the largest peak"),
        Column("obs_hwm_hw_multiplicity", "<i4", "channels over the threshold of the FPGA"),
        Column("obs_hwm_sw_multiplicity", "<i4", "channels over the threshold of the software"),
        Column("obs_hwm_max_value", "<u2", "largest FPGA energy", "ADC"),
        Column("obs_hwm_min_value", "<u2", "smallest FPGA energy", "ADC"),
        Column("obs_ct_multiplicity", "<i4", "channels over their own threshold"),
        Column("obs_ct_trace_idx", "<i4", "traces over their own threshold", ragged=True),
        Column("obs_ct_max", "<u2", "their largest samples", "ADC", ragged=True),
        Column("obs_ps_hwm_prescaled_trace_idx", "<u2", "traces that were kept by the prescaler", ragged=True),
        Column("obs_evt_nconsecutive", "<i4", "events in an uninterrupted sequence"),
    ),
)
STATUS_FIELDS = (  # name, dtype, doc, unit: the frame's layout
    ("start_time", "<f8", "start of processing", "s"),
    ("log_time", "<f8", "time of this record", "s"),
    ("dt_logtime", "<f8", "time since the last record", "s"),
    ("runtime", "<f8", "time since the start of processing", "s"),
    ("n_read_events", "<i4", "events read", ""),
    ("n_written_events", "<i4", "events kept", ""),
    ("n_discarded_events", "<i4", "events dropped", ""),
    ("dt_n_read_events", "<i4", "events read since the last record", ""),
    ("dt_n_written_events", "<i4", "events kept since the last record", ""),
    ("dt_n_discarded_events", "<i4", "events dropped since the last record", ""),
    ("dt", "<f8", "time since the last record", "s"),
    ("dt_rate_read_events", "<f8", "rate of events read since the last record", "Hz"),
    ("dt_rate_write_events", "<f8", "rate of events kept since the last record", "Hz"),
    ("dt_rate_discard_events", "<f8", "rate of events dropped since the last record", "Hz"),
    ("avg_rate_read_events", "<f8", "rate of events read", "Hz"),
    ("avg_rate_write_events", "<f8", "rate of events kept", "Hz"),
    ("avg_rate_discard_events", "<f8", "rate of events dropped", "Hz"),
)
STATUS = Record("FSPStatus", (PACKET_ID, *(Column(name, dtype, doc, unit) for name, dtype, doc, unit in STATUS_FIELDS)))
STATUS_FRAME = np.dtype([(name, dtype) for name, dtype, _, _ in STATUS_FIELDS])


def fsp_blocks(index: Index, config: FcioConfig) -> Iterator[Block]:
    """Yield the tables of the software trigger's decisions on events, on headers, and its status."""
    key = f"swtid_{config.fcid}"
    rows = index.select(fr.FSP_EVENT)
    tags = index.records[:, fr.TAG]
    following = tags[np.minimum(rows + 1, len(tags) - 1)]
    is_header = following == fr.EVENT_HEADER
    for name, chosen in (("event", rows[~is_header]), ("evt_hdr", rows[is_header])):
        if len(chosen):
            yield Block(EVENT.name, f"{key}/{name}", EVENT.table(_event_columns(index, chosen)))
    rows = index.select(fr.FSP_STATUS)
    if len(rows):
        values = padded_rows_of(index.data, *index.frame(rows, 0), STATUS_FRAME)
        columns = {name: values[name] for name in STATUS_FRAME.names or ()}
        yield Block(STATUS.name, f"{key}/status", STATUS.table({"packet_id": index.packet_ids[rows], **columns}))


def _event_columns(index: Index, rows: np.ndarray) -> dict[str, Any]:
    data = index.data
    flags = padded_rows_of(data, *index.frame(rows, 0), WRITE_FLAGS)
    hwm = padded_rows_of(data, *index.frame(rows, 3), HWM)
    wps = padded_rows_of(data, *index.frame(rows, 4), WPS)
    trace_offsets, trace_sizes = index.frame(rows, 5)
    return {
        "packet_id": index.packet_ids[rows],
        "is_written": flags["write"] != 0,
        "is_extended": flags["extended"] != 0,
        "is_consecutive": flags["consecutive"] != 0,
        "is_hwm_prescaled": flags["hwm_prescaled"] != 0,
        "is_hwm_multiplicity": flags["hwm_multiplicity"] != 0,
        "is_wps_sum": flags["wps_sum"] != 0,
        "is_wps_coincident_sum": flags["wps_coincident_sum"] != 0,
        "is_wps_prescaled": flags["wps_prescaled"] != 0,
        "is_ct_multiplicity": flags["ct_multiplicity"] != 0,
        "obs_wps_sum_value": wps["sum"],
        "obs_wps_sum_offset": wps["offset"],
        "obs_wps_sum_multiplicity": wps["multiplicity"],
        "obs_wps_max_peak_value": wps["max_peak"],
        "obs_wps_max_peak_offset": wps["max_peak_offset"],
        "obs_hwm_hw_multiplicity": hwm["hw_multiplicity"],
        "obs_hwm_sw_multiplicity": hwm["sw_multiplicity"],
        "obs_hwm_max_value": hwm["max"],
        "obs_hwm_min_value": hwm["min"],
        "obs_ct_multiplicity": trace_sizes // 4,
        "obs_ct_trace_idx": ragged_of(data, trace_offsets, trace_sizes, "<i4"),
        "obs_ct_max": ragged_of(data, *index.frame(rows, 6), "<u2"),
        "obs_ps_hwm_prescaled_trace_idx": _prescaled(index, rows),
        "obs_evt_nconsecutive": padded_rows_of(data, *index.frame(rows, 2), "<i4"),
    }


def _prescaled(index: Index, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the prescaled traces, ragged; written as 32-bit numbers until June 2025, as 16-bit ones since.

    Indices ascend, so a list of 16-bit ones has no zero but the first; 32-bit ones have one in every other place.
    """
    offsets, sizes = index.frame(rows, 10)
    flat, ends = ragged_of(index.data, offsets, sizes, "<u2")
    lists = []
    for start, end in zip(np.concatenate([[0], ends[:-1]]), ends, strict=True):
        one = flat[start:end]
        lists.append(one[::2] if len(one) > 1 and len(one) % 2 == 0 and not one[1::2].any() else one)
    return np.concatenate(lists), np.cumsum([len(one) for one in lists])
