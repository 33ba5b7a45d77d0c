"""FCIO Status records to tables: one row for each card of each record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pygama_core.daq.columns import Column, Record
from pygama_core.daq.daqfile import Block
from pygama_core.daq.fcio import constants as fr
from pygama_core.daq.fcio.config import FcioConfig
from pygama_core.daq.fcio.index import Index
from pygama_core.daq.gather import padded_rows_of

CARD = np.dtype(  # layout of a card's frame
    [
        ("reqid", "<u4"),
        ("status", "<u4"),
        ("eventno", "<u4"),
        ("pps", "<u4"),
        ("ticks", "<u4"),
        ("maxticks", "<u4"),
        ("numenv", "<u4"),
        ("numctilinks", "<u4"),
        ("numlinks", "<u4"),
        ("dummy", "<u4"),
        ("totalerrors", "<u4"),
        ("enverrors", "<u4"),
        ("ctierrors", "<u4"),
        ("linkerrors", "<u4"),
        ("othererrors", "<u4", 5),
        ("environment", "<i4", 16),
        ("ctilinks", "<u4", 4),
        ("linkstates", "<u4", 256),
    ]
)
N_BOARD_VALUES = 13  # environment values in front of the daughter boards' temperatures

STATUS = Record(
    "FCStatus",
    (
        Column("packet_id", "<u4", "number of the record (ORCA: packet) in the file"),
        Column("status", "?", "whether the card reports no error"),
        Column("fpga_time", "<f4", "time on the FPGA clock", "s"),
        Column("server_time", "<f8", "unix time of the server", "s"),
        Column("fpga_start_time", "<f8", "unix time of the start of the run", "s"),
        Column("id", "<u4", "card: 0 top master, 0x1000 + i trigger, 0x2000 + i ADC, 0x4000 + i submaster"),
        Column("eventnumber", "<u4", "trigger counter of the card"),
        Column("fpga_time_nsec", "<u4", "time on the card's FPGA clock modulo 2**32", "ns"),
        Column("n_total_errors", "<u4", "errors since start"),
        Column("n_environment_errors", "<u4", "errors of temperatures, voltages, current or humidity"),
        Column("n_cti_errors", "<u4", "errors of the CTI links"),
        Column("n_link_errors", "<u4", "errors of the trigger links"),
        Column("n_other_errors", "<u4", "errors of five other kinds", shape=(5,)),
        Column("mb_temps", "<i4", "temperatures of the mother board", "mC", shape=(5,)),
        Column("mb_voltages", "<i4", "voltages of the mother board", "mV", shape=(6,)),
        Column("mb_current", "<i4", "supply current of the mother board", "mA"),
        Column("mb_humidity", "<i4", "humidity at the mother board", "o/oo"),
        Column("adc_temps", "<i4", "temperatures of the daughter boards", "mC", ragged=True),
        Column("cti_links", "<u4", "states of the CTI links", ragged=True),
        Column("link_states", "<u4", "states of the trigger links", ragged=True),
    ),
)


def status_blocks(index: Index, config: FcioConfig) -> Iterator[Block]:
    """Yield one block for each card."""
    rows = index.select(fr.STATUS)
    if not len(rows):
        return
    counts = index.records[rows, fr.N_FRAMES] - 4
    of_record = np.repeat(np.arange(len(rows)), counts)
    k = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    cards = padded_rows_of(index.data, *index.frame(rows[of_record], 4 + k), CARD)
    table = STATUS.table({**_record_columns(index, rows, of_record), **_card_columns(cards)})
    keys = cards["reqid"] & 0xFFFF
    for key in np.unique(keys):
        yield Block(STATUS.name, f"fcid_{config.fcid}/status/card{key}", table.rows(np.flatnonzero(keys == key)))


def _record_columns(index: Index, rows: np.ndarray, of_record: np.ndarray) -> dict[str, Any]:
    status = padded_rows_of(index.data, *index.frame(rows, 0), "<i4")
    times = padded_rows_of(index.data, *index.frame(rows, 1), np.dtype([("t", "<i4", 10)]))["t"].astype(np.float64)
    return {
        "packet_id": index.packet_ids[rows][of_record],
        "status": (status == 1)[of_record],
        "fpga_time": (times[:, 0] + 1e-6 * times[:, 1])[of_record],
        "server_time": (times[:, 2] + 1e-6 * times[:, 3])[of_record],
        "fpga_start_time": (times[:, 5] + 1e-6 * times[:, 6])[of_record],
    }


def _card_columns(cards: np.ndarray) -> dict[str, Any]:
    environment = cards["environment"]
    nanoseconds = 1_000_000_000 * cards["pps"].astype(np.uint64) + 4 * cards["ticks"].astype(np.uint64)
    return {
        "id": cards["reqid"],
        "eventnumber": cards["eventno"],
        "fpga_time_nsec": (nanoseconds & np.uint64(0xFFFFFFFF)).astype(np.uint32),
        "n_total_errors": cards["totalerrors"],
        "n_environment_errors": cards["enverrors"],
        "n_cti_errors": cards["ctierrors"],
        "n_link_errors": cards["linkerrors"],
        "n_other_errors": cards["othererrors"],
        "mb_temps": environment[:, :5],
        "mb_voltages": environment[:, 5:11],
        "mb_current": environment[:, 11],
        "mb_humidity": environment[:, 12],
        "adc_temps": _head(environment[:, N_BOARD_VALUES:], cards["numenv"].astype(np.int64) - N_BOARD_VALUES),
        "cti_links": _head(cards["ctilinks"], cards["numctilinks"].astype(np.int64)),
        "link_states": _head(cards["linkstates"], cards["numlinks"].astype(np.int64)),
    }


def _head(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first ``counts`` values of each row as ragged rows."""
    n = np.clip(counts, 0, values.shape[1])
    return values[np.arange(values.shape[1]) < n[:, np.newaxis]], np.cumsum(n)
