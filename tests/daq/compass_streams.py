"""Small synthetic CoMPASS files: the samples of a record tell which one it is."""

import numpy as np

from pygama_core.daq.compass.reader import CompassFile
from pygama_core.daq.source import open_source
from pygama_core.lh5.types import Table, concatenate
from pygama_core.sim import compass_writer as cw

N_SAMPLES = 24
FULL = cw.RecordFormat(cw.Content.ENERGY | cw.Content.SHORT | cw.Content.WAVEFORM)
FORMATS = {
    **{f"0x{0xCAE0 | bits:04X}": cw.RecordFormat(cw.Content(bits)) for bits in range(16)},
    "v1-psd": cw.RecordFormat(cw.Content.ENERGY | cw.Content.SHORT, version=1),
    "v1-pha": cw.RecordFormat(cw.Content.ENERGY, version=1),
    "v1-psd-short-flags": cw.RecordFormat(cw.Content.ENERGY | cw.Content.SHORT, version=1, flag_bytes=2),
    "v1-pha-short-flags": cw.RecordFormat(cw.Content.ENERGY, version=1, flag_bytes=2),
    "v1-calibrated-psd": cw.RecordFormat(cw.Content.CALIBRATED | cw.Content.SHORT, version=1),
    "v1-calibrated-pha": cw.RecordFormat(cw.Content.CALIBRATED, version=1),
    "v1-calibrated-psd-short-flags": cw.RecordFormat(cw.Content.CALIBRATED | cw.Content.SHORT, version=1, flag_bytes=2),
    "v1-calibrated-pha-short-flags": cw.RecordFormat(cw.Content.CALIBRATED, version=1, flag_bytes=2),
}


def samples(number, n=N_SAMPLES):
    return (3000 + 100 * number + np.arange(n)).astype(np.uint16)


def event(number, n_samples=N_SAMPLES, **more):
    values = {"channel": number % 3, "timestamp": 10**12 + number * 5_000_000_123, "energy": 500 + number}
    values |= {"energy_calibrated": 0.5 * number + 100, "energy_short": 700 + 13 * number}
    return cw.CompassEvent(samples=samples(number, n_samples), **(values | more))


def has_waveform(layout):
    return layout.version == 1 or bool(layout.content & cw.Content.WAVEFORM)


def records(n=12, layout=FULL):
    """Return the header word and each record as bytes."""
    return [layout.file_header(), *(cw.record(layout, event(k)) for k in range(n))]


class Compass:
    """All of a file, joined by key."""

    def __init__(self, path, *, settings=None, layout=None, **options):
        self.file = CompassFile(open_source(path), settings, layout)
        tables = {}
        self.objects = {}
        for block in self.file.blocks(**options):
            if isinstance(block.table, Table):
                tables.setdefault(block.key, []).append(block.table)
            else:
                self.objects[block.key] = block.table
        self.summary = self.file.summary
        self.parts = tables

    @property
    def tables(self):
        """One table for each channel; for files with records of one length."""
        return {key: concatenate(parts) for key, parts in self.parts.items()}

    @property
    def rows(self):
        """(packet_id, key, timestamp, energy, samples) of every row, in file order."""
        rows = []
        for key, table in ((key, table) for key, parts in self.parts.items() for table in parts):
            values = table["waveform"].array("values") if "waveform" in table else np.empty((table.n_rows, 0))
            columns = [table.array(name).tolist() for name in ("packet_id", "timestamp_ps", "energy")]
            rows += [(p, key, t, e, tuple(w)) for p, t, e, w in zip(*columns, values.tolist(), strict=True)]
        return sorted(rows)


def written_rows(events):
    """(key, timestamp, energy, samples) of events."""
    return [((e.board << 9) + e.channel, e.timestamp, e.energy, tuple(e.samples.tolist())) for e in events]
