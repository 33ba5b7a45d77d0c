import struct

import numpy as np
import pytest
from daq_streams import Decoded
from hypothesis import given, settings
from hypothesis import strategies as st
from vme_streams import END, HEADER, SIS3316, START, samples, sis3316_event

from pygama_core.sim import struck_writer as sw

KEY = 9 << 4
ABSENT = 0xFFFFFFFF


def stream(*packets):
    return [HEADER, START, *packets, END]


def packet(channel, events, **more):
    return sw.sis3316_packet(SIS3316, channel, events, **more)


def test_all_columns(decode):
    """The reference shifts all words behind accumulator 6 by one, and loses the upper bits of the time."""
    decoded = decode(stream(packet(1, [sis3316_event(0), sis3316_event(2)]), packet(2, [sis3316_event(1)])))
    assert decoded.channels[KEY + 2].array("accSum1").tolist() == [1]
    table = decoded.channels[KEY + 1]
    for name, values in {
        "packet_id": [2, 2],
        "energy": [6000, 6002],
        "energy_first": [5000, 5002],
        "timestamp": [1 << 40, (1 << 40) + 2000],
        "crate": [0, 0],
        "card": [9, 9],
        "channel": [1, 1],
        "peakHighValue": [20, 22],
        "peakHighIndex": [10, 12],
        "information": [0, 2],
        **{f"accSum{k + 1}": [1000 * k, 1000 * k + 2] for k in range(8)},
        "mawMax": [2000, 2002],
        "mawBefore": [3000, 3002],
        "mawAfter": [4000, 4002],
        "startEnergy": [5000, 5002],
        "maxEnergy": [6000, 6002],
        "pile_up": [False, False],
    }.items():
        assert table.array(name).tolist() == values, name
    assert table["waveform"].array("values").tolist() == [samples(k, 16).tolist() for k in (0, 2)]
    assert set(table["waveform"].array("dt")) == {8}
    assert decoded.summary.is_clean


@pytest.mark.parametrize("format_bits", range(16))
def test_groups_that_are_not_recorded(decode, format_bits):
    table = decode(stream(packet(1, [sis3316_event(4, format_bits=format_bits)]))).channels[KEY + 1]
    groups = (("peakHighValue", 24), ("accSum7", 6004), ("mawMax", 2004), ("maxEnergy", 6004))
    for bit, (name, value) in enumerate(groups):
        assert table.array(name).tolist() == [value if format_bits >> bit & 1 else ABSENT]
    assert table.array("energy").tolist() == [6004 if format_bits & 8 else ABSENT]
    assert table["waveform"].array("values").tolist() == [samples(4, 16).tolist()]


def test_pile_up_and_test_data(decode):
    events = [sis3316_event(0, maw_test=(7, 8, 9)), sis3316_event(2, maw_test=(1, 2, 3), is_pile_up=True)]
    table = decode(stream(packet(1, events), packet(1, [sis3316_event(4)]))).channels[KEY + 1]
    assert [table["maw_test_data"][k].tolist() for k in range(3)] == [[7, 8, 9], [1, 2, 3], []]
    assert table.array("pile_up").tolist() == [False, True, False]


def test_readout_without_single_board_computer(decode):
    decoded = decode(stream(packet(1, [sis3316_event(0)], by_sbc=False), packet(1, [sis3316_event(2)])))
    assert decoded.channels[KEY + 1].array("accSum7").tolist() == [6000, 6002]
    assert decoded.summary.is_clean


@pytest.mark.parametrize("mask", [0b0110, 0xFFFF, 0])
def test_enabled_mask_is_a_mask(decode, mask):
    card = sw.VmeCard(3, 9, "ORSIS3316Model", {"enabledMask": mask, "rawDataBufferLen": 16})
    decoded = decode([sw.vme_header([card], [sw.SIS3316]), START, END])
    assert sorted(decoded.channels) == [(3 << 9) + KEY + k for k in range(16) if mask >> k & 1]


