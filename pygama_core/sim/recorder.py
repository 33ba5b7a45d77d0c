"""Put digitised events into a DAQ file: one recorder per format, all with the same three methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, Protocol

import numpy as np

from pygama_core.sim import fcio_writer as fcio
from pygama_core.sim import orca_writer as orca
from pygama_core.sim.cycle import SECOND, Cycle
from pygama_core.sim.digitizers import CompassRecorder, GretinaRecorder, LlamaRecorder, Sis3302Recorder, Sis3316Recorder
from pygama_core.sim.layout import Layout, card_input

BOARD_REVISION, BOARD_UID = 4, 0x0000C0DE00000000
CRATE = 0
INPUTS = 6  # of a card
FCIO_KINDS = ("Config", "Event", "EventHeader", "Status")
RECORDS = {
    "orca-flashcam": ("ORRunDecoderForRun", "ORFlashCamListenerConfigDecoder", "ORFlashCamADCWaveformDecoder"),
    "orca-fcio": ("ORRunDecoderForRun", *(f"ORFCIO{kind}Decoder" for kind in FCIO_KINDS)),
}


class Recorder(Protocol):
    """Writes one DAQ file."""

    def begin(self) -> None:
        """Write what stands before the first event."""

    def event(self, event: int, indices: np.ndarray, traces: np.ndarray) -> None:
        """Write an event's traces (n, 2 + n_samples) of n trace indices."""

    def end(self) -> None:
        """Write what stands behind the last event."""


class FcioRecorder:
    """A plain FCIO file, or, through ``wrap``, the same records in ORCA packets."""

    def __init__(self, file: BinaryIO, cycle: Cycle, wrap: Callable[[str, bytes], bytes] | None = None) -> None:
        self._file, self._cycle = file, cycle
        self._wrap = wrap or (lambda record, stream: stream)

    def begin(self) -> None:
        """Write marker and configuration."""
        self._write("Config", fcio.protocol() + fcio.config(self._cycle.config))

    def event(self, event: int, indices: np.ndarray, traces: np.ndarray) -> None:
        """Write an Event or SparseEvent, or an EventHeader if the software trigger refused the event."""
        times = self._cycle.times(event)
        if self._cycle.timeline.is_discarded[event]:
            self._write("EventHeader", fcio.event_header(times, list(indices), traces[:, : fcio.TRACE_HEADER_WORDS]))
        elif self._cycle.run.readout == "all":
            self._write("Event", fcio.event(times, traces))
        else:
            self._write("Event", fcio.sparse_event(times, indices, traces))

    def end(self) -> None:
        """Write the status of the cards."""
        self._write("Status", self._cycle.status())

    def _write(self, record: str, stream: bytes) -> None:
        self._file.write(self._wrap(record, stream))


class OrcaFcioRecorder:
    """An ORCA file with FCIO records in its packets."""

    def __init__(self, file: BinaryIO, cycle: Cycle) -> None:
        self._file, self._cycle = file, cycle
        listener = cycle.layout.streamid
        self._fcio = FcioRecorder(
            file, cycle, lambda kind, data: orca.fcio_packet(f"ORFCIO{kind}Decoder", data, listener)
        )

    def begin(self) -> None:
        """Write header, start of run and configuration."""
        _begin_orca(self._file, self._cycle)
        self._fcio.begin()

    def event(self, event: int, indices: np.ndarray, traces: np.ndarray) -> None:
        """Write one packet per event."""
        self._fcio.event(event, indices, traces)

    def end(self) -> None:
        """Write status and end of run."""
        self._fcio.end()
        _end_orca(self._file, self._cycle)


class OrcaFlashCamRecorder:
    """An ORCA file of the years before FCIO packets: a waveform record per channel; discarded events leave nothing."""

    def __init__(self, file: BinaryIO, cycle: Cycle) -> None:
        self._file, self._cycle = file, cycle
        self._places = []
        cards = _cards(cycle.layout)
        slots = {card.address: card.slot for card in cards}
        for index, rawid in enumerate(cycle.layout.rawids):
            address, adc_input = card_input(int(rawid))
            self._places.append(orca.AdcChannel(CRATE, slots[address], address, adc_input, index))

    def begin(self) -> None:
        """Write header, start of run and the listener's configuration with its boards."""
        _begin_orca(self._file, self._cycle)
        boards = [(BOARD_REVISION, BOARD_UID + card.address) for card in _cards(self._cycle.layout)]
        self._file.write(orca.listener_config(self._cycle.config, self._cycle.layout.streamid, boards=boards))

    def event(self, event: int, indices: np.ndarray, traces: np.ndarray) -> None:
        """Write one packet per trace."""
        if self._cycle.timeline.is_discarded[event]:
            return
        times = self._cycle.times(event)
        for index, trace in zip(indices, traces, strict=True):
            self._file.write(orca.adc_waveform(times, self._places[index], trace))

    def end(self) -> None:
        """Write the end of the run."""
        _end_orca(self._file, self._cycle)


RECORDERS: dict[str, Callable[[BinaryIO, Cycle], Recorder]] = {
    "fcio": FcioRecorder,
    "orca-flashcam": OrcaFlashCamRecorder,
    "orca-fcio": OrcaFcioRecorder,
    "orca-sis3302": Sis3302Recorder,
    "orca-sis3316": Sis3316Recorder,
    "orca-gretina": GretinaRecorder,
    **dict.fromkeys(("compass", "compass-v1"), CompassRecorder),
    **dict.fromkeys(("llama", "llama-v1"), LlamaRecorder),
}


def _cards(layout: Layout) -> list[orca.FlashCamCard]:
    """Return the cards in order of address, one slot after the other; absent channels are not enabled."""
    inputs: dict[int, set[int]] = {}
    for rawid in layout.rawids:
        address, adc_input = card_input(int(rawid))
        inputs.setdefault(address, set()).add(adc_input)
    cards = []
    for slot, address in enumerate(sorted(inputs)):
        enabled = tuple(i in inputs[address] for i in range(INPUTS))
        cards.append(orca.FlashCamCard(CRATE, slot, address, enabled))
    return cards


def _begin_orca(file: BinaryIO, cycle: Cycle) -> None:
    start = cycle.start_ns // SECOND
    settings = orca.OrcaHeader(
        cards=tuple(_cards(cycle.layout)),
        n_samples=cycle.n_samples,
        start_time=start,
        run_number=cycle.run_number,
        fcid=cycle.layout.streamid,
        gps=int(cycle.run.gps),
        records=RECORDS[cycle.run.format],
    )
    file.write(orca.header(settings))
    file.write(orca.run_record(orca.RunFlags.START | orca.RunFlags.START_SUBRUN, cycle.run_number, start))
    file.write(orca.run_record(orca.RunFlags.HEARTBEAT, orca.HEARTBEAT_SECONDS, start))


def _end_orca(file: BinaryIO, cycle: Cycle) -> None:
    stop = (cycle.start_ns + int(cycle.timeline.trigger_time[-1])) // SECOND
    file.write(orca.run_record(orca.RunFlags.END, cycle.run_number, stop))
