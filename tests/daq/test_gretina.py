import numpy as np
import pytest
from daq_streams import Decoded
from hypothesis import given, settings
from hypothesis import strategies as st
from vme_streams import END, GRETINA_CARD, HEADER, MULTIRATE, START, gretina_event

from pygama_core.daq.orca.multirate import Multirate, expand
from pygama_core.errors import ConfigError
from pygama_core.sim import gretina_writer as gw
from pygama_core.sim import struck_writer as sw

KEY = (1 << 9) + (3 << 4)
# the start of a real event, as published: the packet's second word and the event up to its word 10
REAL = bytes.fromhex(
    "00000a00aaaaaaaad1000000e178f14429009b9de2510b20eb43290003000000fefffffffafff9fffcfff5fffbfffafffdfffdff0300"
)


def stream(*packets, header=HEADER):
    return [header, START, *packets, END]


def pulse(n, baseline=-3000.0, amplitude=5000.0, at=800, tau=6000.0):
    """A trace that rises at a place and decays."""
    k = np.arange(n)
    return np.round(baseline + amplitude * (k >= at) * np.exp(-(k - at).clip(0) / tau)).astype(np.int16)


def test_real_event_start(decode):
    content = REAL + bytes(4 + 4096 - len(REAL))
    made = sw.packet(gw.DECODER, content)
    table = decode(stream(made)).channels[(10 << 4) + 1]
    assert table.array("timestamp").tolist() == [177250334945]
    assert table.array("energy").tolist() == [0x1E29D9B]
    assert table.array("energy_magnitude").tolist() == [1925733]
    assert table.array("board_id").tolist() == [0xD]
    assert (table.array("card")[0], table.array("channel")[0]) == (10, 1)


def test_all_columns_of_plain_traces(decode):
    decoded = decode(stream(*(gw.gretina_packet(1, 3, [gretina_event(k)], serial=77) for k in range(3))))
    table = decoded.channels[KEY]
    for name, values in {
        "packet_id": [2, 3, 4],
        "ievt": [0, 0, 0],
        "energy": [(1 << 25) - 5000 - k for k in range(3)],
        "energy_magnitude": [5000, 5001, 5002],
        "timestamp": [(1 << 40) + 1000 * k for k in range(3)],
        "crate": [1] * 3,
        "card": [3] * 3,
        "channel": [0] * 3,
        "board_id": [0xD] * 3,
    }.items():
        assert table.array(name).tolist() == values, name
    values = table["waveform"].array("values")
    assert values.dtype == np.int16
    assert values.tolist() == [list(range(-100 + k, 1918 + k)) for k in range(3)]
    assert set(table["waveform"].array("dt")) == {10}
    assert "presum_start" not in table
    assert decoded.summary.is_clean


def test_several_events_in_a_packet(decode):
    made = gw.gretina_packet(1, 3, [gretina_event(0), gretina_event(1, channel=7), gretina_event(2)])
    decoded = decode(stream(made))
    assert decoded.channels[KEY].array("ievt").tolist() == [0, 2]
    assert decoded.channels[KEY + 7].array("ievt").tolist() == [1]


def test_damaged_event_in_a_packet(decode):
    made = bytearray(gw.gretina_packet(1, 3, [gretina_event(k) for k in range(3)]))
    made[8 + 4096] ^= 1
    decoded = decode(stream(bytes(made)))
    assert decoded.channels[KEY].array("ievt").tolist() == [0, 2]
    start = len(HEADER) + len(START) + 8 + 4096
    assert decoded.summary.skipped == ((start, start + 4096),)


def test_presorted_packets_are_counted(decode):
    samples = np.full(2018, 2020, np.int16)
    content = gw.gretina_packet(1, 3, [gretina_event(0, samples=samples)])[4:2000]
    decoded = decode(stream(sw.packet(gw.DECODER, content), gw.gretina_packet(1, 3, [gretina_event(1)])))
    assert decoded.channels[KEY].n_rows == 1
    assert decoded.summary.not_converted == {"ORGretina4MWaveformDecoder of presorted files": 1}


def test_damaged_mark(decode):
    packets = [gw.gretina_packet(1, 3, [gretina_event(k)]) for k in range(3)]
    damaged = bytearray(packets[1])
    damaged[9] ^= 4
    decoded = decode(stream(packets[0], bytes(damaged), packets[2]))
    assert decoded.channels[KEY].array("packet_id").tolist() == [2, 4]
    assert decoded.summary.bytes_skipped == len(packets[1])


@pytest.mark.parametrize("mode", [MULTIRATE, gw.Multirate(1500, 10, 2)], ids=["1:1", "5:1"])
def test_expanded_traces(decode, mode):
    """The full-rate part is exact, the expanded tail within a few ADC units of the trace that was presummed."""
    channel = {MULTIRATE: 1}.get(mode, 2)
    whole = pulse(mode.n_raw)
    recorded = gw.presum(whole, mode)
    table = decode(stream(gw.gretina_packet(1, 3, [gretina_event(0, channel=channel, samples=recorded)])))
    table = table.channels[KEY + channel]
    expanded = table["waveform"].array("values")[0]
    assert table.array("presum_start").tolist() == [mode.n_full]
    assert table.array("waveform_recorded").tolist() == [recorded.tolist()]
    n_tail = mode.n_presummed - 8  # as set
    assert len(expanded) == 2018 - n_tail + mode.factor * (n_tail - 2)
    assert expanded[: mode.n_full].tolist() == whole[: mode.n_full].tolist()
    assert np.abs(expanded.astype(int) - whole[: len(expanded)]).max() <= 3