def test_many_events_in_a_packet(decode):
    events = [sis3316_event(0, timestamp=k) for k in range(9000)]
    table = decode(stream(packet(1, events))).channels[KEY + 1]
    assert table.array("timestamp").tolist() == list(range(9000))


def test_damaged_event_inside_a_packet(decode):
    made = bytearray(packet(1, [sis3316_event(2 * k) for k in range(4)]))
    n_event = (len(made) - 40) // 4
    at = 40 + 2 * n_event + 4 * 16  # length word of the third event
    made[at + 3] ^= 0x80
    decoded = decode(stream(bytes(made)))
    assert decoded.channels[KEY + 1].array("accSum8").tolist() == [7000, 7002, 7006]
    start = len(HEADER) + len(START) + 40 + 2 * n_event
    assert decoded.summary.skipped == ((start, start + n_event),)


@pytest.mark.parametrize(("word", "value"), [(2, 9), (3, 9), (5, 16), (2, 0), (3, 0), (26, 0x70000008)])
def test_damaged_packet(decode, word, value):
    packets = [packet(1, [sis3316_event(2 * k)]) for k in range(4)]
    damaged = bytearray(packets[1])
    struct.pack_into("<I", damaged, 4 * word, value)
    decoded = decode(stream(packets[0], bytes(damaged), *packets[2:]))
    assert decoded.channels[KEY + 1].array("accSum8").tolist() == [7000, 7004, 7006]
    assert decoded.summary.n_gaps == 1


word_values = st.integers(0, 2**32 - 1)


@st.composite
def some_packets(draw):
    made = []
    for _ in range(draw(st.integers(0, 4))):
        channel, format_bits = draw(st.integers(0, 15)), draw(st.integers(0, 15))
        n_samples, n_maw = 2 * draw(st.integers(0, 4)), draw(st.integers(0, 3))
        events = [
            sw.Sis3316Event(
                0x30 | channel,
                draw(st.integers(0, 2**48 - 1)),
                draw(st.lists(st.integers(0, 65535), min_size=n_samples, max_size=n_samples)),
                format_bits=format_bits,
                peak=(draw(st.integers(0, 65535)), draw(st.integers(0, 65535))),
                information=draw(st.integers(0, 255)),
                sums=(draw(st.integers(0, 2**24 - 1)), *(draw(word_values) for _ in range(7))),
                maw=(draw(word_values), draw(word_values), draw(word_values)),
                energies=(draw(word_values), draw(word_values)),
                is_pile_up=draw(st.booleans()),
                maw_test=tuple(draw(word_values) for _ in range(n_maw)),
            )
            for _ in range(draw(st.integers(1, 3)))
        ]
        made.append((channel, events))
    return made


@settings(max_examples=60, deadline=None)
@given(some_packets())
def test_written_is_read_back(tmp_path_factory, made):
    content = stream(*(packet(channel, events) for channel, events in made))
    decoded = Decoded(content, tmp_path_factory.mktemp("sis"))
    assert decoded.summary.is_clean
    found = {}
    names = (
        "timestamp",
        "channel",
        "peakHighIndex",
        "information",
        "accSum1",
        "accSum6",
        "accSum8",
        "maxEnergy",
        "pile_up",
    )
    for block in decoded.blocks:
        if isinstance(block.key, int):
            t = block.table
            for k, number in enumerate(t.array("packet_id").tolist()):
                row = [int(t.array(name)[k]) for name in names]
                row += [t["maw_test_data"][k].tolist(), t["waveform"].array("values")[k].tolist()]
                found.setdefault(number, []).append(row)
    for number, (channel, events) in enumerate(made, 2):
        expected = []
        for e in events:
            first, second, last = (e.format_bits >> bit & 1 for bit in (0, 1, 3))
            sums = [e.peak[0], e.information, e.sums[0], e.sums[5]] if first else [ABSENT] * 4
            more = [e.sums[7] if second else ABSENT, e.energies[1] if last else ABSENT, int(e.is_pile_up)]
            expected.append([e.timestamp, channel, *sums, *more, list(e.maw_test), np.asarray(e.samples, int).tolist()])
        assert found[number] == expected
