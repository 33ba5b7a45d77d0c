"""Settings of FlashCam listeners, as ORCA wrote them by itself until about 2024."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pygama_core.daq.columns import Column, Record
from pygama_core.daq.fcio.config import SIXTEEN_BIT_DT, TWELVE_BIT_DT
from pygama_core.daq.gather import rows_of
from pygama_core.daq.orca.packets import Packets
from pygama_core.lh5.types import Struct

# listed values of a config packet, in the order of its words from word 2 on
CONFIG_FIELDS = (
    *("streamid", "nadcs", "ntriggers", "nsamples", "adcbits", "sumlength"),
    *("blprecision", "mastercards", "triggercards", "adccards", "gps"),
)
CONFIG = Record(
    "ORFlashCamListenerConfigDecoder",
    (
        Column("packet_id", "<u4", "number of the packet in the file"),
        Column("packet_len", "<u4", "words of the packet"),
        Column("readout_id", "<u2", "number of the readout object"),
        Column("fcid", "<u2", "number of the listener"),
        *(Column(name, "<i4", f"{name} as in the FCIO Config record") for name in CONFIG_FIELDS),
        Column("ch_board_id", "<u2", "card address of each channel", ragged=True),
        Column("ch_inputnum", "<u2", "input of the card of each channel", ragged=True),
        Column("board_rev", "u1", "hardware revision of each card", ragged=True),
        Column("board_uid", "<u8", "hardware number of each card", ragged=True),
    ),
)
FIRST_TRACE_WORD = 13


@dataclass(frozen=True, eq=False)
class ListenerConfig:
    """Settings of a listener."""

    fields: dict[str, int]
    fcid: int
    keys: np.ndarray  # (n_adcs,) int64 channel numbers
    struct: Struct

    @property
    def dt(self) -> float:
        """Sampling period [ns]."""
        return TWELVE_BIT_DT if self.fields["adcbits"] == 12 else SIXTEEN_BIT_DT


def read_listener_config(data: np.ndarray, packets: Packets) -> ListenerConfig:
    """Decode one ListenerConfig packet."""
    n_words = int(packets.stop[0] - packets.start[0]) // 4
    words = rows_of(data, packets.start, "<u4", n_words)[0]
    fields = {name: int(value) for name, value in zip(CONFIG_FIELDS, words[2:].astype(np.int32), strict=False)}
    n_adcs, n_boards = fields["nadcs"], max(fields["adccards"], 0)
    tracemap = words[FIRST_TRACE_WORD : FIRST_TRACE_WORD + n_adcs]
    boards, inputs = tracemap >> 16, tracemap & 0xFFFF
    revisions, numbers = _board_info(words[FIRST_TRACE_WORD + n_adcs :], n_boards)
    fcid = int(words[1] & 0xFFFF)
    values = {
        **fields,
        "packet_id": packets.number[0],
        "packet_len": n_words,
        "readout_id": words[1] >> 16,
        "fcid": fcid,
        "ch_board_id": boards,
        "ch_inputnum": inputs,
        "board_rev": revisions,
        "board_uid": numbers,
    }
    keys = fcid * 1_000_000 + boards.astype(np.int64) * 100 + inputs
    return ListenerConfig(fields, fcid, keys, CONFIG.struct(values))


def _board_info(tail: np.ndarray, n_boards: int) -> tuple[np.ndarray, np.ndarray]:
    """Return revision and hardware number of each card from the words behind the trace map; older writers only pad."""
    n_revision_words = (n_boards + 3) // 4
    if n_boards == 0 or len(tail) != n_revision_words + 2 * n_boards:
        return np.empty(0, np.uint8), np.empty(0, np.uint64)
    revisions = tail[:n_revision_words].astype("<u4").view(np.uint8)[:n_boards]
    pairs = tail[n_revision_words:].astype(np.uint64).reshape(n_boards, 2)
    return revisions, pairs[:, 0] << np.uint64(32) | pairs[:, 1]
