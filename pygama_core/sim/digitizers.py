"""Recorders of CoMPASS, llamaDAQ and VME cards: the same events as those of FlashCam, in the formats of others.

Every card digitises every channel of the experiment, one channel after the other in the order of the channel map.
Samples and FPGA energies are those of the simulated front end, 16 ns apart. CoMPASS and llamaDAQ files say so; the
VME cards have clocks of their own, so that readers give their samples another period.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np

from pygama_core.channelmap import Channel
from pygama_core.errors import ConfigError
from pygama_core.sim import compass_writer as compass
from pygama_core.sim import gretina_writer as gretina
from pygama_core.sim import llama_writer as llama
from pygama_core.sim import orca_writer as orca
from pygama_core.sim import struck_writer as struck
from pygama_core.sim.cycle import SECOND, Cycle
from pygama_core.sim.settings import SAMPLE_PERIOD

FIRST_SLOT = 2  # of a VME crate: the ones below hold its controllers
ENERGY_GROUP = 8  # format bit of an SIS3316 event: energies follow
MIDDLE = 1 << 15  # GRETINA samples are signed
GRETINA_TRIGGER = 1000  # sample of its trace at which the trigger stands, if the simulated trace begins early enough


@dataclass(frozen=True)
class Cards:
    """How a format numbers channels: ``n_inputs`` of a card, at most ``n_cards``, and bits of the input's number."""

    n_inputs: int
    n_cards: int
    shift: int
    first: int = 0

    def rawid(self, index: int) -> int:
        """Return the number of the channel at this place of the channel map."""
        return (self.first + index // self.n_inputs << self.shift) + index % self.n_inputs

    def place(self, rawid: int) -> tuple[int, int]:
        """Return card and input of a channel."""
        return rawid >> self.shift, rawid & ((1 << self.shift) - 1)


COMPASS, LLAMA = Cards(8, 32, 9), Cards(16, 16, 4)
SIS3302, SIS3316, GRETINA = (Cards(n, 20, 4, FIRST_SLOT) for n in (8, 16, gretina.N_CHANNELS))
CARDS = {
    **dict.fromkeys(("compass", "compass-v1"), COMPASS),
    **dict.fromkeys(("llama", "llama-v1"), LLAMA),
    "orca-sis3302": SIS3302,
    "orca-sis3316": SIS3316,
    "orca-gretina": GRETINA,
}


def numbered(channels: Mapping[str, Channel], format: str) -> dict[str, Channel]:
    """Return the channels with the numbers they have in files of a format; FlashCam's stay as they are.

    Raises
    ------
    ConfigError : if there are more channels than the format's cards have inputs
    """
    cards = CARDS.get(format)
    if cards is None:
        return dict(channels)
    if len(channels) > cards.n_inputs * cards.n_cards:
        most = cards.n_inputs * cards.n_cards
        raise ConfigError(f"simulation: {len(channels)} channels; the cards of format {format} have {most} inputs")
    ordered = sorted(channels.values(), key=lambda channel: channel.rawid)
    return {channel.name: replace(channel, rawid=cards.rawid(index)) for index, channel in enumerate(ordered)}


class _CardRecorder:
    """What the recorders have in common: refused events leave nothing, and every trace is written for itself."""

    def __init__(self, file: BinaryIO, cycle: Cycle) -> None:
        self._file, self._cycle = file, cycle
        self._cards = CARDS[cycle.run.format]
        self._places = [self._cards.place(int(rawid)) for rawid in cycle.layout.rawids]

    def begin(self) -> None:
        """Write what stands before the first event."""
        raise NotImplementedError

    def event(self, event: int, indices: np.ndarray, traces: np.ndarray) -> None:
        """Write the traces of an event."""
        if not self._cycle.timeline.is_discarded[event]:
            time = int(self._cycle.timeline.trigger_time[event])
            for index, trace in zip(indices.tolist(), traces, strict=True):
                card, channel = self._places[index]
                self._file.write(self._record(time, card, channel, trace))

    def end(self) -> None:
        """Write nothing: such files just end."""

    def _record(self, time: int, card: int, channel: int, trace: np.ndarray) -> bytes:
        """Return the record of a trace (2 + n_samples,) of an event at ``time`` [ns]."""
        raise NotImplementedError

    def _inputs(self) -> Iterator[tuple[int, list[int]]]:
        """Yield every card and its inputs in use."""
        inputs: dict[int, list[int]] = {}
        for card, channel in self._places:
            inputs.setdefault(card, []).append(channel)
        yield from inputs.items()

    def _need_even(self) -> None:
        if self._cycle.n_samples % 2:
            raise ConfigError(
                f"simulation: n_samples: {self._cycle.n_samples} is odd; {self._cycle.run.format} files hold pairs"
            )


class CompassRecorder(_CardRecorder):
    """A CoMPASS file of the PHA firmware, with a header word (version 2) or without (version 1)."""

    def __init__(self, file: BinaryIO, cycle: Cycle) -> None:
        super().__init__(file, cycle)
        content = compass.Content.ENERGY | compass.Content.WAVEFORM
        self._format = compass.RecordFormat(content, version=1 if cycle.run.format.endswith("v1") else 2)

    def begin(self) -> None:
        """Write the header word."""
        self._file.write(self._format.file_header())

    def settings(self) -> bytes:
        """Return the settings file that belongs to the file."""
        boards = []
        inputs = dict(self._inputs())
        for number in range(max(inputs, default=-1) + 1):
            enabled = {channel: {"SRV_PARAM_CH_ENABLED": "true"} for channel in inputs.get(number, ())}
            period = 1000.0 * SAMPLE_PERIOD
            board = compass.CompassBoard(self._cycle.n_samples, period, serial=str(number), firmware="DPP_PHA")
            boards.append(replace(board, channels=enabled))
        return compass.settings_xml(boards)

    def _record(self, time: int, card: int, channel: int, trace: np.ndarray) -> bytes:
        event = compass.CompassEvent(channel, 1000 * time, trace[2:], energy=int(trace[1]), board=card)
        return compass.record(self._format, event)


class LlamaRecorder(_CardRecorder):
    """A llamaDAQ file; in version 1 every trace is a chunk of its own."""

    def begin(self) -> None:
        """Write the configuration of every channel."""
        self._need_even()
        channels = [
            llama.LlamaChannel(
                card, channel, self._cycle.n_samples, format_bits=ENERGY_GROUP, sample_freq=1000 / SAMPLE_PERIOD
            )
            for card, channel in self._places
        ]
        self._version = 1 if self._cycle.run.format.endswith("v1") else 2
        self._file.write(llama.file_header(channels, self._version))

    def _record(self, time: int, card: int, channel: int, trace: np.ndarray) -> bytes:
        number = channel if self._version == 1 else card << 4 | channel
        event = _sis3316_event(number, time // SAMPLE_PERIOD, trace)
        return llama.chunk(card, [event]) if self._version == 1 else struck.sis3316_event(event)


def _sis3316_event(number: int, ticks: int, trace: np.ndarray) -> struck.Sis3316Event:
    energies = (int(trace[0]), int(trace[1]))
    return struck.Sis3316Event(number, ticks, trace[2:], format_bits=ENERGY_GROUP, energies=energies)


class _VmeRecorder(_CardRecorder):
    """An ORCA file of VME cards of one model."""

    decoder: str
    model: str
    tick: int  # [ns]

    def begin(self) -> None:
        """Write header and start of run."""
        self._check()
        self._crate = {slot: struck.VmeCard(0, slot, self.model, self._settings(on)) for slot, on in self._inputs()}
        start, number = self._cycle.start_ns // SECOND, self._cycle.run_number
        self._file.write(struck.vme_header(list(self._crate.values()), (self.decoder,), start_time=start))
        self._file.write(orca.run_record(orca.RunFlags.START | orca.RunFlags.START_SUBRUN, number, start))

    def end(self) -> None:
        """Write the end of the run."""
        stop = (self._cycle.start_ns + int(self._cycle.timeline.trigger_time[-1])) // SECOND
        self._file.write(orca.run_record(orca.RunFlags.END, self._cycle.run_number, stop))

    def _check(self) -> None:
        self._need_even()

    def _settings(self, inputs: list[int]) -> dict[str, object]:
        """Return the entry of a card in the header."""
        raise NotImplementedError


class Sis3302Recorder(_VmeRecorder):
    """SIS3302 cards at 100 MHz."""

    decoder, model, tick = struck.SIS3302, "ORSIS3302Model", 10

    def _settings(self, inputs: list[int]) -> dict[str, object]:
        mask = sum(1 << channel for channel in inputs)
        return {"clockSource": 0, "internalTriggerEnabledMask": mask, "sampleLengths": [self._cycle.n_samples] * 4}

    def _record(self, time: int, card: int, channel: int, trace: np.ndarray) -> bytes:
        event = struck.Sis3302Event(channel, time // self.tick, trace[2:], int(trace[1]), int(trace[0]))
        return struck.sis3302_packet(self._crate[card], event)


class Sis3316Recorder(_VmeRecorder):
    """SIS3316 cards at 125 MHz."""

    decoder, model, tick = struck.SIS3316, "ORSIS3316Model", 8

    def _settings(self, inputs: list[int]) -> dict[str, object]:
        return {"enabledMask": sum(1 << channel for channel in inputs), "rawDataBufferLen": self._cycle.n_samples}

    def _record(self, time: int, card: int, channel: int, trace: np.ndarray) -> bytes:
        event = _sis3316_event(card << 4 | channel, time // self.tick, trace)
        return struck.sis3316_packet(self._crate[card], channel, [event])


class GretinaRecorder(_VmeRecorder):
    """GRETINA4M cards: the 2018 samples around the trigger, less the middle of the range."""

    decoder, model, tick = gretina.DECODER, "ORGretina4MModel", 10

    def _check(self) -> None:
        n, n_needed = self._cycle.n_samples, gretina.N_SAMPLES
        if n < n_needed:
            raise ConfigError(f"simulation: n_samples: {n}; a GRETINA4M card records {n_needed}")
        self._first = min(max(self._cycle.trigger_sample - GRETINA_TRIGGER, 0), n - n_needed)

    def _settings(self, inputs: list[int]) -> dict[str, object]:
        settings = gretina.gretina_settings([None] * gretina.N_CHANNELS)
        return {**settings, "Enabled": [channel in inputs for channel in range(gretina.N_CHANNELS)]}

    def _record(self, time: int, card: int, channel: int, trace: np.ndarray) -> bytes:
        part = trace[2 + self._first : 2 + self._first + gretina.N_SAMPLES]
        samples = (part.astype(np.int32) - MIDDLE).astype(np.int16)
        event = gretina.GretinaEvent(channel, time // self.tick, samples, int(trace[1]), card)
        return gretina.gretina_packet(0, card, [event])
