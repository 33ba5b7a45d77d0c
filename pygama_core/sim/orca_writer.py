"""Write ORCA files packet by packet: header, run records, FlashCam waveforms, wrapped FCIO.

Every function returns the bytes of one packet (``shared/formats/orca.md``), little-endian as today's Macs write them.
"""

from __future__ import annotations

import plistlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Any

import numpy as np

from pygama_core.errors import ConfigError
from pygama_core.sim.fcio_writer import EventTimes, FcioConfig

ID_SHIFT = 18
PADDED_TRACES = 2400  # length of the trace map in ListenerConfig records until 2023-02
N_TIME_OFFSETS, N_DEAD_WORDS = 7, 5
WAVEFORM_HEADER_WORDS = N_TIME_OFFSETS + N_DEAD_WORDS + 5
HEARTBEAT_SECONDS = 30
READOUT_ID = 1  # of the object that owns the listeners

# decoder -> (object, record, data id before the shift, length as ORCA declares it)
RECORDS: dict[str, tuple[str, str, int, int]] = {
    "ORRunDecoderForRun": ("ORRunModel", "Run", 3, 4),
    "ORFlashCamListenerConfigDecoder": ("ORFlashCamListenerModel", "FlashCamConfig", 4, -1),
    "ORFCIOConfigDecoder": ("ORFlashCamListenerModel", "FCIOConfig", 6, -1),
    "ORFCIOEventDecoder": ("ORFlashCamListenerModel", "FCIOEvent", 7, -1),
    "ORFCIOEventHeaderDecoder": ("ORFlashCamListenerModel", "FCIOEventHeader", 8, -1),
    "ORFCIOStatusDecoder": ("ORFlashCamListenerModel", "FCIOStatus", 9, -1),
    "ORFlashCamADCWaveformDecoder": ("ORFlashCamADCModel", "FlashCamADC", 10, -1),
    "ORFlashCamWaveformDecoder": ("ORFlashCamADCStdModel", "FlashCamWaveform", 11, -1),
    "ORSIS3302DecoderForEnergy": ("ORSIS3302Model", "Energy", 12, -1),
    "ORSIS3316WaveformDecoder": ("ORSIS3316Model", "Waveform", 13, -1),
    "ORGretina4MWaveformDecoder": ("ORGretina4MModel", "Gretina4M", 14, -1),
}
FLASHCAM_RECORDS = tuple(name for name in RECORDS if "SIS" not in name and "Gretina" not in name)


class RunFlags(IntFlag):
    """Bits of a run record; none of them means end of run."""

    END = 0
    START = 1
    QUICK_START = 2
    REMOTE = 4
    HEARTBEAT = 8
    END_SUBRUN = 16
    START_SUBRUN = 32


@dataclass(frozen=True)
class FlashCamCard:
    """One ADC card in its crate."""

    crate: int
    slot: int
    address: int
    enabled: tuple[bool, ...]  # one per input

    def plist(self) -> dict[str, Any]:
        """Return the card's entry in the header."""
        kind = "ORFlashCamADCModel" if len(self.enabled) == 6 else "ORFlashCamADCStdModel"
        entry = {"Card": self.slot, "CardAddress": self.address, "Class Name": kind}
        return entry | {"Enabled": list(self.enabled)}


@dataclass(frozen=True)
class OrcaHeader:
    """What the header packet says about the run and one FlashCam listener."""

    cards: tuple[FlashCamCard, ...]
    n_samples: int
    start_time: int  # [s] since the unix epoch
    run_number: int = 1
    fcid: int = 1
    gps: int = 0
    fsp_enabled: bool = False
    records: tuple[str, ...] = FLASHCAM_RECORDS
    extra: Mapping[str, Any] = field(default_factory=dict)  # more top-level keys, for tests

    def plist(self) -> dict[str, Any]:
        """Return the property list."""
        listener = {"Class Name": "ORFlashCamListenerModel", "uniqueID": self.fcid, "eventSamples": self.n_samples}
        listener |= {"gpsMode": self.gps, "integratorLen": 1, "daqMode": 0, "traceType": 1}
        listener |= {"fspEnabled": self.fsp_enabled}
        control = {"Class Name": "ORRunModel", "RunNumber": self.run_number, "SubRunNumber": 0, "quickStart": False}
        control |= {"startTime": self.start_time, "refTime": float(self.start_time), "runType": 1}
        objects = {"AuxHw": [listener], "Crates": self._crates(), "DataChain": [{"Run Control": control}]}
        children = [{"name": c.plist()["Class Name"], "crate": c.crate, "station": c.slot} for c in self.cards]
        readout = {"name": "ORFlashCamListenerModel", "uniqueID": self.fcid, "children": children}
        document = {"OrcaVersion": "simulated", "date": "01/01/26 00:00:00", "dataVersion": 3}
        tree = {"Document Info": document, "ObjectInfo": objects, "ReadoutDescription": [readout]}
        return tree | {"dataDescription": self._descriptions()} | dict(self.extra)

    def _crates(self) -> list[dict[str, Any]]:
        crates = []
        for number in sorted({card.crate for card in self.cards}):
            cards = [card.plist() for card in self.cards if card.crate == number]
            crates.append({"CrateNumber": number, "ClassName": "ORFlashCamCrateModel", "FirstSlot": 0, "Cards": cards})
        return crates

    def _descriptions(self) -> dict[str, Any]:
        tree: dict[str, dict[str, Any]] = {}
        for decoder in self.records:
            owner, record, number, length = RECORDS[decoder]
            entry = {"dataId": number << ID_SHIFT, "decoder": decoder, "length": length, "variable": length < 0}
            tree.setdefault(owner, {})[record] = entry
        return tree


