import numpy as np
import pytest
from daq_streams import Decoded
from hypothesis import given, settings
from hypothesis import strategies as st
from vme_streams import END, HEADER, SIS3302, START, samples, sis3302_event

from pygama_core.sim import struck_writer as sw

KEY = (2 << 9) + (5 << 4)


def stream(events, header=HEADER):
    return [header, START, *(sw.sis3302_packet(SIS3302, event) for event in events), END]


def test_all_columns(decode):
    decoded = decode(stream([sis3302_event(k) for k in range(9)]))
    assert [decoded.channels[KEY + k].n_rows for k in range(3)] == [3, 3, 3]
    table = decoded.channels[KEY + 1]
    for name, values in {
        "packet_id": [3, 6, 9],
        "energy": [70_001, 70_004, 70_007],
        "energy_first": [101, 104, 107],
        "timestamp": [(1 << 40) + 1000 * k for k in (1, 4, 7)],
        "crate": [2] * 3,
        "card": [5] * 3,
        "channel": [1] * 3,
        "flags": [1 << 27 | k for k in (1, 4, 7)],
        "lost_records": [0] * 3,
    }.items():
        assert table.array(name).tolist() == values, name
    assert table["waveform"].array("values").tolist() == [samples(k).tolist() for k in (1, 4, 7)]
    assert set(table["waveform"].array("dt")) == {10}
    assert table["energy_waveform"].lengths.tolist() == [0] * 3
    dtypes = {name: table.array(name).dtype for name in ("packet_id", "energy", "timestamp", "crate")}
    assert dtypes == {"packet_id": np.uint32, "energy": np.uint32, "timestamp": np.uint64, "crate": np.uint8}
    assert decoded.summary.is_clean
    assert decoded.summary.first_timestamp == pytest.approx((1 << 40) * 1e-8)


def test_energy_waveform_and_lost_records(decode):
    events = [sis3302_event(0, energy_waveform=(1, 2, 1 << 31), n_lost=300), sis3302_event(3), sis3302_event(6)]
    table = decode(stream(events)).channels[KEY]
    assert table["energy_waveform"][0].tolist() == [1, 2, 1 << 31]
    assert table["energy_waveform"].lengths.tolist() == [3, 0, 0]
    assert table.array("lost_records").tolist() == [300, 0, 0]


@pytest.mark.parametrize("first", [0, 1, 7, 19])
def test_wrapped_buffers_begin_at_their_first_sample(decode, first):
    """The reference starts one sample late."""
    events = [sis3302_event(0, wrap=(20, first)), sis3302_event(3)]
    table = decode(stream(events)).channels[KEY]
    assert table["waveform"].array("values").tolist() == [samples(0).tolist(), samples(3).tolist()]


def test_partly_filled_ring_buffer(decode):
    decoded = decode(stream([sis3302_event(0, wrap=(14, 5))]))
    assert decoded.channels[KEY]["waveform"].array("values").tolist() == [samples(0, 14).tolist()]


@pytest.mark.parametrize(("source", "dt"), [(0, 10), (1, 20), (2, 40), (3, 100), (4, 1000), (7, 10)])
def test_sampling_period_follows_the_clock(decode, source, dt):
    card = sw.VmeCard(2, 5, "ORSIS3302Model", {"clockSource": source})
    table = decode(stream([sis3302_event(0)], sw.vme_header([card], [sw.SIS3302]))).channels[KEY]
    assert table["waveform"].array("dt")[0] == dt


def test_external_clock_has_no_known_period(decode):
    card = sw.VmeCard(2, 5, "ORSIS3302Model", {"clockSource": 5})
    decoded = decode(stream([sis3302_event(0)], sw.vme_header([card], [sw.SIS3302])))
    assert np.isnan(decoded.channels[KEY]["waveform"].array("dt")[0])
    assert np.isnan(decoded.summary.first_timestamp)


def test_card_that_the_header_does_not_know(decode):
    decoded = decode(stream([sis3302_event(0)], sw.vme_header([], [sw.SIS3302])))
    assert decoded.channels[KEY]["waveform"].array("dt")[0] == 10


def test_channels_that_are_on_but_saw_nothing(decode):
    decoded = decode([HEADER, START, END])
    assert {KEY, KEY + 1, KEY + 2} <= set(decoded.channels)
    assert decoded.channels[KEY + 2]["waveform"].array("values").shape == (0, 20)


def test_big_endian_file(decode):
    content = b"".join(stream([sis3302_event(k) for k in range(3)]))
    swapped = np.frombuffer(content, "<u4").byteswap().tobytes()
    assert decode(swapped).channels[KEY]["waveform"].array("values").tolist() == [samples(0).tolist()]


@pytest.mark.parametrize(
    ("at", "bits"), [(-1, 1), (2, 1), (3, 1), (4, 1), (1, 1)], ids=["trailer", "raw", "energy", "adc", "wrap"]
)
def test_damaged_marks_cost_one_packet(decode, at, bits):
    packets = stream([sis3302_event(3 * k) for k in range(5)])
    damaged = np.frombuffer(packets[4], "<u4").copy()
    damaged[at] ^= bits
    decoded = decode([*packets[:4], damaged.tobytes(), *packets[5:]])
    assert decoded.channels[KEY].array("energy").tolist() == [70_000 + 3 * k for k in (0, 1, 3, 4)]
    assert decoded.summary.n_gaps == 1
    assert decoded.summary.bytes_skipped == len(packets[4])


words = st.integers(0, 2**32 - 1)
some_events = st.lists(
    st.builds(
        lambda n, wrap, **more: sw.Sis3302Event(
            samples=n, wrap=(len(n), wrap % len(n)) if wrap and n else None, **more
        ),
        n=st.integers(0, 5).flatmap(lambda k: st.lists(st.integers(0, 65535), min_size=2 * k, max_size=2 * k)),
        wrap=st.integers(0, 20),
        channel=st.integers(0, 7),
        timestamp=st.integers(0, 2**48 - 1),
        energy=words,
        energy_first=words,
        flags=words,
        energy_waveform=st.lists(words, max_size=4).map(tuple),
        n_lost=st.integers(0, 2**14 - 1),
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(some_events)
def test_written_is_read_back(tmp_path_factory, events):
    decoded = Decoded(stream(events), tmp_path_factory.mktemp("sis"))
    assert decoded.summary.is_clean
    rows = {}
    for block in decoded.blocks:
        if isinstance(block.key, int):
            table = block.table
            for k, packet in enumerate(table.array("packet_id").tolist()):
                values = [
                    int(table.array(n)[k]) for n in ("energy", "energy_first", "flags", "timestamp", "lost_records")
                ]
                waveform = table["waveform"].array("values")[k].tolist()
                rows[packet] = (int(table.array("channel")[k]), *values, tuple(table["energy_waveform"][k]), waveform)
    expected = [
        (e.channel, e.energy, e.energy_first, e.flags, e.timestamp, e.n_lost, e.energy_waveform, list(e.samples))
        for e in events
    ]
    assert [rows[k] for k in sorted(rows)] == expected
