"""Settings of FlashCam's software trigger (FSPConfig): 48 frames, one for each setting."""

from __future__ import annotations

import numpy as np

from pygama_core.daq.columns import Column, Record
from pygama_core.daq.daqfile import Block
from pygama_core.daq.fcio.index import Index
from pygama_core.daq.gather import ragged_of
from pygama_core.lh5.types import Struct

ENABLED_FLAGS = 7  # frame of two flag words, listed apart


def _map_columns(block: str) -> tuple[Column, ...]:
    return (
        Column(f"dsp_{block}_tracemap_format", "<i4", "channels are given as 1: index, 2: trace map value, 3: rawid"),
        Column(f"dsp_{block}_tracemap_indices", "<i4", "channels used", ragged=True),
        Column(f"dsp_{block}_tracemap_enabled", "<i4", "whether each of them is enabled", ragged=True),
        Column(f"dsp_{block}_tracemap_label", "S7", "their names", ragged=True),
    )


FRAMES: tuple[Column | None, ...] = (
    Column("trg_hwm_min_multiplicity", "<i4", "threshold of the hardware multiplicity"),
    Column("trg_hwm_prescale_ratio", "<i4", "keep one of this many below the threshold", ragged=True),
    Column("trg_wps_prescale_ratio", "<i4", "keep one of this many below the threshold"),
    Column("trg_wps_coincident_sum_threshold", "<f4", "threshold of the windowed peak sum in coincidence"),
    Column("trg_wps_sum_threshold", "<f4", "threshold of the windowed peak sum"),
    Column("trg_wps_prescale_rate", "<f4", "rate kept below the threshold", "Hz"),
    Column("trg_hwm_prescale_rate", "<f4", "rate kept below the threshold", "Hz", ragged=True),
    None,
    Column("trg_pre_trigger_window_sec", "<i8", "window before a reference flag, seconds", "s"),
    Column("trg_pre_trigger_window_nsec", "<i8", "window before a reference flag, nanoseconds", "ns"),
    Column("trg_post_trigger_window_sec", "<i8", "window after a reference flag, seconds", "s"),
    Column("trg_post_trigger_window_nsec", "<i8", "window after a reference flag, nanoseconds", "ns"),
    Column("trg_wps_ref_flags_hwm", "<i8", "hardware multiplicity flags that open the window"),
    Column("trg_wps_ref_flags_ct", "<i8", "channel threshold flags that open the window"),
    Column("trg_wps_ref_flags_wps", "<i8", "windowed peak sum flags that open the window"),
    Column("trg_wps_ref_map_idx", "<i4", "reference channels", ragged=True),
    Column("buffer_max_states", "<i4", "events held back at most"),
    Column("buffer_window_sec", "<i8", "time events are held back, seconds", "s"),
    Column("buffer_window_nsec", "<i8", "time events are held back, nanoseconds", "ns"),
    *_map_columns("hwm"),
    Column("dsp_hwm_fpga_energy_threshold_adc", "<u2", "thresholds on the FPGA energy", "ADC", ragged=True),
    *_map_columns("ct"),
    Column("dsp_ct_thresholds", "<u2", "thresholds of the channels", "ADC", ragged=True),
    *_map_columns("wps"),
    Column("dsp_wps_apply_gain_scaling", "<i4", "whether gains are applied"),
    Column("dsp_wps_sum_window_size", "<i4", "samples of the sliding window"),
    Column("dsp_wps_sum_window_start_sample", "<i4", "first sample searched"),
    Column("dsp_wps_sum_window_stop_sample", "<i4", "last sample searched"),
    Column("dsp_wps_sub_event_sum_threshold", "<f4", "threshold of a part of an event"),
    Column("dsp_wps_gains", "<f4", "gains", ragged=True),
    Column("dsp_wps_thresholds", "<f4", "peak thresholds", ragged=True),
    Column("dsp_wps_lowpass", "<f4", "low-pass constants", ragged=True),
    Column("dsp_wps_shaping_widths", "<i4", "shaping widths", ragged=True),
    Column("dsp_wps_dsp_max_margin_front", "<i4", "largest margin in front"),
    Column("dsp_wps_dsp_max_margin_back", "<i4", "largest margin behind"),
    Column("dsp_wps_margin_front", "<i4", "margins in front", ragged=True),
    Column("dsp_wps_margin_back", "<i4", "margins behind", ragged=True),
    Column("dsp_wps_start_sample", "<i4", "first samples", ragged=True),
    Column("dsp_wps_stop_sample", "<i4", "last samples", ragged=True),
)
# windows are given as seconds and nanoseconds; the table has their sum
WINDOWS = ("trg_pre_trigger_window", "trg_post_trigger_window", "buffer_window")
CONFIG = Record(
    "FSPConfig",
    (
        Column("packet_id", "<u4", "number of the record (ORCA: packet) in the file"),
        *(c for c in FRAMES if c is not None and not c.name.endswith("_window_sec")),
        Column("trg_enabled_write_flags_trigger", "<i8", "trigger flags that keep an event"),
        Column("trg_enabled_write_flags_event", "<i8", "event flags that keep an event"),
    ),
)
LABEL_BYTES = 8


def fsp_config(index: Index, row: int, key: str) -> Block:
    """Decode the FSPConfig in ``row`` of the index."""
    values = {c.name: _value(index, row, k, c) for k, c in enumerate(FRAMES) if c is not None}
    for window in WINDOWS:
        seconds = values.pop(f"{window}_sec")
        values[f"{window}_nsec"] = values[f"{window}_nsec"] + 1_000_000_000 * seconds
    flags = _elements(index, row, ENABLED_FLAGS, "<i8")
    values["trg_enabled_write_flags_event"], values["trg_enabled_write_flags_trigger"] = flags[0], flags[1]
    values["packet_id"] = index.packet_ids[row]
    struct: Struct = CONFIG.struct(values)
    return Block(CONFIG.name, key, struct)


def _elements(index: Index, row: int, k: int, dtype: str) -> np.ndarray:
    return ragged_of(index.data, *index.frame(np.array([row]), k), dtype)[0]


def _value(index: Index, row: int, k: int, column: Column) -> np.ndarray:
    if column.dtype == "S7":
        raw = _elements(index, row, k, f"S{LABEL_BYTES}")
        return raw.astype("S7")
    values = _elements(index, row, k, column.dtype)
    if column.ragged:
        return values
    return values[0] if len(values) else np.zeros((), column.dtype)
