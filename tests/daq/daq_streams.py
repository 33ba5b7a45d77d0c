"""Small synthetic DAQ files for the tests, written with the simulator's record writers."""

import struct
from functools import cached_property
from pathlib import Path

import numpy as np

from pygama_core.daq.daqfile import open_daq
from pygama_core.lh5.types import Table, concatenate
from pygama_core.sim import fcio_writer as fw
from pygama_core.sim import orca_writer as ow

N_SAMPLES = 20
EVENT_DECODERS = ("FCEvent", "ORFlashCamADCWaveformDecoder", "ORFlashCamWaveformDecoder")


def fcio_config(n_traces=3, n_samples=N_SAMPLES, **more):
    tracemap = tuple(fw.trace_map_entry(0x410, i) for i in range(n_traces))
    return fw.FcioConfig(tracemap, n_samples=n_samples, **more)


def event_times(number, **more):
    stamp = (number, 10 + number, 1000 * number, fw.MAX_TICKS, 0)
    return fw.EventTimes(timestamp=stamp, timeoffset=(1_700_000_000, 5, 0, 0, 0, 1_700_000_001, 0, 0, 0, 0), **more)


def trace(number, channel, n_samples=N_SAMPLES):
    """FPGA words and samples that tell which trace they are of."""
    return np.concatenate([[number, channel], 1000 * channel + number + np.arange(n_samples)]).astype(np.uint16)


def traces(number, n_traces=3, n_samples=N_SAMPLES):
    return np.stack([trace(number, channel, n_samples) for channel in range(n_traces)])


def fcio_messages(n_events=10, config=None):
    """Marker, Config and full Events, each as its bytes."""
    config = config or fcio_config()
    shape = (len(config.tracemap), config.n_samples)
    return [fw.protocol(), fw.config(config), *(fw.event(event_times(k), traces(k, *shape)) for k in range(n_events))]


def orca_header(**more):
    card = ow.FlashCamCard(crate=1, slot=2, address=0x410, enabled=(True, True, True, False, False, False))
    return ow.header(ow.OrcaHeader((card,), N_SAMPLES, start_time=1_700_000_000, **more))


def run_start(number=7):
    return ow.run_record(ow.RunFlags.START, number, 1_700_000_000)


def run_end(number=7):
    return ow.run_record(ow.RunFlags.END, number, 1_700_000_100)


def waveform_packet(number, channel, n_samples=N_SAMPLES, **more):
    where = ow.AdcChannel(crate=1, slot=2, address=0x410, adc_input=channel, index=channel)
    return ow.adc_waveform(event_times(number), where, trace(number, channel, n_samples), **more)


def orca_fc_packets(n_events=10):
    """Header, start, ListenerConfig, one waveform packet for each event, end."""
    waveforms = [waveform_packet(k, k % 3) for k in range(n_events)]
    return [orca_header(), run_start(), ow.listener_config(fcio_config()), *waveforms, run_end()]


def orca_fcio_packets(n_events=10):
    """Header, start, FCIO Config, one packet for each Event, end."""
    messages = fcio_messages(n_events, fcio_config(streamid=1 << 16 | 1))
    events = [ow.fcio_packet("ORFCIOEventDecoder", message) for message in messages[2:]]
    config = ow.fcio_packet("ORFCIOConfigDecoder", messages[0] + messages[1])
    return [orca_header(), run_start(), config, *events, run_end()]


def fcio_record(tag, *frames):
    return struct.pack("<i", -tag) + b"".join(struct.pack("<i", len(frame)) + frame for frame in frames)


class Decoded:
    """All blocks of a file, joined by key."""

    def __init__(self, content, tmp_path: Path, **options):
        path = tmp_path / "file.daq"
        path.write_bytes(b"".join(content) if isinstance(content, list) else bytes(content))
        daq = open_daq(path)
        self.blocks = list(daq.blocks(**options))
        self.summary = daq.summary
        self.objects = {block.key: block.table for block in self.blocks if not isinstance(block.table, Table)}

    @cached_property
    def tables(self) -> dict:
        tables: dict = {}
        for block in self.blocks:
            if isinstance(block.table, Table):
                tables.setdefault(block.key, []).append(block.table)
        return {key: concatenate(parts) for key, parts in tables.items()}

    @property
    def channels(self) -> dict:
        return {key: table for key, table in self.tables.items() if isinstance(key, int)}

    @property
    def n_rows(self) -> int:
        return sum(table.n_rows for table in self.channels.values())

    @property
    def event_numbers(self) -> list:
        """Numbers of all events, once for each event, sorted."""
        return sorted({int(n) for table in self.channels.values() for n in table.array("eventnumber")})

    def assert_intact(self):
        """Every decoded row is exactly what was written: no row is made of damaged bytes."""
        for table in self.channels.values():
            numbers, channel = table.array("eventnumber"), table.array("channel")
            values = table["waveform"].array("values")
            n_samples = values.shape[1]
            expected = (1000 * channel + numbers)[:, np.newaxis] + np.arange(n_samples)
            np.testing.assert_array_equal(values, expected)
