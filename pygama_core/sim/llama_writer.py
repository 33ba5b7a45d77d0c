"""Write llamaDAQ files of SIS3316 digitizers, versions 1 and 2 (``shared/formats/llama.md``)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from pygama_core.sim.struck_writer import Sis3316Event, sis3316_event

MAGIC = {1: b"LArU", 2: b"LArI"}
CONFIG_BYTES = {1: 68, 2: 88}
FOURTEEN_BIT, OPEN = 1, 2


@dataclass(frozen=True)
class LlamaChannel:
    """Configuration of a channel; its id is (FADC << 4) + channel.

    Parameters
    ----------
    sample_freq : [MHz]
    gain : [V/ADC unit]
    n_samples, n_averaged : samples of an event; averaged ones only in version 2, if avg_mode > 0
    start_index, pretrigger, averaged_pretrigger : where the trigger lies [samples]
    n_maw : words of moving-average test data of an event
    """

    fadc: int
    channel: int
    n_samples: int
    format_bits: int = 3
    sample_freq: float = 250.0
    gain: float = 1.0
    adc_offset: int = 8191
    avg_mode: int = 0
    n_averaged: int = 0
    start_index: int = 0
    pretrigger: int = 0
    averaged_pretrigger: int = 0
    n_maw: int = 0

    @property
    def number(self) -> int:
        """Channel id."""
        return self.fadc << 4 | self.channel

    @property
    def header_words(self) -> int:
        """Words of an event in front of its samples."""
        groups = sum(size for bit, size in enumerate((7, 2, 3, 2)) if self.format_bits >> bit & 1)
        return 3 + groups + int(self.avg_mode > 0 and self.n_averaged > 0)

    @property
    def event_words(self) -> int:
        """Words of an event."""
        averaged = self.n_averaged // 2 if self.avg_mode > 0 else 0
        return self.header_words + self.n_samples // 2 + averaged + self.n_maw

    def config(self, version: int) -> bytes:
        """Return the channel's configuration."""
        head = struct.pack("<4I2d", self.fadc, self.channel, FOURTEEN_BIT | OPEN, self.adc_offset, *self._scales)
        lengths = [self.event_words, self.header_words]
        offsets = [2, 9, 11]  # of accumulators and moving-average window in the event; nobody uses them
        if version == 1:
            words = [self.format_bits, self.n_samples, self.n_maw, *lengths, *offsets, self.start_index]
        else:
            words = [self.format_bits, self.start_index, self.pretrigger, self.averaged_pretrigger, self.avg_mode]
            words += [self.n_samples, self.n_averaged, self.n_maw, *lengths, *offsets, 11]
        return head + struct.pack(f"<{len(words)}I", *words)

    @property
    def _scales(self) -> tuple[float, float]:
        return self.sample_freq, self.gain


def file_header(channels: Sequence[LlamaChannel], version: int = 2) -> bytes:
    """Return everything in front of the first event."""
    numbers = struct.pack("<4HI", 0, 0, version, CONFIG_BYTES[version], len(channels))
    return MAGIC[version] + numbers + b"".join(channel.config(version) for channel in channels)


def llama_file(channels: Sequence[LlamaChannel], events: Sequence[Sis3316Event]) -> bytes:
    """Return a file of version 2; events of any channel in any order, each with its channel's id and format bits."""
    return file_header(channels) + b"".join(map(sis3316_event, events))


def chunk(fadc: int, events: Sequence[Sis3316Event]) -> bytes:
    """Return a chunk of a file of version 1: events of one FADC, whose ids hold the channel only."""
    return struct.pack("<2I", fadc, len(events)) + b"".join(map(sis3316_event, events))