@pytest.mark.parametrize("shift", range(-6, 11, 4))
def test_border_is_found_where_the_scale_changes(shift):
    mode = gw.Multirate(1500 + shift, 4, 1)
    recorded = gw.presum(pulse(mode.n_raw, baseline=300.0, amplitude=2000.0), mode)
    border = expand_one(recorded, Multirate(2018 - 1510, 1501, 4, 1))[0]
    assert border == mode.n_full


def test_border_of_a_trace_near_zero_is_the_set_one():
    recorded = np.random.default_rng(1).integers(-3, 4, 2018).astype(np.int16)
    assert expand_one(recorded, Multirate(500, 1511, 10, 1))[0] == 1510
    assert expand_one(recorded, Multirate(500, 1000, 10, 1))[0] == 1502  # not among the possible ones


def expand_one(recorded, mode):
    borders, out = np.empty(1, np.int64), np.empty((1, mode.n_expanded), np.int16)
    expand(recorded[np.newaxis], np.array([mode.n_tail, mode.n_full, mode.factor, mode.divisor]), borders, out)
    return int(borders[0]), out[0]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([(2, 1), (4, 4), (8, 8), (10, 8), (10, 4)]), st.integers(40, 900))
def test_expansion_keeps_what_was_recorded(seed, ratio, n_tail):
    """Presumming the expanded trace again gives the recorded one, sample by sample."""
    factor, divisor = ratio
    rng = np.random.default_rng(seed)
    recorded = np.cumsum(rng.normal(0, 5, 2018)).clip(-1000, 1000).astype(np.int16)
    border, out = expand_one(recorded, Multirate(n_tail, 2018 - n_tail, factor, divisor))
    n_whole = (len(out) - border) // factor
    sums = out[border : border + n_whole * factor].astype(int).reshape(-1, factor).sum(axis=1)
    assert out[:border].tolist() == recorded[:border].tolist()
    np.testing.assert_array_equal(sums, recorded[border : border + n_whole].astype(int) * divisor)


def test_garbage_in_the_trace_is_clipped():
    recorded = np.tile(np.array([32767, -32768], np.int16), 1009)
    border, out = expand_one(recorded, Multirate(500, 1511, 2, 8))
    assert out[border:].max() == 32767
    assert out[border:].min() == -32768


@pytest.mark.parametrize(("n_tail", "n_full"), [(0, 1000), (252, 2010), (2015, 10), (-3, 5)])
def test_plain_modes(n_tail, n_full):
    """A full-rate part that fills the trace leaves no tail: so runs with default settings were recorded."""
    assert not Multirate(n_tail, n_full, 4, 4).is_on
    assert Multirate(n_tail, n_full, 4, 4).n_expanded == 2018


def test_presummed_and_thinned_traces(decode):
    modes = dict(GRETINA_CARD.settings) | {"PreSum Enabled": [True] + [False] * 9, "Chpsrt": [2] * 10, "Down Sample": 1}
    header = sw.vme_header([sw.VmeCard(1, 3, "ORGretina4MModel", modes)], [gw.DECODER])
    events = [gretina_event(0), gretina_event(0, channel=5)]
    decoded = decode(stream(*(gw.gretina_packet(1, 3, [event]) for event in events), header=header))
    assert decoded.channels[KEY]["waveform"].array("dt").tolist() == [160]
    assert decoded.channels[KEY + 5]["waveform"].array("dt").tolist() == [20]


def test_channels_that_are_on_but_saw_nothing(decode):
    tables = decode([HEADER, START, END]).channels
    assert tables[KEY]["waveform"].array("values").shape == (0, 2018)
    assert tables[KEY + 1].n_rows == 0
    assert "presum_start" in tables[KEY + 1]
    assert KEY + 3 not in tables


def test_short_trace_cannot_be_presummed():
    with pytest.raises(ConfigError, match="trace of 2018 samples; the recorded one covers 3272"):
        gw.presum(np.zeros(2018), MULTIRATE)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 9), st.integers(0, 2**48 - 1), st.integers(-(2**24) + 1, 2**24 - 1), st.integers(0, 4095)
        ),
        max_size=5,
    )
)
def test_written_is_read_back(tmp_path_factory, values):
    rng = np.random.default_rng(len(values))
    events = [gw.GretinaEvent(c, t, rng.integers(-32768, 32768, 2018), e, b) for c, t, e, b in values]
    header = sw.vme_header([], [gw.DECODER])
    content = stream(*(gw.gretina_packet(4, 20, [event]) for event in events), header=header)
    decoded = Decoded(content, tmp_path_factory.mktemp("gretina"))
    assert decoded.summary.is_clean
    rows = {}
    for key, table in decoded.channels.items():
        for k, number in enumerate(table.array("packet_id").tolist()):
            columns = [int(table.array(name)[k]) for name in ("timestamp", "energy_magnitude", "board_id")]
            rows[number] = (key, *columns, table["waveform"].array("values")[k].tolist())
    expected = [
        ((4 << 9) + (20 << 4) + e.channel, e.timestamp, abs(e.energy), e.board_id, e.samples.tolist()) for e in events
    ]
    assert [rows[k] for k in sorted(rows)] == expected
