"""Small synthetic llamaDAQ files: every field of an event tells which one it is."""

import numpy as np

from pygama_core.daq.llama.reader import LlamaFile
from pygama_core.daq.source import open_source
from pygama_core.lh5.types import Table, concatenate
from pygama_core.sim import llama_writer as lw
from pygama_core.sim.struck_writer import Sis3316Event

CHANNELS = (
    lw.LlamaChannel(0, 0, n_samples=20, format_bits=3),
    lw.LlamaChannel(2, 5, n_samples=12, format_bits=15, sample_freq=125.0, n_maw=3),
    lw.LlamaChannel(
        3, 1, 10, format_bits=0, avg_mode=2, n_averaged=16, start_index=100, pretrigger=300, averaged_pretrigger=4
    ),
)


def samples(number, n):
    return (1000 + 100 * number + np.arange(n)).astype(np.uint16)


def event(number, **more):
    channel = CHANNELS[number % 3]
    values = {
        "timestamp": 1_000_000 + 70_000 * number,
        "format_bits": channel.format_bits,
        "peak": (10 + number, number),
        "information": 200 + number % 50,
        "sums": tuple(1000 * k + number for k in range(8)),
        "maw": (2000 + number, 3000 + number, 4000 + number),
        "energies": (5000 + number, 6000 + number),
        "is_pile_up": number % 2 == 1,
        "maw_test": tuple(range(number, number + channel.n_maw)),
        "averaged": samples(number, channel.n_averaged) if channel.n_averaged else None,
        "average_count": number,
    }
    return Sis3316Event(channel.number, samples=samples(number, channel.n_samples), **(values | more))


def events(n):
    return [event(k) for k in range(n)]


def v1_chunk(made):
    """A chunk of events of one channel; ids without FADC."""
    fadc = made[0].number >> 4 if made else 0
    return lw.chunk(fadc, [Sis3316Event(**{**vars(e), "number": e.number & 15}) for e in made])


def v1_file(chunks):
    """A file of version 1 of the first two channels."""
    return lw.file_header(CHANNELS[:2], version=1) + b"".join(map(v1_chunk, chunks))


class Llama:
    """All of a file, joined by key."""

    def __init__(self, path, **options):
        self.file = LlamaFile(open_source(path))
        parts, self.objects = {}, {}
        for block in self.file.blocks(**options):
            if isinstance(block.table, Table):
                parts.setdefault(block.key, []).append(block.table)
            else:
                self.objects[block.key] = block.table
        self.tables = {key: concatenate(tables) for key, tables in parts.items()}
        self.summary = self.file.summary

    @property
    def rows(self):
        """Every event as a dict of its values, waveforms as lists of samples, in file order."""
        rows = []
        for table in self.tables.values():
            columns = {name: (c["values"] if isinstance(c, Table) else c).values.tolist() for name, c in table.items()}
            rows += [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        return sorted(rows, key=lambda row: row["packet_id"])

    @property
    def numbers(self):
        """Which of the events were read, from their samples; all samples must be those of that event."""
        found = []
        for row in self.rows:
            values = row["waveform_windowed"]
            found.append((values[0] - 1000) // 100)
            assert values == samples(found[-1], len(values)).tolist()
            assert row["fadc_channel_id"] == CHANNELS[found[-1] % 3].number
        return found

    def assert_intact(self):
        assert len(set(self.numbers)) == len(self.numbers)