@dataclass(frozen=True)
class AdcChannel:
    """Where a waveform record comes from."""

    crate: int
    slot: int
    address: int
    adc_input: int
    index: int  # channel index (trace number)


def header(settings: OrcaHeader) -> bytes:
    """Return the header packet; ORCA pads the XML by 1 to 4 bytes."""
    tree = settings.plist()
    # the length stands inside the text whose length it is: repeat until it no longer changes
    length = 0
    while True:
        xml = plistlib.dumps({**tree, "Header Length": length}, sort_keys=True)
        padded = len(xml) + 4 - len(xml) % 4
        if length == 8 + padded:
            return struct.pack("<2I", length // 4 & 0x3FFFF, len(xml)) + xml + bytes(padded - len(xml))
        length = 8 + padded


def packet(decoder: str, body: bytes) -> bytes:
    """Return a long packet; the body must be whole 32-bit words."""
    n_words = 1 + len(body) // 4
    if len(body) % 4 or n_words > 0x3FFFF:
        raise ConfigError(
            f"ORCA writer: {decoder}: body of {len(body)} bytes; a long packet needs whole 32-bit words and at most "
            f"{4 * 0x3FFFE} bytes: write an extended packet instead"
        )
    return struct.pack("<I", RECORDS[decoder][2] << ID_SHIFT | n_words) + body


def extended_packet(decoder: str, body: bytes) -> bytes:
    """Return a packet whose length is in its second word, zero padded to whole words."""
    padding = -len(body) % 4
    n_words = 2 + (len(body) + padding) // 4
    return struct.pack("<2I", RECORDS[decoder][2] << ID_SHIFT, n_words) + body + bytes(padding)


def run_record(flags: RunFlags, run_number: int, time: int, subrun: int = 0) -> bytes:
    """Return a run record at unix ``time`` [s]; a heartbeat has the seconds until the next one as run number."""
    return packet("ORRunDecoderForRun", struct.pack("<3I", subrun << 16 | int(flags), run_number, time))


def listener_config(
    config: FcioConfig, fcid: int = 1, *, readout_id: int = READOUT_ID, boards: Sequence[tuple[int, int]] | None = None
) -> bytes:
    """Return a ListenerConfig record.

    Parameters
    ----------
    config
        the stream's configuration
    fcid
        id of the listener
    readout_id
        id of its readout object
    boards
        (revision, 64-bit hardware id) per ADC card, written since 2023-03; None writes the older, padded form
    """
    adcs, triggers, samples, blprecision, sumlength, adcbits, masters, trigger_cards, cards, gps = config.words()
    words = [config.streamid, adcs, triggers, samples, adcbits, sumlength, blprecision]
    words += [masters, trigger_cards, cards, gps]
    tracemap = list(config.tracemap)
    if boards is None:
        tail = [0] * (PADDED_TRACES - len(tracemap))
    else:
        revisions = bytes(revision for revision, _ in boards) + bytes(-len(boards) % 4)
        tail = [int(word) for word in np.frombuffer(revisions, "<u4")]
        tail += [word for _, uid in boards for word in (uid >> 32, uid & 0xFFFFFFFF)]
    body = struct.pack("<I11i", readout_id << 16 | fcid, *words) + np.asarray(tracemap + tail, "<u4").tobytes()
    return packet("ORFlashCamListenerConfigDecoder", body)


def adc_waveform(
    times: EventTimes, channel: AdcChannel, trace: np.ndarray, *, n_inputs: int = 6, address_shift: int = 4
) -> bytes:
    """Return a waveform record of one channel.

    Parameters
    ----------
    times
        event type, times and dead region
    channel
        origin of the trace
    trace
        (2 + n_samples,) uint16: FPGA baseline, FPGA energy, samples
    n_inputs
        6 for ADCWaveform records, 24 for Waveform records
    address_shift
        which 8 bits of the card address are written: 4 since 2023-02-24 (bits 11:4), 0 before
    """
    n_samples = len(trace) - 2
    first = 3 << 28 | WAVEFORM_HEADER_WORDS << 22 | n_samples << 6 | times.event_type & 0x3F
    input_shift = 10 if n_inputs == 6 else 9
    address = channel.address >> address_shift & 0xFF
    place = channel.crate << 27 | channel.slot << 22 | address << 14
    place |= channel.adc_input << input_shift | channel.index
    integers = _fit(times.timeoffset, N_TIME_OFFSETS) + _fit(times.deadregion, N_DEAD_WORDS) + _fit(times.timestamp, 4)
    samples = np.asarray(trace, "<u2").tobytes() + bytes(2 * (n_samples % 2))
    decoder = "ORFlashCamADCWaveformDecoder" if n_inputs == 6 else "ORFlashCamWaveformDecoder"
    return packet(decoder, struct.pack("<2I16i", first, place, *integers) + samples)


def fcio_packet(decoder: str, stream: bytes, listener: int = 1, *, readout_id: int = READOUT_ID) -> bytes:
    """Return an extended packet with the bytes of an FCIO stream (one record, or marker and Config).

    In real files the Config's streamid is ``readout_id << 16 | listener``.
    """
    return extended_packet(decoder, struct.pack("<I", readout_id << 16 | listener) + stream)


def _fit(values: Sequence[int], n: int) -> list[int]:
    return (list(values) + [0] * n)[:n]
