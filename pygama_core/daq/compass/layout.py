"""The layouts of a CoMPASS record, and how to find out which one a file has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pygama_core.daq.compass import records as rec
from pygama_core.daq.sniff import COMPASS_MARK

ENERGY, CALIBRATED, SHORT, WAVEFORM = 1, 2, 4, 8  # bits of the header word
HEADER_BYTES = 2
MIN_RECORDS = 3  # that must follow each other for a layout to be believed, unless the file ends before
MAX_RECORDS = 200  # tried per layout
FILE_HEAD = 4096  # [bytes] by which formats are told apart


@dataclass(frozen=True)
class Layout:
    """Which fields a record has.

    Parameters
    ----------
    name : as shown to the user, and accepted from him
    content : bits ENERGY, CALIBRATED, SHORT, WAVEFORM
    flags : bytes of the flag word, 4 or 2
    version : 1 always has a number of samples and never a waveform code
    """

    name: str
    content: int
    flags: int = 4
    version: int = 2

    @cached_property
    def dtype(self) -> np.dtype:
        """The fixed part of a record, packed."""
        fields = [("board", "<u2"), ("channel", "<u2"), ("timestamp", "<u8")]
        optional = [(ENERGY, "energy", "<u2"), (CALIBRATED, "energy_calibrated", "<f8"), (SHORT, "energy_short", "<u2")]
        fields += [(name, code) for bit, name, code in optional if self.content & bit]
        fields.append(("flags", f"<u{self.flags}"))
        if self.version == 1:
            fields.append(("num_samples", "<u4"))
        elif self.content & WAVEFORM:
            fields += [("code", "u1"), ("num_samples", "<u4")]
        return np.dtype(fields)

    @cached_property
    def places(self) -> np.ndarray:
        """What the compiled passes need to know, see :mod:`pygama_core.daq.compass.records`."""
        offsets = {name: int(self.dtype.fields[name][1]) for name in self.dtype.names or () if self.dtype.fields}
        places = np.full(rec.N_PLACES, -1, np.int64)
        places[rec.FIXED], places[rec.FLAGS_BYTES] = self.dtype.itemsize, self.flags
        for index, name in ((rec.FLAGS_AT, "flags"), (rec.CODE_AT, "code"), (rec.SAMPLES_AT, "num_samples")):
            places[index] = offsets.get(name, -1)
        places[rec.CALIBRATED_AT] = offsets.get("energy_calibrated", -1)
        return places

    @property
    def has_waveform(self) -> bool:
        """Whether records may have samples."""
        return self.version == 1 or bool(self.content & WAVEFORM)


def layout_of_word(word: int) -> Layout:
    """Return the layout that a header word declares."""
    return Layout(f"0x{word:04X}", word & 0xF)


VERSION_1 = (  # those with 4 bytes of flags first: they are the harder to mistake for another
    Layout("v1-psd", ENERGY | SHORT, 4, 1),
    Layout("v1-pha", ENERGY, 4, 1),
    Layout("v1-calibrated-psd", CALIBRATED | SHORT, 4, 1),
    Layout("v1-calibrated-pha", CALIBRATED, 4, 1),
    Layout("v1-psd-short-flags", ENERGY | SHORT, 2, 1),
    Layout("v1-pha-short-flags", ENERGY, 2, 1),
    Layout("v1-calibrated-psd-short-flags", CALIBRATED | SHORT, 2, 1),
    Layout("v1-calibrated-pha-short-flags", CALIBRATED, 2, 1),
)
VERSION_2 = tuple(  # energies without waveform last: nothing but their flags tells them
    layout_of_word(COMPASS_MARK | bits) for bits in (0xD, 0x9, 0xE, 0xA, 0xF, 0xB, 0xC, 0x8, 5, 1, 6, 2, 7, 3, 4, 0)
)
LAYOUTS = {layout.name: layout for layout in (*VERSION_1, *VERSION_2)}


def fits(data: np.ndarray, start: int, layout: Layout) -> int:
    """Return how many records of a layout follow each other from byte ``start`` on; 0 if too few to believe it."""
    n, end = rec.count_records(data, start, len(data), layout.places, MAX_RECORDS)
    is_at_end = end in (len(data), rec.PAST)
    return int(n) if n >= MIN_RECORDS or (is_at_end and n > 0) else 0


def find_layout(data: np.ndarray, start: int, candidates: Iterable[Layout]) -> Layout | None:
    """Return the layout with the longest chain of records from byte ``start`` on; the first of equals."""
    best, longest = None, 0
    for layout in candidates:
        n = fits(data, start, layout)
        if n > longest:
            best, longest = layout, n
    return best


def are_records(head: bytes) -> bool:
    """Whether a file's first bytes are CoMPASS records without a header word in front."""
    data = np.frombuffer(head, np.uint8)
    for layout in LAYOUTS.values():
        n, end = rec.count_records(data, 0, len(data), layout.places, MAX_RECORDS)
        is_long_record = n == 0 and end == rec.PAST and len(head) == FILE_HEAD
        if n >= MIN_RECORDS or (n > 0 and end in (len(data), rec.PAST)) or is_long_record:
            return True
    return False
